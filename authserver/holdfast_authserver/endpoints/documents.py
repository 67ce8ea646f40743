"""What anybody may read: the metadata documents (RFC 8414, OpenID Connect Discovery) and the public keys (RFC 7517).

Computed from what requests are served from, so that they cannot say what is not so, and again whenever that changed.
"""

import json
from collections.abc import Iterable
from typing import Any

from holdfast.policy.model import MTLS_METHODS
from holdfast_authserver.client_authentication import private_key_jwt
from holdfast_authserver.endpoints.answer import Answer, Document
from holdfast_authserver.endpoints.context import EndpointContext
from holdfast_authserver.endpoints.received import Received
from holdfast_authserver.endpoints.urls import DENY_LIST, INTROSPECT, JWKS, REVOKE, TOKEN, ServerUrls
from holdfast_authserver.registry.snapshot import Snapshot

_JSON = b"application/json"
_MAX_AGE = 60  # seconds
_CALLED_DIRECTLY = {"token_endpoint": TOKEN, "introspection_endpoint": INTROSPECT, "revocation_endpoint": REVOKE}


class MetadataDocument:
    """GET either well-known path. `base`: the host it is served at, which is the issuer it names (M-71)."""

    def __init__(self, context: EndpointContext, base: str) -> None:
        self._context = context
        self._base = base
        self._made: tuple[tuple[str, int], Document] | None = None

    async def __call__(self, received: Received) -> Answer:
        """The same whatever its Host says; made anew when the registry has changed (S-08)."""
        snapshot = self._context.keeper.snapshot
        state = (snapshot.instance, snapshot.revision)
        if self._made is None or self._made[0] != state:
            self._made = (state, Document.of(json.dumps(self._members(snapshot)).encode(), _JSON, max_age=_MAX_AGE))
        return self._made[1].answer(received.header(b"if-none-match"))

    def _members(self, snapshot: Snapshot) -> dict[str, Any]:
        authentication = self._context.authentication
        return metadata(
            self._context.urls,
            self._base,
            methods=methods_in_use(authentication.methods, snapshot),
            assertion_algorithms=list(authentication.signing_algorithms),
            grants=sorted(self._context.grants),
            introspection_algorithms=list(self._context.keys.algorithms),
        )


def methods_in_use(served: Iterable[str], snapshot: Snapshot) -> list[str]:
    """Of the methods that are served, those that a policy of some client allows; before there are clients, the default."""
    policies = {id(client.policy): client.policy for client in snapshot.clients.values()}
    allowed = frozenset().union(*(policy.allowed_methods for policy in policies.values())) if policies else MTLS_METHODS
    return sorted(method for method in served if method in allowed)


def metadata(
    urls: ServerUrls,
    base: str,
    *,
    methods: list[str],
    assertion_algorithms: list[str],
    grants: list[str],
    introspection_algorithms: list[str],
) -> dict[str, Any]:
    """RFC 8414 section 2 with RFC 8705 sections 3.3 and 5; empty lists are left out, as section 3.2 asks.

    Tokens name `urls.issuer` as their issuer at whichever host they were asked for. `scopes_supported` is left out: scopes
    are the APIs', and a list of all would tell everybody what every namespace has.
    """
    document: dict[str, Any] = {
        "issuer": base,
        **{name: base + path for name, path in _CALLED_DIRECTLY.items()},
        "jwks_uri": base + JWKS,
        "deny_list_uri": base + DENY_LIST,
        "grant_types_supported": grants,
        # Required, and may not be empty (sections 2 and 3.2); there is no authorization endpoint that would give one.
        "response_types_supported": ["none"],
        **_authentication(methods, assertion_algorithms),
        "introspection_signing_alg_values_supported": introspection_algorithms,
        "tls_client_certificate_bound_access_tokens": True,
        "mtls_endpoint_aliases": {name: urls.mtls + path for name, path in _CALLED_DIRECTLY.items()},
    }
    if urls.mtls_issuer:
        document["mtls_issuer"] = urls.mtls
    return {name: value for name, value in document.items() if value != []}


def _authentication(methods: list[str], algorithms: list[str]) -> dict[str, list[str]]:
    """The same at each of the three (M-09); algorithms only where assertions are taken (S-05)."""
    members: dict[str, list[str]] = {}
    for endpoint in _CALLED_DIRECTLY:
        members[f"{endpoint}_auth_methods_supported"] = methods
        if private_key_jwt.NAME in methods:
            members[f"{endpoint}_auth_signing_alg_values_supported"] = algorithms
    return members


class KeySet:
    """GET /oauth2/jwks: the public half of every key whose tokens count, and of the next one (RFC 7517 section 5)."""

    def __init__(self, context: EndpointContext) -> None:
        self._context = context
        self._made: tuple[tuple[str, ...], Document] | None = None

    async def __call__(self, received: Received) -> Answer:
        """The keys of the registry instance that is served now; an earlier one's are published no more.

        Raises TemporarilyUnavailable before there is one.
        """
        keys = self._context.keys.published()
        if not keys:
            self._context.signing_key()
        state = tuple(key.kid for key in keys)
        if self._made is None or self._made[0] != state:
            body = json.dumps({"keys": [key.jwk for key in keys]}).encode()
            self._made = (state, Document.of(body, _JSON, max_age=_MAX_AGE))
        return self._made[1].answer(received.header(b"if-none-match"))
