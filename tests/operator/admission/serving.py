"""Certificates of a webhook's listener, by a CA of the tests, valid on the real clock."""

import datetime as dt

from tests.core.x509.authority import Authority, Issued

NOW = dt.datetime.now(dt.UTC)
AUTHORITY = Authority.root("CN=injector CA", not_after=NOW + dt.timedelta(days=30))


def server_certificate(days: int) -> Issued:
    end = NOW + dt.timedelta(days=days)
    return AUTHORITY.issue(dns=["localhost"], server=True, not_before=NOW - dt.timedelta(hours=1), not_after=end)
