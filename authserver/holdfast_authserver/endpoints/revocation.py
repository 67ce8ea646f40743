"""Token revocation (RFC 7009) of a client's own access tokens."""

from datetime import UTC, datetime

from holdfast.oauth.errors import TemporarilyUnavailable, UnauthorizedClient, UnsupportedTokenType
from holdfast.oauth.refusal import Refusal
from holdfast.registry.port import RegistryUnavailable
from holdfast_authserver.endpoints.answer import EMPTY, Answer
from holdfast_authserver.endpoints.context import EndpointContext
from holdfast_authserver.endpoints.received import Received
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
        if claims is None or claims.exp <= at.timestamp() or context.keeper.is_revoked(claims.jti):
            return EMPTY
        if claims.client_id != caller.client_id:
            raise UnauthorizedClient(f"the token is {claims.client_id}'s", reason=Refusal.FOREIGN_TOKEN)
        try:
            await context.keeper.revoke_jti(claims.jti, datetime.fromtimestamp(claims.exp, UTC))
        except RegistryUnavailable as error:
            raise TemporarilyUnavailable(str(error), reason=Refusal.REGISTRY_UNAVAILABLE) from error
        context.decisions.tell("token.revoked", received, client, jti=claims.jti)
        return EMPTY
