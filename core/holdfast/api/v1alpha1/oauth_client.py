"""OAuthClient: a workload's client registration, as its application team writes it.

Owns every field: meaning, limit, default, and the rules that one object alone can show. What needs the namespace, a
policy or another object is `holdfast.policy`'s and the registry's to say. Neighbours: `convert` reads it.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from holdfast.api.v1alpha1.base import ATOMIC, ATOMIC_MAP, SET, ObjectMeta, Part, map_list, rule, rules
from holdfast.api.v1alpha1.fields import (
    DURATION_PATTERN,
    ClientId,
    ConfigMapKeyName,
    Duration,
    HttpsUri,
    Label,
    Name,
    Scope,
    duration_rule,
)
from holdfast.api.v1alpha1.oauth_client_status import OAuthClientStatus

DEFAULT_CERTIFICATE_DURATION = 24 * 3600
"""Seconds a certificate is asked for where `certificate.duration` says nothing."""


class SubjectRule(Part):
    """Which certificate is this client's: exactly one of the five rules of RFC 8705 section 2.1.2."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "[has(self.dn), has(self.dns), has(self.uri), has(self.ip), has(self.email)].filter(x, x).size() == 1",
                "exactly one of dn, dns, uri, ip and email is required",
            )
        )
    )

    dn: Annotated[str | None, Field(min_length=1, max_length=1024)] = None
    """The certificate's whole subject as a distinguished name (RFC 4514), such as `CN=orders,O=Shop`."""
    dns: Annotated[str | None, Field(min_length=1, max_length=253)] = None
    """A dNSName among the certificate's subject alternative names; no wildcard."""
    uri: Annotated[str | None, Field(min_length=1, max_length=2048, pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:[!-~]+$")] = None
    """A URI among them, such as a SPIFFE ID."""
    ip: Annotated[str | None, Field(min_length=2, max_length=45, pattern=r"^[0-9A-Fa-f:.]+$")] = None
    """An IPv4 or IPv6 address among them."""
    email: Annotated[str | None, Field(min_length=3, max_length=320, pattern=r"^[!-?A-~]+@[!-?A-~]+$")] = None
    """An e-mail address among them."""


class ConfigMapKey(Part):
    """A key of a ConfigMap in the client's namespace."""

    model_config = ConfigDict(json_schema_extra=ATOMIC_MAP)

    name: Name
    """Name of the ConfigMap."""
    key: ConfigMapKeyName = "ca.crt"
    """Key whose value is a bundle of CA certificates in PEM."""


class TrustAnchorSource(Part):
    """Where CA certificates are read from."""

    config_map_key_ref: ConfigMapKey
    """A key of a ConfigMap in the client's namespace."""


Key = Annotated[dict[str, Any], Field(max_length=32, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})]


class KeySet(Part):
    """A JWK Set (RFC 7517 section 5) with public keys only. What each key holds is judged when the client is read."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True, **ATOMIC_MAP})

    keys: Annotated[tuple[Key, ...], Field(min_length=1, max_length=16, json_schema_extra=ATOMIC)]
    """Its keys. With self_signed_tls_client_auth, the first entry of `x5c` is the certificate (RFC 8705 section 2.2.2)."""


class Authentication(Part):
    """How the client proves who it is at the token endpoint."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule("!has(self.subject) || self.method == 'tls_client_auth'", "subject is for tls_client_auth only"),
            rule("!has(self.trustAnchors) || self.method == 'tls_client_auth'", "trustAnchors are for tls_client_auth only"),
            rule("!has(self.jwks) || !has(self.jwksUri)", "jwks and jwksUri exclude one another"),
            rule(
                # The API server holds the default {} to the rules before it fills in the defaults below it.
                "!has(self.method) || self.method != 'private_key_jwt' || has(self.jwks) || has(self.jwksUri)",
                "one of jwks and jwksUri is required with private_key_jwt",
            ),
            rule(
                "(!has(self.jwks) && !has(self.jwksUri)) || self.method != 'tls_client_auth'",
                "jwks and jwksUri are not allowed with tls_client_auth",
            ),
            rule(
                "!has(self.signingAlgorithm) || self.method == 'private_key_jwt'",
                "signingAlgorithm is for private_key_jwt only",
            ),
            rule(
                "!has(self.acceptExpiredCertificate) || !self.acceptExpiredCertificate"
                " || self.method == 'self_signed_tls_client_auth'",
                "acceptExpiredCertificate is for self_signed_tls_client_auth only",
            ),
        )
    )

    method: Literal["tls_client_auth", "self_signed_tls_client_auth", "private_key_jwt"] = "tls_client_auth"
    """The registered `token_endpoint_auth_method`: a certificate of a CA and `subject` (RFC 8705 section 2.1), a certificate
    that is itself registered, by `jwks`, `jwksUri` or because it is the one that `certificate` asks for (section 2.2), or a
    JWT signed by a key that is (RFC 7523 section 2.2)."""
    subject: SubjectRule | None = None
    """With tls_client_auth: which certificate is this client's. Default, with `certificate`: the SPIFFE URI of its
    ServiceAccount, which cert-manager is asked to put into the certificate."""
    trust_anchors: Annotated[
        tuple[TrustAnchorSource, ...] | None, Field(min_length=1, max_length=8, json_schema_extra=ATOMIC)
    ] = None
    """With tls_client_auth: CA certificates that the client's chain has to end in; pinned by certificate, never by name.
    Default, with `certificate`: the CA that issued it, or the policies' where the issuer does not say which that is."""
    jwks: KeySet | None = None
    """The client's public keys, by value."""
    jwks_uri: HttpsUri | None = None
    """Where the client publishes them; the server fetches from there, within its settings `jwks_uri_*`."""
    signing_algorithm: Literal["ES256", "ES384", "ES512", "EdDSA", "PS256", "RS256"] | None = None
    """With private_key_jwt: the one algorithm its assertions are signed with. Default: any that its keys are for."""
    accept_expired_certificate: bool | None = None
    """With self_signed_tls_client_auth: take the registered certificate outside its validity, too. Default: not."""


class IssuerRef(Part):
    """A cert-manager issuer."""

    name: Name
    """Name of the issuer."""
    kind: Literal["ClusterIssuer", "Issuer"] = "ClusterIssuer"
    """`Issuer` is one of the client's own namespace."""
    group: Annotated[str, Field(min_length=1, max_length=253)] = "cert-manager.io"
    """API group of the issuer."""


class PrivateKey(Part):
    """Which key cert-manager makes. A new one with every renewal."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.size) || self.algorithm != 'ECDSA' || self.size in [256, 384, 521]",
                "size of an ECDSA key must be 256, 384 or 521",
            ),
            rule(
                "!has(self.size) || self.algorithm != 'RSA' || self.size in [2048, 3072, 4096]",
                "size of an RSA key must be 2048, 3072 or 4096",
            ),
        )
    )

    algorithm: Literal["ECDSA", "RSA"] = "ECDSA"
    """Kind of key."""
    size: Annotated[int | None, Field(ge=0, le=16384, json_schema_extra={"format": "int32"})] = None
    """Bits: 256, 384 or 521 for ECDSA (default 256); 2048, 3072 or 4096 for RSA (default 2048)."""


class Certificate(Part):
    """The certificate that cert-manager is asked for, and keeps fresh, for this client."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            duration_rule("self.duration", ">= duration('1s')", "duration must be at least 1s"),
            duration_rule("self.renewBefore", ">= duration('1s')", "renewBefore must be at least 1s"),
            rule(
                f"!has(self.renewBefore) || !self.renewBefore.matches('{DURATION_PATTERN}')"
                f" || (has(self.duration) && !self.duration.matches('{DURATION_PATTERN}'))"
                " || duration(self.renewBefore) < duration(has(self.duration) ? self.duration : '24h')",
                "renewBefore must be shorter than duration, which is 24h by default",
            ),
        )
    )

    issuer_ref: IssuerRef
    """Who issues it."""
    secret_name: Name | None = None
    """Secret that holds tls.crt, tls.key and ca.crt. Default: `<name>-mtls`. Refused when another Certificate names it."""
    duration: Duration | None = None
    """How long each certificate is valid. Default: 24h, or less where a policy's `maxDuration` says so; an explicit value
    beyond that is refused. cert-manager refuses less than 1h."""
    renew_before: Duration | None = None
    """How long before its end it is renewed. Default: a third of its duration. cert-manager refuses less than 5m."""
    private_key: PrivateKey = PrivateKey()
    """Which key it is for."""


class AllowedRequester(Part):
    """A client, or every client of a namespace, that may ask for tokens for an API."""

    namespace: Label
    """Namespace of the client."""
    client: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^(\*|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)$")]
    """Name of its OAuthClient; `*`: every client of that namespace."""
    scopes: Annotated[tuple[Scope, ...], Field(max_length=64, json_schema_extra=SET)] = ()
    """Scopes that such a token may carry, of those the client itself has. Default: none."""


class ResourceServer(Part):
    """What makes the client an API that others ask tokens for."""

    audiences: Annotated[tuple[HttpsUri, ...], Field(min_length=1, max_length=32, json_schema_extra=SET)]
    """Audiences it owns, as absolute https URIs: it may introspect tokens for them. Hosts `*.<namespace>.svc` are its own
    by right, others by a policy's `allowedAudiences`; the first claimant holds an audience."""
    allow_from: Annotated[
        tuple[AllowedRequester, ...] | None, Field(max_length=64, json_schema_extra=map_list("namespace", "client"))
    ] = None
    """Who may ask for tokens for its audiences. Default: the clients of its own namespace, with the scopes they have. An
    empty list: nobody."""
    introspection_signing_algorithm: Literal["ES256", "EdDSA", "PS256", "RS256"] | None = None
    """Algorithm of signed introspection responses (RFC 9701), of those the server has keys for. Default: the server's."""


class Tokens(Part):
    """What the client's access tokens look like."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            duration_rule("self.lifetime", ">= duration('1s')", "lifetime must be at least 1s"),
            duration_rule("self.lifetime", "<= duration('24h')", "lifetime must be at most 24h"),
        )
    )

    certificate_bound: bool = True
    """Bind tokens to the certificate they were asked for with (`cnf.x5t#S256`, RFC 8705 section 3), so that a thief
    cannot use them. `false` needs a policy that says `requireCertificateBound: false`."""
    lifetime: Duration | None = None
    """How long a token is valid, from 1s to 24h, in whole seconds. Default: what the server gives (5m), or less where a
    policy's `maxLifetime` or the certificate's end says so. An explicit value beyond `maxLifetime` is refused."""
    format: Literal["JWT", "Opaque"] = "JWT"
    """`JWT`: APIs can check tokens by themselves (RFC 9068). `Opaque`: only by introspection, and nobody else reads them."""


class OAuthClientSpec(Part):
    """What the client is to be."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.authentication.method != 'tls_client_auth' || has(self.certificate)"
                " || has(self.authentication.subject)",
                "authentication.subject is required without certificate",
            ),
            rule(
                "self.authentication.method != 'tls_client_auth' || has(self.certificate)"
                " || has(self.authentication.trustAnchors)",
                "authentication.trustAnchors is required without certificate",
            ),
            rule(
                "self.authentication.method != 'self_signed_tls_client_auth' || has(self.certificate)"
                " || has(self.authentication.jwks) || has(self.authentication.jwksUri)",
                "one of certificate, authentication.jwks and authentication.jwksUri is required with"
                " self_signed_tls_client_auth",
            ),
            rule(
                "self.authentication.method != 'self_signed_tls_client_auth' || !has(self.certificate)"
                " || !(has(self.authentication.jwks) || has(self.authentication.jwksUri))",
                "certificate and authentication.jwks or jwksUri exclude one another with self_signed_tls_client_auth: the"
                " certificate that is issued is the one that is registered",
            ),
            rule(
                "has(self.clientId) == has(oldSelf.clientId) && (!has(self.clientId) || self.clientId == oldSelf.clientId)",
                "clientId is immutable: it cannot be set, changed or removed later",
            ),
        )
    )

    client_id: ClientId | None = None
    """The `client_id`. Default: `<namespace>.<name>`. A chosen one begins with `<namespace>.` unless a policy's
    `allowedClientIds` says more. Immutable: it cannot be set, changed or removed later."""
    service_account_name: Name | None = None
    """ServiceAccount whose identity this is. Default: the name of this object."""
    authentication: Authentication = Authentication()
    """How the client proves who it is."""
    certificate: Certificate | None = None
    """Have cert-manager issue the client's certificate. Leave it out to bring your own; with tls_client_auth
    `authentication.subject` and `authentication.trustAnchors` are required then. With self_signed_tls_client_auth each
    certificate is registered as it is issued, by an issuer of the kind SelfSigned or any other, and one that was renewed is
    taken until the tokens that were got with it have ended. With private_key_jwt tokens are bound to it. Whoever may
    create an OAuthClient may thereby do what the creator of a Certificate in the same namespace may do."""
    grant_types: Annotated[tuple[Literal["client_credentials"], ...], Field(max_length=8, json_schema_extra=SET)] = (
        "client_credentials",
    )
    """Grants the client may use. An empty list: none, for an API that never asks for tokens."""
    scopes: Annotated[tuple[Scope, ...], Field(max_length=64, json_schema_extra=SET)] = ()
    """Scopes the client may ask for (RFC 6749 section 3.3)."""
    resources: Annotated[tuple[HttpsUri, ...], Field(max_length=32, json_schema_extra=ATOMIC)] = ()
    """Audiences the client may ask tokens for, as absolute https URIs (RFC 8707); the first is the default. Their owners'
    `resourceServer.allowFrom` has to agree."""
    resource_server: ResourceServer | None = None
    """Makes the client an API that others ask tokens for."""
    tokens: Tokens = Tokens()
    """What its access tokens look like."""
    suspend: bool = False
    """Refuse the client from its next request on; its tokens introspect as inactive."""
    deletion_policy: Literal["Delete", "Orphan"] = "Delete"
    """What becomes of the registration when this object is deleted. `Delete`: it is refused at once, its tokens introspect
    as inactive; applied again within the server's `deleted_client_grace`, the client has its id back. `Orphan`: it goes on
    under the policies as they are then, as nobody's, until an object adopts it."""
    adoption_policy: Literal["Never", "IfUnowned"] = "Never"
    """Whether this object takes over an orphan that has its client id: one of its own namespace, or of another where every
    policy with `allowedClientIds` names the id word for word. `Never`: it is refused while the orphan is there."""


class OAuthClient(Part):
    """A client of the authorization server, and the certificate it authenticates with."""

    PLURAL: ClassVar = "oauthclients"
    KIND: ClassVar = "OAuthClient"
    NAME_LENGTH: ClassVar = 63
    """The name is a label value on the Certificate."""

    metadata: ObjectMeta
    spec: OAuthClientSpec
    """What the client is to be."""
    status: OAuthClientStatus | None = None
    """What was observed of the client."""

    @property
    def client_id(self) -> str:
        """The `client_id` in force: chosen, else `<namespace>.<name>`."""
        return self.spec.client_id or f"{self.metadata.namespace}.{self.metadata.name}"

    @property
    def service_account_name(self) -> str:
        """The ServiceAccount whose identity this is."""
        return self.spec.service_account_name or self.metadata.name

    @property
    def secret_name(self) -> str | None:
        """Where cert-manager puts the certificate; None when the client brings its own."""
        if self.spec.certificate is None:
            return None
        return self.spec.certificate.secret_name or f"{self.metadata.name}-mtls"
