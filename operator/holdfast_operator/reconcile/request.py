"""What a client asks for, read once: the parsed object and its subject rule.

Owns the way from the manifest to `ClientMetadata`. Whether the client may have it is `holdfast.policy`'s to say. Pure.
"""

from dataclasses import dataclass

from holdfast.api.v1alpha1.conditions import Reason
from holdfast.api.v1alpha1.convert import (
    AuthorityRegistered,
    duration_seconds,
    parse_oauth_client,
    registered_keys,
    subject_rule,
)
from holdfast.api.v1alpha1.oauth_client import DEFAULT_CERTIFICATE_DURATION, ConfigMapKey, OAuthClient
from holdfast.api.v1alpha1.oauth_client import ResourceServer as WrittenResourceServer
from holdfast.oauth.client_metadata import (
    AllowedRequester,
    ClientMetadata,
    DeletionPolicy,
    Owner,
    ResourceServer,
    TokenFormat,
    TrustAnchor,
)
from holdfast.oauth.jwks import Jwk
from holdfast.policy.certificate import AskedCertificate
from holdfast.policy.model import IssuerName
from holdfast.x509.subject import SubjectKind, SubjectRule, parse_subject_rule
from holdfast_operator.reconcile.certificate_intent import spiffe_id
from holdfast_operator.reconcile.ports import Object


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """`subject`: the rule as written, else the SPIFFE ID of the ServiceAccount, which the certificate will carry; None where
    the client is known by keys. `keys`: those it registers by value.
    """

    client: OAuthClient
    subject: SubjectRule | None
    keys: tuple[Jwk, ...] | None = None

    @property
    def by_keys(self) -> bool:
        """Whether the client is known by registered keys, and needs no trust anchor."""
        return self.client.spec.authentication.method != "tls_client_auth"

    @property
    def publishes(self) -> bool:
        """Whether the certificate that cert-manager issues is itself what the client is known by (RFC 8705 section 2.2)."""
        spec = self.client.spec
        return spec.certificate is not None and spec.authentication.method == "self_signed_tls_client_auth"

    @property
    def anchor_references(self) -> tuple[ConfigMapKey, ...]:
        """Where the client's own trust anchors are; empty: it takes those of its issuer."""
        return tuple(a.config_map_key_ref for a in self.client.spec.authentication.trust_anchors or ())


def unreadable(error: ValueError) -> Reason:
    """Why `read_request` could not read a client, in one word."""
    return Reason.CERTIFICATE_IS_AUTHORITY if isinstance(error, AuthorityRegistered) else Reason.INVALID_SPEC


def read_request(obj: Object, trust_domain: str) -> ClientRequest:
    """Raises ValueError, naming field, expected and actual."""
    client = parse_oauth_client(obj)
    if client.spec.authentication.method != "tls_client_auth":
        return ClientRequest(client, None, registered_keys(client.spec.authentication))
    written = client.spec.authentication.subject
    if written is not None:
        return ClientRequest(client, subject_rule(written))
    if client.spec.certificate is None:
        raise ValueError("spec.authentication.subject: expected one of the five without spec.certificate, found none")
    return ClientRequest(client, parse_subject_rule(SubjectKind.URI, spiffe_id(client, trust_domain)))


KEY_TO_COME = Jwk("{}")
"""In the place of the key of a certificate that is not issued yet: enough to judge the client, and no registry takes it."""


def asked_certificate(request: ClientRequest) -> AskedCertificate | None:
    """What is asked of cert-manager, for policies to judge before it is; None: the client brings its own."""
    wanted = request.client.spec.certificate
    if wanted is None:
        return None
    reference, key = wanted.issuer_ref, wanted.private_key
    return AskedCertificate(
        issuer=IssuerName(name=reference.name, kind=reference.kind, group=reference.group),
        duration=None if wanted.duration is None else duration_seconds(wanted.duration),
        default_duration=DEFAULT_CERTIFICATE_DURATION,
        renew_before=None if wanted.renew_before is None else duration_seconds(wanted.renew_before),
        algorithm=key.algorithm,
        bits=key.size,
    )


def client_metadata(
    request: ClientRequest, anchors: tuple[TrustAnchor, ...], policy: str, published: tuple[Jwk, ...] = ()
) -> ClientMetadata:
    """The registration that is asked for. `policy`: hash of the effective policy. `published`: of its certificate."""
    client, spec = request.client, request.client.spec
    return ClientMetadata(
        client_id=client.client_id,
        owner=_owner(client),
        token_endpoint_auth_method=spec.authentication.method,
        subject=request.subject,
        trust_anchors=anchors,
        grant_types=spec.grant_types,
        scopes=spec.scopes,
        resources=spec.resources,
        resource_server=_resource_server(spec.resource_server),
        certificate_bound=spec.tokens.certificate_bound,
        token_lifetime=None if spec.tokens.lifetime is None else duration_seconds(spec.tokens.lifetime),
        suspended=spec.suspend,
        policy=policy,
        jwks=(published or (KEY_TO_COME,)) if request.publishes else request.keys,
        jwks_uri=spec.authentication.jwks_uri,
        token_endpoint_auth_signing_alg=spec.authentication.signing_algorithm,
        introspection_signed_response_alg=spec.resource_server.introspection_signing_algorithm
        if spec.resource_server
        else None,
        accept_expired_certificate=bool(spec.authentication.accept_expired_certificate),
        token_format=TokenFormat(spec.tokens.format),
        deletion_policy=DeletionPolicy(spec.deletion_policy),
    )


def _owner(client: OAuthClient) -> Owner:
    metadata = client.metadata
    return Owner(
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        generation=metadata.generation,
        service_account=client.service_account_name,
    )


def _resource_server(written: WrittenResourceServer | None) -> ResourceServer | None:
    if written is None:
        return None
    return ResourceServer(
        audiences=written.audiences,
        allow_from=None
        if written.allow_from is None
        else tuple(AllowedRequester(namespace=a.namespace, client=a.client, scopes=a.scopes) for a in written.allow_from),
    )
