"""Token revocation (RFC 7009) of a client's own access tokens."""

from datetime import UTC, datetime

from holdfast.oauth.claims import AccessTokenClaims
from holdfast.oauth.errors import TemporarilyUnavailable, UnauthorizedClient, UnsupportedTokenType
from holdfast.oauth.refusal import Refusal
from holdfast.registry.port import RegistryUnavailable
from holdfast_authserver.endpoints.answer import EMPTY, Answer
from holdfast_authserver.endpoints.context import EndpointContext
from holdfast_authserver.endpoints.received import Received
from holdfast_authserver.registry.revoked_tokens import RevokedBefore, RevokedToken
from holdfast_authserver.tokens import is_of_another_kind


class RevocationEndpoint:
    """POST /oauth2/revoke. An unknown, expired or already revoked token is a success (V-03)."""

    def __init__(self, context: EndpointContext) -> None:
        self._context = context

    async def __call__(self, received: Received) -> Answer:
        """Raises InvalidClient, InvalidRequest, UnauthorizedClient (another client's token, V-04), UnsupportedTokenType
        (signed by this server, and no access token, V-06), and TemporarilyUnavailable when the revocation cannot be
        written (RFC 7009 section 2.2.1).
        """
        context = self._context
        form = await received.read_form()
        at = context.clock()
        client = await context.authenticate(received, at)
        caller = client.served.metadata
        token = form.require("token")
        claims = context.read_token(token)
        if claims is None and is_of_another_kind(token, context.keys):
            raise UnsupportedTokenType("a JWT of this server that is no access token")
        if claims is None or claims.exp <= at.timestamp() or self._is_revoked(claims):
            return EMPTY
        if claims.client_id != caller.client_id:
            raise UnauthorizedClient(f"the token is {claims.client_id}'s", reason=Refusal.FOREIGN_TOKEN)
        beyond = await self._revoke(claims)
        context.decisions.tell(
            "token.revoked",
            received,
            client,
            jti=claims.jti,
            all_of=None if beyond is None else beyond.client_id,
            issued_before=None if beyond is None else beyond.before,
        )
        return EMPTY

    def _is_revoked(self, claims: AccessTokenClaims) -> bool:
        return self._context.keeper.revoked.hold(claims.jti, claims.client_id, claims.iat)

    async def _revoke(self, claims: AccessTokenClaims) -> RevokedBefore | None:
        """Raises TemporarilyUnavailable."""
        token = RevokedToken(claims.jti, claims.client_id, claims.iat, datetime.fromtimestamp(claims.exp, UTC))
        try:
            return await self._context.keeper.revoke(token)
        except RegistryUnavailable as error:
            raise TemporarilyUnavailable(str(error), reason=Refusal.REGISTRY_UNAVAILABLE) from error
