"""The token endpoint (RFC 6749 section 3.2): authenticate, grant, issue, tell."""

from datetime import datetime
from typing import Any

from holdfast.oauth.claims import AccessTokenClaims
from holdfast.oauth.errors import InvalidClient, TemporarilyUnavailable, UnauthorizedClient, UnsupportedGrantType
from holdfast.oauth.messages import TokenRequest
from holdfast.oauth.refusal import Refusal
from holdfast_authserver.client_authentication.authenticate import AuthenticatedClient
from holdfast_authserver.endpoints.answer import Answer, direct_json
from holdfast_authserver.endpoints.context import EndpointContext
from holdfast_authserver.endpoints.received import Received
from holdfast_authserver.endpoints.repeats import Decided, Repeats
from holdfast_authserver.grants.grant import Grant, GrantContext, Granted
from holdfast_authserver.keys.signing_key import SigningKeyError
from holdfast_authserver.registry.snapshot import ServedClient
from holdfast_authserver.tokens import NewToken, issue


class TokenEndpoint:
    """POST /oauth2/token."""

    def __init__(self, context: EndpointContext) -> None:
        self._context = context
        self._repeats = Repeats()

    async def __call__(self, received: Received) -> Answer:
        """Raises every OAuthError that a token request can earn."""
        context = self._context
        request = TokenRequest.from_form(await received.read_form())
        context.check_hold()
        at = context.clock()
        known = self._repeats.find(received, context.keeper.snapshot, at)
        if known is not None:
            received.named_client, received.proven = known.client.served.metadata.client_id, True
        client, granted = known or await self._decide(received, request, at)
        new = _new_token(granted, client, context.urls.issuer, at)
        token, claims = self._issue(new)
        context.keeper.record_token(claims.client_id, at)
        self._tell(received, request.grant_type, client, claims)
        return direct_json(_body(token, new))

    async def _decide(self, received: Received, request: TokenRequest, at: datetime) -> Decided:
        context = self._context
        before = context.keeper.snapshot
        client = await context.authenticate(received, at)
        _check_tenure(client.served, at)
        snapshot = context.keeper.snapshot
        granted = self._grant(request.grant_type, client)(
            client, request, GrantContext(snapshot, context.urls.issuer, context.default_lifetime)
        )
        decided = Decided(client, granted)
        if snapshot is before:
            self._repeats.keep(received, snapshot, at, decided)
        return decided

    def _grant(self, grant_type: str, client: AuthenticatedClient) -> Grant:
        grant = self._context.grants.get(grant_type)
        if grant is None:
            raise UnsupportedGrantType(f"grant type {grant_type[:80]!r}")
        if grant_type not in client.served.metadata.grant_types:
            raise UnauthorizedClient(f"grant type {grant_type} is not among the client's", reason=Refusal.GRANT_TYPE)
        return grant

    def _issue(self, new: NewToken) -> tuple[str, AccessTokenClaims]:
        try:
            return issue(new, self._context.keys)
        except SigningKeyError as error:
            raise TemporarilyUnavailable(f"signing key: {error}", reason=Refusal.SIGNING_KEY) from error

    def _tell(self, received: Received, grant_type: str, client: AuthenticatedClient, claims: AccessTokenClaims) -> None:
        bound, token_format = claims.cnf is not None, client.served.metadata.token_format
        self._context.metrics.issued(claims.client_id, grant_type, client.method, token_format, bound=bound)
        self._context.decisions.tell(
            "token.issued",
            received,
            client,
            bound=bound,
            format=token_format,
            audience=claims.aud[0],
            scope=" ".join(claims.scope),
            jti=claims.jti,
            exp=claims.exp,
        )


def _check_tenure(client: ServedClient, at: datetime) -> None:
    """Until no token of whoever had the client id before can say the same second. Raises TemporarilyUnavailable."""
    wait = int(client.since.timestamp()) - int(at.timestamp())
    if wait > 0:
        detail = f"the client id was another object's until a moment ago: tokens from {client.since.isoformat()} on"
        raise TemporarilyUnavailable(detail, retry_after=wait, reason=Refusal.HANDED_OVER)


def _new_token(granted: Granted, client: AuthenticatedClient, issuer: str, at: datetime) -> NewToken:
    now, lifetime = int(at.timestamp()), granted.lifetime
    if client.expires is not None:
        lifetime = min(lifetime, int(client.expires.timestamp()) - now)  # no longer than the certificate (M-75)
        if lifetime <= 0:
            raise InvalidClient("the certificate ends now", reason=Refusal.CERTIFICATE_EXPIRED)
    return NewToken(
        issuer=issuer,
        client_id=client.served.metadata.client_id,
        audience=granted.audience,
        scope=granted.scope,
        issued_at=now,
        lifetime=lifetime,
        thumbprint=client.thumbprint if granted.bound else None,
        format=client.served.metadata.token_format,
    )


def _body(token: str, new: NewToken) -> dict[str, Any]:
    """RFC 6749 section 5.1; a bound token is still of type Bearer (RFC 8705 section 3)."""
    body: dict[str, Any] = {"access_token": token, "token_type": "Bearer", "expires_in": new.lifetime}
    if new.scope:
        body["scope"] = " ".join(new.scope)
    return body
