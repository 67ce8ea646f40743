"""What anybody may read: the metadata documents (RFC 8414, OpenID Connect Discovery) and the public keys (RFC 7517).

Computed from the tables that requests are served from, so that they cannot say what is not so.
"""

import json
from typing import Any

from holdfast_authserver.endpoints.answer import Answer
from holdfast_authserver.endpoints.context import EndpointContext
from holdfast_authserver.endpoints.received import Received
from holdfast_authserver.endpoints.urls import INTROSPECT, JWKS, REVOKE, TOKEN, ServerUrls

_HEADERS = ((b"content-type", b"application/json"), (b"cache-control", b"public, max-age=60"))
_CALLED_DIRECTLY = {"token_endpoint": TOKEN, "introspection_endpoint": INTROSPECT, "revocation_endpoint": REVOKE}


class MetadataDocument:
    """GET either well-known path. `base`: the host it is served at, which is the issuer it names (M-71)."""

    def __init__(self, context: EndpointContext, base: str) -> None:
        methods, grants = sorted(context.authentication.methods), sorted(context.grants)
        self._answer = Answer(200, json.dumps(metadata(context.urls, base, methods, grants)).encode(), _HEADERS)

    async def __call__(self, received: Received) -> Answer:
        """The same for every request, whatever its Host says."""
        return self._answer


def metadata(urls: ServerUrls, base: str, methods: list[str], grants: list[str]) -> dict[str, Any]:
    """RFC 8414 section 2 with RFC 8705 sections 3.3 and 5; empty lists are left out, as section 3.2 asks.

    Tokens name `urls.issuer` as their issuer at whichever host they were asked for.
    """
    document: dict[str, Any] = {
        "issuer": base,
        **{name: base + path for name, path in _CALLED_DIRECTLY.items()},
        "jwks_uri": base + JWKS,
        "grant_types_supported": grants,
        "token_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "tls_client_certificate_bound_access_tokens": True,
        "mtls_endpoint_aliases": {name: urls.mtls + path for name, path in _CALLED_DIRECTLY.items()},
    }
    if urls.mtls_issuer:
        document["mtls_issuer"] = urls.mtls
    return document


class KeySet:
    """GET /oauth2/jwks: the public half of the key that signs (RFC 7517 section 5)."""

    def __init__(self, context: EndpointContext) -> None:
        self._context = context

    async def __call__(self, received: Received) -> Answer:
        """The key of the registry instance that is served now; an earlier one is published no more."""
        return Answer(200, json.dumps({"keys": [self._context.key.jwk]}).encode(), _HEADERS)
