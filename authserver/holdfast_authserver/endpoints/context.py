"""What the endpoints need from the rest of the server, put together once in `app.py`."""

from dataclasses import dataclass

from holdfast.clock import Clock
from holdfast.oauth.claims import AccessTokenClaims
from holdfast.oauth.errors import TemporarilyUnavailable
from holdfast.oauth.refusal import Refusal
from holdfast_authserver.audit import AuditLog
from holdfast_authserver.client_authentication.authenticate import ClientAuthentication
from holdfast_authserver.endpoints.authentication import RequestAuthentication
from holdfast_authserver.endpoints.availability import Availability
from holdfast_authserver.endpoints.decisions import Decisions
from holdfast_authserver.endpoints.refusal_lines import RefusalLines
from holdfast_authserver.endpoints.urls import ServerUrls
from holdfast_authserver.grants.grant import Grants
from holdfast_authserver.keys.ring import KeyRing
from holdfast_authserver.keys.signing_key import SigningKey, SigningKeyError
from holdfast_authserver.metrics import Metrics
from holdfast_authserver.registry.keeper import RegistryKeeper
from holdfast_authserver.tokens import TokenReader


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointContext:
    """Shared by the endpoints of all listeners. `default_lifetime`: seconds of a token whose client does not say."""

    urls: ServerUrls
    keeper: RegistryKeeper
    keys: KeyRing
    reader: TokenReader
    authentication: ClientAuthentication
    authenticate: RequestAuthentication
    availability: Availability
    grants: Grants
    audit: AuditLog
    metrics: Metrics
    decisions: Decisions
    refusal_lines: RefusalLines
    clock: Clock
    default_lifetime: int

    def check_hold(self) -> None:
        """Raises TemporarilyUnavailable: the registry cannot be answered from, or not yet."""
        self.availability.check_hold()

    def signing_key(self, algorithm: str | None = None) -> SigningKey:
        """The key in use: of `algorithm`, else of the first one. Raises TemporarilyUnavailable when there is none."""
        try:
            return self.keys.signing(algorithm)
        except SigningKeyError as error:
            raise TemporarilyUnavailable(f"signing key: {error}", reason=Refusal.SIGNING_KEY) from error

    def read_token(self, token: str) -> AccessTokenClaims | None:
        """What a token of this server says; None for every other text. Raises TemporarilyUnavailable without any key."""
        claims = self.reader.read(token, self.keys, self.urls.issuer)
        if claims is None and not self.keys.published():
            raise TemporarilyUnavailable("the keys have not been read yet", reason=Refusal.SIGNING_KEY)
        return claims
