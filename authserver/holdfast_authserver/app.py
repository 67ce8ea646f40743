"""The one composition root: which endpoint is served at which path of which listener, and from what it is made."""

from collections.abc import Mapping
from datetime import timedelta

from holdfast.clock import Clock
from holdfast_authserver.audit import AuditLog
from holdfast_authserver.client_authentication.authenticate import ClientAuthentication
from holdfast_authserver.client_authentication.jwks_addresses import AddressRules
from holdfast_authserver.client_authentication.jwks_cache import CacheTimes, JwksCache
from holdfast_authserver.client_authentication.jwks_fetcher import JwksFetcher
from holdfast_authserver.client_authentication.registered_keys import RegisteredKeys
from holdfast_authserver.client_authentication.revocation_files import RevocationFiles
from holdfast_authserver.client_authentication.revocation_source import RevocationSource
from holdfast_authserver.client_authentication.throttle import FailureThrottle, ThrottleRules
from holdfast_authserver.client_authentication.tls_client_auth import TlsClientAuth
from holdfast_authserver.endpoints.authentication import RequestAuthentication
from holdfast_authserver.endpoints.availability import Availability
from holdfast_authserver.endpoints.context import EndpointContext
from holdfast_authserver.endpoints.decisions import Decisions
from holdfast_authserver.endpoints.deny_list import DenyListDocument
from holdfast_authserver.endpoints.documents import KeySet, MetadataDocument
from holdfast_authserver.endpoints.introspection import IntrospectionEndpoint
from holdfast_authserver.endpoints.refusal_lines import RefusalLines
from holdfast_authserver.endpoints.surface import Route, Surface
from holdfast_authserver.endpoints.token import TokenEndpoint
from holdfast_authserver.endpoints.token_revocation import RevocationEndpoint
from holdfast_authserver.endpoints.urls import (
    DENY_LIST,
    INTROSPECT,
    JWKS,
    REVOKE,
    TOKEN,
    ServerUrls,
    path_of,
    well_known_paths,
)
from holdfast_authserver.gauges import add_key_gauge, add_registry_gauges, add_server_gauges
from holdfast_authserver.grants import client_credentials
from holdfast_authserver.grants.grant import Grant
from holdfast_authserver.keys.ring import KeyRing
from holdfast_authserver.metrics import Metrics
from holdfast_authserver.registry.keeper import RegistryKeeper
from holdfast_authserver.registry.startup_hold import StartupHold
from holdfast_authserver.settings import Settings
from holdfast_authserver.tokens import TokenReader

GRANTS: Mapping[str, Grant] = {client_credentials.NAME: client_credentials.grant}
"""Every grant that is served; the metadata document lists these."""

_PUBLIC_TEXT = "client authentication failed; client certificates are only asked for at the mtls_endpoint_aliases"


def create_context(
    settings: Settings, urls: ServerUrls, keeper: RegistryKeeper, keys: KeyRing, audit: AuditLog, clock: Clock
) -> EndpointContext:
    """Put together what the endpoints of all listeners share."""
    metrics = Metrics(client_names=settings.metrics_client_names)
    availability = Availability(keeper, StartupHold(settings.startup_hold), settings.max_staleness, settings.ready_staleness)
    authentication = _authentication(settings, urls, keeper, audit)
    add_registry_gauges(metrics, keeper, clock)
    add_server_gauges(metrics, audit)
    add_key_gauge(metrics, keys, clock)
    keeper.writer.signing_algorithms = keys.algorithms
    keeper.writer.token_lifetime = settings.token_lifetime
    return EndpointContext(
        urls=urls,
        keeper=keeper,
        keys=keys,
        reader=TokenReader(),
        authentication=authentication,
        authenticate=RequestAuthentication(authentication, _throttle(settings), keeper, availability, metrics),
        availability=availability,
        grants=GRANTS,
        audit=audit,
        metrics=metrics,
        decisions=Decisions(audit, metrics, lambda: keeper.snapshot, remote_address=settings.audit_remote_address),
        refusal_lines=_refusal_lines(settings, keeper, audit, clock),
        clock=clock,
        default_lifetime=settings.token_lifetime,
    )


def _authentication(settings: Settings, urls: ServerUrls, keeper: RegistryKeeper, audit: AuditLog) -> ClientAuthentication:
    return ClientAuthentication(
        _by_path(settings, keeper, audit),
        RegisteredKeys(_fetched_keys(settings, audit)),
        keeper,
        issuer=urls.issuer,
        signing_algorithms=settings.assertion_algorithms,
    )


def _fetched_keys(settings: Settings, audit: AuditLog) -> JwksCache:
    rules = AddressRules.from_entries(settings.jwks_uri_allowed_hosts)
    fetcher = JwksFetcher(rules, timeout=settings.jwks_uri_timeout, ca_file=settings.jwks_uri_ca_file)
    times = CacheTimes(
        least=timedelta(seconds=settings.jwks_uri_min_age),
        most=timedelta(seconds=settings.jwks_uri_max_age),
        stale=timedelta(seconds=settings.jwks_uri_stale),
        pause=timedelta(seconds=settings.jwks_uri_pause),
    )
    return JwksCache(fetcher, audit, times)


def _by_path(settings: Settings, keeper: RegistryKeeper, audit: AuditLog) -> TlsClientAuth:
    return TlsClientAuth(
        lambda: keeper.snapshot,
        RevocationSource(RevocationFiles(settings.crl_files)),
        audit.record,
        skew=timedelta(seconds=settings.certificate_clock_skew),
    )


def _refusal_lines(settings: Settings, keeper: RegistryKeeper, audit: AuditLog, clock: Clock) -> RefusalLines:
    return RefusalLines(
        audit,
        lambda client_id: client_id in keeper.snapshot.clients,
        clock,
        most=settings.audit_refusals_per_minute,
        remote_address=settings.audit_remote_address,
    )


def _throttle(settings: Settings) -> FailureThrottle:
    return FailureThrottle(
        ThrottleRules(
            per_client=settings.throttle_per_client,
            per_address=settings.throttle_per_address,
            window=settings.throttle_window,
            loopback=settings.throttle_loopback,
        )
    )


def create_public_app(context: EndpointContext) -> Surface:
    """The listener that asks for no certificate, so that a client of an mTLS method learns where to go (M-68)."""
    routes = _routes(context, context.urls.issuer)
    return Surface(routes, context.decisions, context.refusal_lines, context.metrics, invalid_client_text=_PUBLIC_TEXT)


def create_mtls_app(context: EndpointContext) -> Surface:
    """The listener that asks for a certificate. It has metadata only where it is offered as an issuer (M-71)."""
    base = context.urls.mtls
    routes = _routes(context, base)
    if not context.urls.mtls_issuer:
        for path in well_known_paths(base):
            del routes[path]
    return Surface(routes, context.decisions, context.refusal_lines, context.metrics)


def _routes(context: EndpointContext, base: str) -> dict[str, Route]:
    prefix = path_of(base)
    document = Route("metadata", reads=True, handle=MetadataDocument(context, base))
    return {
        prefix + TOKEN: Route("token", reads=False, handle=TokenEndpoint(context)),
        prefix + INTROSPECT: Route("introspection", reads=False, handle=IntrospectionEndpoint(context)),
        prefix + REVOKE: Route("revocation", reads=False, handle=RevocationEndpoint(context)),
        prefix + JWKS: Route("jwks", reads=True, handle=KeySet(context)),
        prefix + DENY_LIST: Route("deny_list", reads=True, handle=DenyListDocument(context)),
        **dict.fromkeys(well_known_paths(base), document),
    }
