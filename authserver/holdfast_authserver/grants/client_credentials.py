"""`client_credentials` (RFC 6749 section 4.4): a client asks in its own name, for one audience (RFC 8707)."""

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.oauth.errors import InvalidRequest, InvalidScope, InvalidTarget
from holdfast.oauth.messages import TokenRequest
from holdfast.oauth.refusal import Refusal
from holdfast.policy.audience import AudienceDecision, decide_audience, default_audience
from holdfast_authserver.client_authentication.authenticate import AuthenticatedClient
from holdfast_authserver.grants.grant import GrantContext, Granted
from holdfast_authserver.registry.snapshot import ServedClient

NAME = "client_credentials"


def grant(client: AuthenticatedClient, request: TokenRequest, context: GrantContext) -> Granted:
    """Raises InvalidScope, InvalidTarget, InvalidRequest (no certificate to bind to)."""
    metadata = client.served.metadata
    bound = metadata.certificate_bound or client.served.policy.require_certificate_bound  # the strictest wins
    if bound and client.thumbprint is None:
        raise InvalidRequest(
            "no certificate to bind to",
            description="a bound token needs a client certificate",
            reason=Refusal.NO_BINDING,
        )
    _check_scope(metadata, request.scope)
    decided = _audience(client.served, request, context)
    if request.scope and not decided.scopes:
        raise InvalidScope(f"{decided.audience} grants this client none of {' '.join(request.scope)}")
    return Granted(
        audience=decided.audience,
        scope=decided.scopes,
        lifetime=_lifetime(client.served, context),
        bound=bound,
    )


def _check_scope(metadata: ClientMetadata, requested: tuple[str, ...] | None) -> None:
    """More than the client may have is refused rather than cut down (O-11)."""
    excess = [scope for scope in requested or () if scope not in metadata.scopes]
    if excess:
        raise InvalidScope(f"scopes: expected some of {' '.join(metadata.scopes) or 'none'}, found {' '.join(excess)}")


def _audience(served: ServedClient, request: TokenRequest, context: GrantContext) -> AudienceDecision:
    audience = request.resource or default_audience(served.metadata, context.issuer)
    owner = context.snapshot.audience_owner(audience)
    decided = decide_audience(
        served.metadata,
        served.policy,
        resource=audience,
        scopes=request.scope,
        owner=None if owner is None else owner.metadata,
        issuer=context.issuer,
    )
    if not decided.decision.allowed:
        raise InvalidTarget(f"policy: {decided.decision.reason}: {decided.decision.message}")
    return decided


def _lifetime(served: ServedClient, context: GrantContext) -> int:
    """The client's own or the server's default, within the policy's maximum."""
    lifetime = served.metadata.token_lifetime or context.default_lifetime
    return lifetime if served.policy.max_lifetime is None else min(lifetime, served.policy.max_lifetime)
