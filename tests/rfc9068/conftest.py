"""The server of the tests of RFC 8705: one for each module, asked over real TLS."""

from tests.rfc8705.conftest import server

__all__ = ["server"]
