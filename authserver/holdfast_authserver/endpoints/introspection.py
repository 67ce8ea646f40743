"""Token introspection (RFC 7662): for a client's own tokens, and for the audiences of its resource server."""

from datetime import datetime

from holdfast.oauth.claims import AccessTokenClaims
from holdfast_authserver.endpoints.answer import Answer, direct_json
from holdfast_authserver.endpoints.context import EndpointContext
from holdfast_authserver.endpoints.received import Received
from holdfast_authserver.registry.snapshot import Snapshot

_INACTIVE = direct_json({"active": False})


class IntrospectionEndpoint:
    """POST /oauth2/introspect. Whatever is not valid for this caller is inactive, and nothing more is said (I-03)."""

    def __init__(self, context: EndpointContext) -> None:
        self._context = context

    async def __call__(self, received: Received) -> Answer:
        """Raises InvalidClient, InvalidRequest, UnauthorizedClient. `token_type_hint` is only a hint, and not needed."""
        context = self._context
        form = await received.read_form()
        at = context.clock()
        client = await context.authenticate(received, at)
        caller = client.served.metadata.client_id
        claims = context.reader.read(form.require("token"), context.key, context.urls.issuer)
        reason = self._why_inactive(claims, caller, at)
        context.decisions.tell(
            "introspection.answered",
            received,
            client,
            active=reason is None,
            detail=reason,
            jti=None if claims is None else claims.jti,
        )
        if claims is None or reason is not None:
            return _INACTIVE
        return direct_json({"active": True, "token_type": "Bearer", **claims.to_json()})

    def _why_inactive(self, claims: AccessTokenClaims | None, caller: str, at: datetime) -> str | None:
        if claims is None:
            return "not a token of this server"
        keeper = self._context.keeper
        if not _may_see(claims, caller, keeper.snapshot):
            return "neither the caller's own nor for its audiences"
        if claims.exp <= at.timestamp():
            return "expired"
        if keeper.is_revoked(claims.jti):
            return "revoked"
        return _why_not_served(claims, keeper.snapshot)


def _may_see(claims: AccessTokenClaims, caller: str, snapshot: Snapshot) -> bool:
    owners = map(snapshot.audience_owner, claims.aud)
    return claims.client_id == caller or any(o is not None and o.metadata.client_id == caller for o in owners)


def _why_not_served(claims: AccessTokenClaims, snapshot: Snapshot) -> str | None:
    """A token ends with its client, and with the registry that knew what was revoked (E-03)."""
    if claims.iat < int(snapshot.instance_created.timestamp()):
        return "issued before this registry began"
    client = snapshot.clients.get(claims.client_id)
    if client is None:
        return "its client is not registered"
    if claims.iat < int(client.since.timestamp()):
        return "issued to an earlier holder of the client id"
    if client.metadata.suspended:
        return "its client is suspended"
    return None if client.decision.allowed else f"its client is refused by policy: {client.decision.reason}"
