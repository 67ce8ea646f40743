"""Token introspection (RFC 7662): for a client's own tokens, and for the audiences of its resource server.

Owns what makes a token inactive, and the two forms of an answer: JSON, and a signed JWT where it is asked for (RFC 9701).
Neighbours: `tokens.py` reads a token, `deny_list.py` says of all tokens what this endpoint says of one.
"""

from datetime import datetime
from typing import Any

from holdfast.oauth.claims import AccessTokenClaims
from holdfast_authserver.client_authentication.authenticate import AuthenticatedClient
from holdfast_authserver.compact_json import encode
from holdfast_authserver.endpoints.answer import Answer, direct_json, signed
from holdfast_authserver.endpoints.context import EndpointContext
from holdfast_authserver.endpoints.received import Received
from holdfast_authserver.registry.snapshot import Snapshot
from holdfast_authserver.tokens import INTROSPECTION

_SIGNED = b"application/" + INTROSPECTION.encode()
_NOTHING: dict[str, Any] = {"active": False}
_INACTIVE = direct_json(_NOTHING)
_MAX_ANSWERS = 4096  # of about 600 bytes
_SKEW = 60  # seconds; another replica's clock may be ahead of ours


class IntrospectionEndpoint:
    """POST /oauth2/introspect. Whatever is not valid for this caller is inactive, and nothing more is said (I-03)."""

    def __init__(self, context: EndpointContext) -> None:
        self._context = context
        self._answers: dict[str, tuple[AccessTokenClaims, Answer]] = {}

    async def __call__(self, received: Received) -> Answer:
        """Raises InvalidClient, InvalidRequest, UnauthorizedClient, TemporarilyUnavailable (no key).

        `token_type_hint` is only a hint, and not needed (I-05).
        """
        context = self._context
        form = await received.read_form()
        at = context.clock()
        client = await context.authenticate(received, at)
        claims = context.read_token(form.require("token"))
        reason = self._why_inactive(claims, client.served.metadata.client_id, at)
        context.decisions.tell(
            "introspection.answered",
            received,
            client,
            active=reason is None,
            detail=reason,
            jti=None if claims is None else claims.jti,
        )
        live = claims if reason is None else None
        if received.accept and wants_signed(received.accept):
            return self._signed(live, client, at)
        return _INACTIVE if live is None else self._json(live)

    def _why_inactive(self, claims: AccessTokenClaims | None, caller: str, at: datetime) -> str | None:
        if claims is None:
            return "not a token of this server"
        keeper = self._context.keeper
        snapshot, now = keeper.snapshot, at.timestamp()
        if claims.client_id != caller and not _owns_audience(claims, caller, snapshot):
            return "neither the caller's own nor for its audiences"
        if claims.exp <= now:
            return "expired"
        if claims.iat > now + _SKEW:
            return "not yet valid"
        if keeper.revoked.hold(claims.jti, claims.client_id, claims.iat):
            return "revoked"
        if claims.cnf is not None and claims.cnf.x5t_s256 in snapshot.denied_thumbprints:
            return "its certificate is denied"
        return _why_not_served(claims, snapshot)

    def _json(self, claims: AccessTokenClaims) -> Answer:
        """Written once for each token: the same claims are the same answer, whoever may ask."""
        kept = self._answers.get(claims.jti)
        if kept is not None and kept[0] is claims:
            return kept[1]
        answer = direct_json(_facts(claims))
        if len(self._answers) >= _MAX_ANSWERS:
            del self._answers[next(iter(self._answers))]
        self._answers[claims.jti] = (claims, answer)
        return answer

    def _signed(self, claims: AccessTokenClaims | None, caller: AuthenticatedClient, at: datetime) -> Answer:
        """For this caller alone (RFC 9701 section 5), with the algorithm it registered, else the server's first."""
        metadata = caller.served.metadata
        payload = {
            "iss": self._context.urls.issuer,
            "aud": metadata.client_id,
            "iat": int(at.timestamp()),
            "token_introspection": _NOTHING if claims is None else _facts(claims),
        }
        key = self._context.signing_key(metadata.introspection_signed_response_alg)
        return signed(key.sign(encode(payload), typ=INTROSPECTION), _SIGNED)


def wants_signed(accept: bytes) -> bool:
    """Whether an Accept header names the JWT form; a range such as `*/*` asks for nothing particular."""
    for entry in accept.lower().split(b","):
        kind, *parameters = (part.strip() for part in entry.split(b";"))
        if kind == _SIGNED:
            return not any(p.startswith(b"q=0") and not p[3:].strip(b".0") for p in parameters)
    return False


def _facts(claims: AccessTokenClaims) -> dict[str, Any]:
    return {"active": True, "token_type": "Bearer", **claims.to_json()}


def _owns_audience(claims: AccessTokenClaims, caller: str, snapshot: Snapshot) -> bool:
    owners = map(snapshot.audience_owner, claims.aud)
    return any(owner is not None and owner.metadata.client_id == caller for owner in owners)


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
