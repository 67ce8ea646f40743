"""`X-Forwarded-Tls-Client-Cert` of Traefik's `passTLSClientCert` with `pem: true`, from version 2.9.4 on.

Base64 of each certificate's DER without PEM armour, leaf first, joined by commas.
"""

from collections.abc import Mapping

from holdfast_authserver.transport.forwarded.encodings import bare_base64

FIELD = "x-forwarded-tls-client-cert"


def read_traefik(values: Mapping[str, str]) -> tuple[bytes, ...]:
    """DER of the leaf, then of what came with it. Raises MalformedField."""
    if FIELD not in values:
        return ()
    return tuple(bare_base64(FIELD, part) for part in values[FIELD].split(","))
