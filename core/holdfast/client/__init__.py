"""For applications that call APIs: a certificate-bound access token with every request, always of one pair.

    from holdfast.client import BoundTokenAuth, bound_client

    auth = BoundTokenAuth(issuer="https://as.example", client_id="shop.orders", ca_file="/tls/ca.crt",
                          cert_file="/tls/tls.crt", key_file="/tls/tls.key", resource="https://billing.fin.svc")
    with bound_client(auth) as client:
        client.get("https://billing.fin.svc/invoices")

A token is good only over a connection with the certificate it was fetched with (RFC 8705 section 3), and httpx lets an
`Auth` say nothing about connections. So there are two halves: `BoundTokenAuth` chooses a pair for each request, and the
transport of `bound_client` (or `BoundTransport`, for an `httpx.Client` of your own) opens the connection of that pair
and writes the token. With any other transport the request goes without a token and raises NotBound.

Needs httpx and cryptography only. Must not import `holdfast.resource_server`.
"""

from holdfast.client.auth import BoundTokenAuth
from holdfast.client.errors import ClientError, IdentityError, NotBound, TokenRefused, TokenUnavailable
from holdfast.client.transport import AsyncBoundTransport, BoundTransport, bound_async_client, bound_client

__all__ = [
    "AsyncBoundTransport",
    "BoundTokenAuth",
    "BoundTransport",
    "ClientError",
    "IdentityError",
    "NotBound",
    "TokenRefused",
    "TokenUnavailable",
    "bound_async_client",
    "bound_client",
]
