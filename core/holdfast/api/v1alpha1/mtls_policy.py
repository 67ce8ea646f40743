"""MTLSPolicy: what the platform asks of all clients that it selects.

Owns every field: meaning, limit, and the rules that one object alone can show. Only `mode` has a default: what a policy
does not name it does not touch. How several policies merge is `holdfast.policy.resolve`'s. Neighbours: `convert`.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from holdfast.api.v1alpha1.base import ATOMIC, ATOMIC_MAP, SET, UNSEEN, Condition, ObjectMeta, Part, map_list, rule, rules
from holdfast.api.v1alpha1.fields import (
    ConfigMapKeyName,
    Duration,
    HttpsUriPattern,
    Label,
    Name,
    WrittenThumbprint,
    duration_rule,
)
from holdfast.api.v1alpha1.oauth_client import IssuerRef

_LABEL_KEY = r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
LabelValue = Annotated[str, Field(max_length=63, pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$")]
SubjectPattern = Annotated[str, Field(min_length=1, max_length=1024)]
SubjectPatterns = Annotated[tuple[SubjectPattern, ...] | None, Field(min_length=1, max_length=64, json_schema_extra=SET)]


class LabelRequirement(Part):
    """One requirement on a label."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!(self.operator in ['In', 'NotIn']) || (has(self.values) && self.values.size() > 0)",
                "values are required with In and NotIn",
            ),
            rule(
                "!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || self.values.size() == 0",
                "values are not allowed with Exists and DoesNotExist",
            ),
        )
    )

    key: Annotated[str, Field(min_length=1, max_length=317, pattern=_LABEL_KEY)]
    """Label that is looked at."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How its value is compared. NotIn holds for an absent label, too."""
    values: Annotated[tuple[LabelValue, ...] | None, Field(max_length=64, json_schema_extra=ATOMIC)] = None
    """Values for In and NotIn."""


class LabelSelector(Part):
    """Which objects are meant, by their labels. Everything listed has to hold; empty: all objects."""

    model_config = ConfigDict(json_schema_extra=ATOMIC_MAP)

    match_labels: Annotated[dict[str, LabelValue] | None, Field(max_length=64)] = None
    """Labels and the values they have."""
    match_expressions: Annotated[tuple[LabelRequirement, ...] | None, Field(max_length=64, json_schema_extra=ATOMIC)] = None
    """Requirements on labels."""


class PolicyAuthentication(Part):
    """How clients may prove who they are."""

    allowed_methods: Annotated[
        tuple[Literal["tls_client_auth", "self_signed_tls_client_auth", "private_key_jwt"], ...] | None,
        Field(min_length=1, max_length=8, json_schema_extra=SET),
    ] = None
    """Methods that clients may use. Where no policy names any: the two mTLS methods (RFC 8705 section 2)."""


class PolicyTokens(Part):
    """What access tokens have to look like."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            duration_rule("self.maxLifetime", ">= duration('1s')", "maxLifetime must be at least 1s"),
        )
    )

    require_certificate_bound: bool | None = None
    """Whether tokens have to be bound to a certificate (RFC 8705 section 3). Required where no policy says otherwise, and
    where several do, one that requires it is enough."""
    max_lifetime: Duration | None = None
    """How long a token may be valid, in whole seconds. A client that asks for more is refused; a default is cut."""


class AllowedSubjects(Part):
    """Patterns of subjects that clients may claim. A kind that is not listed is refused once any is.

    `{namespace}` and `{serviceAccount}` stand for the client's own.
    """

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.uris) || has(self.dnsNames) || has(self.ipAddresses) || has(self.emailAddresses)"
                " || has(self.distinguishedNames)",
                "allowedSubjects must name at least one kind of subject",
            )
        )
    )

    uris: SubjectPatterns = None
    """URIs; `*` stands for one segment of the path."""
    dns_names: SubjectPatterns = None
    """DNS names; `*` stands for one label."""
    ip_addresses: SubjectPatterns = None
    """IP addresses, as CIDRs."""
    email_addresses: SubjectPatterns = None
    """E-mail addresses; `*@host` stands for every address of that host."""
    distinguished_names: SubjectPatterns = None
    """Trailing RDNs that a subject has to end in, such as `O=Shop,C=DE` (RFC 4514)."""


class AnchorKey(Part):
    """A key of a ConfigMap anywhere in the cluster."""

    model_config = ConfigDict(json_schema_extra=ATOMIC_MAP)

    namespace: Label
    """Namespace of the ConfigMap."""
    name: Name
    """Name of the ConfigMap."""
    key: ConfigMapKeyName = "ca.crt"
    """Key whose value is a bundle of CA certificates in PEM."""


class AnchorSource(Part):
    """Where CA certificates are read from."""

    config_map_key_ref: AnchorKey
    """A key of a ConfigMap."""


class RevocationListKey(Part):
    """A key of a ConfigMap anywhere in the cluster."""

    model_config = ConfigDict(json_schema_extra=ATOMIC_MAP)

    namespace: Label
    """Namespace of the ConfigMap."""
    name: Name
    """Name of the ConfigMap."""
    key: ConfigMapKeyName = "ca.crl"
    """Key whose value is one CRL or several in PEM, or (in `binaryData`) one in DER."""


class RevocationListSource(Part):
    """Where CRLs are read from."""

    config_map_key_ref: RevocationListKey
    """A key of a ConfigMap."""


class Revocation(Part):
    """Whether certificates are looked up in CRLs (RFC 5280 section 6.3)."""

    mode: Literal["Disabled", "SoftFail", "HardFail"]
    """`Disabled`: they are not. `SoftFail`: a certificate that a current CRL of its issuer names is refused. `HardFail`: so
    is one for which there is no current CRL. Of several policies the strictest counts."""
    crls: Annotated[tuple[RevocationListSource, ...], Field(max_length=16, json_schema_extra=ATOMIC)] = ()
    """CRLs of the CAs that clients have certificates of. They count for every client whose policies look certificates up:
    a CRL is known by its signature, whoever brought it."""


class MinimumKey(Part):
    """How large the key of a client's certificate has to be."""

    model_config = ConfigDict(
        json_schema_extra=rules(rule("has(self.rsaBits) || has(self.ecBits)", "minimumKey must name rsaBits or ecBits"))
    )

    rsa_bits: Annotated[int | None, Field(ge=2048, le=16384, json_schema_extra={"format": "int32"})] = None
    """Bits of an RSA key. Where no policy says more: 2048."""
    ec_bits: Annotated[int | None, Field(ge=224, le=521, json_schema_extra={"format": "int32"})] = None
    """Bits of the curve of an EC key. Where no policy says more: 224."""


class PolicyCertificates(Part):
    """What certificates clients may have."""

    model_config = ConfigDict(
        json_schema_extra=rules(duration_rule("self.maxDuration", ">= duration('1s')", "maxDuration must be at least 1s"))
    )

    trust_anchors: Annotated[
        tuple[AnchorSource, ...] | None, Field(min_length=1, max_length=8, json_schema_extra=ATOMIC)
    ] = None
    """CA certificates that chains of tls_client_auth clients may end in, pinned by certificate; a client keeps those of its
    own that every matching policy names, and is refused when none is left. Whoever can write the ConfigMap decides. An
    anchor that a policy names is shared: see allowedSubjects."""

    allowed_subjects: AllowedSubjects | None = None
    """Subjects that clients may claim. Where no policy names any: under an anchor that others share, the SPIFFE URIs of the
    client's own namespace; under its own anchors, any. SPIFFE URIs of the trust domain are always their namespace's own."""
    allowed_issuers: Annotated[
        tuple[IssuerRef, ...] | None, Field(max_length=64, json_schema_extra=map_list("name", "kind", "group"))
    ] = None
    """Issuers that `spec.certificate` may name. Where no policy names any: every ClusterIssuer, and the Issuers of the
    client's namespace. An empty list: none."""
    minimum_key: MinimumKey | None = None
    """How large the key of a client's certificate has to be."""
    max_duration: Duration | None = None
    """How long a certificate may be valid in all, from `notBefore` to `notAfter`. A client that asks cert-manager for more
    is refused; a default is cut."""
    require_client_auth_usage: bool | None = None
    """Whether the extended key usage has to name clientAuth. Where no policy says so, a certificate without the extension
    will do (RFC 5280 section 4.2.1.12)."""
    dn_matching: Literal["Standard", "Exact"] | None = None
    """How a subject `dn` is compared: by the rules of RFC 4517 (`Standard`, where no policy says otherwise), or attribute by
    attribute as written (`Exact`)."""
    revocation: Revocation | None = None
    """Whether certificates are looked up in CRLs. Where no policy says so, they are not."""
    denied_thumbprints: Annotated[tuple[WrittenThumbprint, ...] | None, Field(max_length=1024, json_schema_extra=SET)] = None
    """`x5t#S256` of certificates that are refused for every client, whomever the policy selects, and whose tokens are
    inactive: what to write when a key is stolen."""


class PolicyGrants(Part):
    """What clients may ask for."""

    allowed_grant_types: Annotated[
        tuple[Literal["client_credentials"], ...] | None, Field(max_length=8, json_schema_extra=SET)
    ] = None
    """Grants that clients may list. Where no policy names any: all. An empty list: none."""
    allowed_scopes: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[!#-\[\]-~]+$")], ...] | None,
        Field(max_length=64, json_schema_extra=SET),
    ] = None
    """Scopes that clients may list; `*` at the end stands for any ending, `*` alone for all. Where no policy names any:
    all. An empty list: none."""
    allowed_resources: Annotated[tuple[HttpsUriPattern, ...] | None, Field(max_length=64, json_schema_extra=SET)] = None
    """Audiences that no OAuthClient owns and that may be asked for all the same; `*` stands for one label of the host or
    segment of the path."""
    allowed_audiences: Annotated[tuple[HttpsUriPattern, ...] | None, Field(max_length=64, json_schema_extra=SET)] = None
    """Audiences that an API may own beyond `*.<namespace>.svc`, which it has by right; `*` as above, `{namespace}` stands
    for the client's."""
    allowed_client_ids: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=253)], ...] | None,
        Field(max_length=64, json_schema_extra=SET),
    ] = None
    """Client ids that may be chosen beyond `<namespace>.…`, which everybody may; `*` at the end stands for any ending,
    `{namespace}` for the client's."""


class MTLSPolicySpec(Part):
    """What is asked, and of whom."""

    namespace_selector: LabelSelector | None = None
    """Namespaces whose clients are meant. Default: all."""
    client_selector: LabelSelector | None = None
    """OAuthClients that are meant, by labels which their authors write. Default: all."""
    mode: Literal["Enforce", "Warn", "Audit"] = "Enforce"
    """What follows where a client breaks the policy. `Enforce`: it is refused. `Warn`: it works, and its own `Accepted` says
    `PolicyWarning`. `Audit`: it works, and only `status.violations` tells. What a policy in `Warn` or `Audit` names, down to
    denied thumbprints, CRLs and trust anchors, changes nothing of what clients may."""
    authentication: PolicyAuthentication | None = None
    """How clients may prove who they are."""
    tokens: PolicyTokens | None = None
    """What access tokens have to look like."""
    certificates: PolicyCertificates | None = None
    """What certificates clients may have."""
    grants: PolicyGrants | None = None
    """What clients may ask for."""


class Violation(Part):
    """A client that breaks the policy."""

    namespace: Annotated[str, Field(max_length=63)]
    """Its namespace."""
    name: Annotated[str, Field(max_length=253)]
    """Its name."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """What was expected and what was found."""


class Violations(Part):
    """Clients that break the policy, or would if it were enforced."""

    count: Annotated[int, Field(ge=0, json_schema_extra={"format": "int32"})] = 0
    """How many there are."""
    first: Annotated[tuple[Violation, ...], Field(max_length=20, json_schema_extra=ATOMIC)] = ()
    """The first twenty, by namespace and name."""


class LastAccepted(Part):
    """The form that was last accepted, which stays in force while a later one cannot be."""

    spec: Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True} | ATOMIC_MAP)]
    """The spec as it was then, kept as it stood even if later schemas know other fields."""
    trust_anchors: Annotated[
        tuple[Annotated[str, Field(max_length=16384)], ...], Field(max_length=32, json_schema_extra=ATOMIC)
    ] = ()
    """What its trustAnchors were then, as base64 of DER: a ConfigMap that is gone does not take them away."""


class MTLSPolicyStatus(Part):
    """What was observed of the policy."""

    observed_generation: Annotated[int | None, Field(ge=UNSEEN, json_schema_extra={"format": "int64"})] = None
    """metadata.generation that this status was made of; -1: nobody has looked yet."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=32, json_schema_extra=map_list("type"))] = ()
    """Ready and Accepted; Reconciling and Stalled only while they are true."""
    last_accepted: LastAccepted | None = None
    """The form of the policy that is in force."""
    matched_clients: Annotated[int | None, Field(ge=0, json_schema_extra={"format": "int32"})] = None
    """How many OAuthClients the policy selects."""
    violations: Violations | None = None
    """Clients that break the policy."""


class MTLSPolicy(Part):
    """Rules for clients, certificates and tokens, for all namespaces or for selected ones.

    Every matching policy applies: allowed sets intersect, maxima take the smallest, requirements take the strictest.
    """

    PLURAL: ClassVar = "mtlspolicies"
    KIND: ClassVar = "MTLSPolicy"
    NAME_LENGTH: ClassVar = 253

    metadata: ObjectMeta
    spec: MTLSPolicySpec
    """What is asked, and of whom."""
    status: MTLSPolicyStatus | None = None
    """What was observed of the policy."""
