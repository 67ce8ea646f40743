"""Whether a client may be what it says it is, under the policy that rules it.

The same functions run in reconcile, in `holdfast dev` and at the token endpoint, so all three say the same. Pure: a
client and a policy in, a Decision out. Must not know certificates presented (see `holdfast.x509`) or requests
(see `audience`).
"""

import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.policy.decision import ALLOW, Decision, DenialReason
from holdfast.policy.model import AllowedSubjects, EffectivePolicy, IssuerName
from holdfast.policy.scopes import scope_allowed
from holdfast.x509.patterns import parse_subject_pattern, subject_allowed
from holdfast.x509.subject import SubjectKind, SubjectRule, SubjectRuleError

_MEMBERS = {
    SubjectKind.URI: "uris",
    SubjectKind.DNS: "dns_names",
    SubjectKind.IP: "ip_addresses",
    SubjectKind.EMAIL: "email_addresses",
    SubjectKind.DN: "distinguished_names",
}

_BY_KEYS = frozenset({"self_signed_tls_client_auth", "private_key_jwt"})
"""Methods that know a client by its registered keys (RFC 8705 section 2.2, RFC 7523)."""

_LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
"""A Kubernetes name (RFC 1123 subdomain), which is harmless in a pattern of any kind."""
_PLAIN_URI = re.compile(r"[A-Za-z0-9\-._~:/?!$&'()*+,;=%\[\]]+")
"""RFC 3986 without user information and fragment, in which another host could hide."""


class Anchor(Protocol):
    """What policies look at of a trust anchor: `name` as they name it, and whether others may have it sign, too."""

    @property
    def name(self) -> str: ...

    @property
    def shared(self) -> bool: ...


AnyAnchor = TypeVar("AnyAnchor", bound=Anchor)


def evaluate_client(client: ClientMetadata, policy: EffectivePolicy) -> Decision:
    """The first thing that the policy does not allow, or that everything is allowed."""
    return next((d for d in client_decisions(client, policy) if not d.allowed), ALLOW)


def client_decisions(
    client: ClientMetadata, policy: EffectivePolicy, anchors: Iterable[Anchor] | None = None
) -> Iterator[Decision]:
    """What the policy says of each thing that it looks at, in the order in which people are told.

    `anchors`: what is known of the client's, where that is not the certificates themselves.
    """
    owner = client.owner
    yield _evaluate_acceptance(policy)
    yield evaluate_client_id(client.client_id, owner.namespace, policy)
    yield _evaluate_method(client, policy)
    yield _evaluate_binding(client, policy)
    yield _evaluate_lifetime(client, policy)
    yield _evaluate_grant_types(client, policy)
    yield _evaluate_scopes(client, policy)
    yield _evaluate_keys(client)
    yield evaluate_authentication(client, policy, client.trust_anchors if anchors is None else anchors)
    for audience in client.resource_server.audiences if client.resource_server else ():
        yield evaluate_audience(audience, owner.namespace, policy)


def _evaluate_acceptance(policy: EffectivePolicy) -> Decision:
    if not policy.unaccepted:
        return ALLOW
    names = ", ".join(policy.unaccepted)
    return Decision.deny(
        DenialReason.POLICY_NOT_ACCEPTED, f"MTLSPolicy {names} matches this client and was never accepted: mend it first"
    )


def _evaluate_method(client: ClientMetadata, policy: EffectivePolicy) -> Decision:
    method = client.token_endpoint_auth_method
    if method in policy.allowed_methods:
        return ALLOW
    allowed = ", ".join(sorted(policy.allowed_methods)) or "none"
    return Decision.deny(
        DenialReason.METHOD_NOT_ALLOWED, f"spec.authentication.method: expected one of {allowed}, found {method}"
    )


def _evaluate_binding(client: ClientMetadata, policy: EffectivePolicy) -> Decision:
    if policy.require_certificate_bound and not client.certificate_bound:
        return Decision.deny(DenialReason.BINDING_REQUIRED, "spec.tokens.certificateBound: expected true, found false")
    return ALLOW


def _evaluate_lifetime(client: ClientMetadata, policy: EffectivePolicy) -> Decision:
    limit, asked = policy.max_lifetime, client.token_lifetime
    if limit is not None and asked is not None and asked > limit:
        return Decision.deny(
            DenialReason.LIFETIME_TOO_LONG, f"spec.tokens.lifetime: expected at most {limit}s, found {asked}s"
        )
    return ALLOW


def _evaluate_grant_types(client: ClientMetadata, policy: EffectivePolicy) -> Decision:
    for entry in policy.allowed_grant_types:
        if refused := [grant for grant in client.grant_types if grant not in entry]:
            return Decision.deny(
                DenialReason.GRANT_TYPE_NOT_ALLOWED,
                f"spec.grantTypes: expected {', '.join(sorted(entry)) or 'none'}, found {', '.join(refused)}",
            )
    return ALLOW


def _evaluate_scopes(client: ClientMetadata, policy: EffectivePolicy) -> Decision:
    for entry in policy.allowed_scopes:
        if refused := [scope for scope in client.scopes if not any(scope_allowed(scope, p) for p in entry)]:
            return Decision.deny(
                DenialReason.SCOPE_NOT_ALLOWED,
                f"spec.scopes: expected {', '.join(sorted(entry)) or 'none'} (a policy's allowedScopes), "
                f"found {', '.join(refused)}",
            )
    return ALLOW


def _evaluate_keys(client: ClientMetadata) -> Decision:
    if client.token_endpoint_auth_method not in _BY_KEYS or client.jwks or client.jwks_uri:
        return ALLOW
    return Decision.deny(
        DenialReason.KEYS_MISSING,
        f"spec.authentication: expected jwks or jwksUri with {client.token_endpoint_auth_method}, found neither",
    )


def allowed_anchors(anchors: Iterable[AnyAnchor], policy: EffectivePolicy) -> tuple[AnyAnchor, ...]:
    """Those that every policy which names trust anchors names, compared as whole certificates."""
    found = tuple(anchors)
    if not policy.allowed_anchors:
        return found
    return tuple(a for a in found if all(a.name in entry for entry in policy.allowed_anchors))


def evaluate_authentication(client: ClientMetadata, policy: EffectivePolicy, anchors: Iterable[Anchor]) -> Decision:
    """Whether the client may claim its subject under these anchors: its own, or as far as they are known."""
    found = tuple(anchors)
    if client.token_endpoint_auth_method != "tls_client_auth":  # noqa: S105  (a method's name)
        return ALLOW
    if client.subject is None:
        return Decision.deny(
            DenialReason.SUBJECT_MISSING, "spec.authentication.subject: expected one of the five, found none"
        )
    if not found:
        return Decision.deny(DenialReason.TRUST_ANCHOR_MISSING, "no trust anchor is left for this client")
    left = allowed_anchors(found, policy)
    if not left:
        return _deny_anchors(found)
    shared = any(anchor.shared for anchor in left)
    return evaluate_subject(client.subject, client.owner.namespace, client.owner.service_account, policy, shared=shared)


def _deny_anchors(anchors: Iterable[Anchor]) -> Decision:
    found = ", ".join(anchor.name for anchor in anchors)
    return Decision.deny(
        DenialReason.TRUST_ANCHOR_NOT_ALLOWED,
        "spec.authentication.trustAnchors, or the CA of the issuer: expected a CA certificate that every policy with "
        f"certificates.trustAnchors names, found those of SHA-256 {found}",
    )


def evaluate_subject(
    subject: SubjectRule, namespace: str, service_account: str, policy: EffectivePolicy, *, shared: bool
) -> Decision:
    """Whether a namespace may claim a subject. `shared`: whether others may have a certificate under the same anchor.

    A URI of our trust domain is always the namespace's that it names, whatever a policy lists and whoever signs.
    """
    if _is_of_trust_domain(subject, policy) and not _matches(subject, own_subjects(namespace, policy), namespace, "*"):
        return _deny_subject(
            subject, own_subjects(namespace, policy), "a SPIFFE ID of this trust domain belongs to its namespace"
        )
    entries = policy.allowed_subjects
    if not entries and shared:
        entries = (AllowedSubjects(uris=own_subjects(namespace, policy)),)
    for entry in entries:
        patterns = getattr(entry, _MEMBERS[subject.kind])
        if not _matches(subject, patterns, namespace, service_account):
            return _deny_subject(subject, patterns, f"allowed for {subject.kind}")
    return ALLOW


def own_subjects(namespace: str, policy: EffectivePolicy) -> tuple[str, ...]:
    """What every namespace may claim where no policy says otherwise; nothing for what is no namespace's name."""
    filled = filled_in(f"spiffe://{policy.trust_domain}/ns/{{namespace}}/sa/*", namespace)
    return () if filled is None else (filled,)


def _deny_subject(subject: SubjectRule, patterns: Iterable[str], why: str) -> Decision:
    allowed = ", ".join(patterns) or "none of this kind"
    return Decision.deny(
        DenialReason.SUBJECT_NOT_ALLOWED,
        f"spec.authentication.subject.{subject.kind}: expected {allowed} ({why}), found {subject.value}",
    )


def _is_of_trust_domain(subject: SubjectRule, policy: EffectivePolicy) -> bool:
    if subject.kind is not SubjectKind.URI or not subject.canonical.startswith("spiffe:"):
        return False
    return urlsplit(subject.canonical).netloc.lower() == policy.trust_domain.lower()


def _matches(subject: SubjectRule, patterns: Iterable[str], namespace: str, service_account: str) -> bool:
    return any(_inside(subject, pattern, namespace, service_account) for pattern in patterns)


def _inside(subject: SubjectRule, pattern: str, namespace: str, service_account: str) -> bool:
    filled = filled_in(pattern, namespace, service_account)
    try:
        return filled is not None and subject_allowed(subject, parse_subject_pattern(subject.kind, filled))
    except SubjectRuleError:
        return False  # a pattern that cannot be read allows nobody


def filled_in(pattern: str, namespace: str, service_account: str = "") -> str | None:
    """A pattern with its placeholders filled in; None when a value is no Kubernetes name, and so could widen it."""
    for placeholder, value in (("{namespace}", namespace), ("{serviceAccount}", service_account)):
        if placeholder in pattern:
            if not _NAME.fullmatch(value):
                return None
            pattern = pattern.replace(placeholder, value)
    return pattern


def evaluate_issuer(issuer: IssuerName, policy: EffectivePolicy) -> Decision:
    """Whether a certificate may come from this issuer. Without a policy: any."""
    for entry in policy.allowed_issuers:
        if issuer not in entry:
            allowed = ", ".join(sorted(f"{i.kind}/{i.name}" for i in entry)) or "none"
            return Decision.deny(
                DenialReason.ISSUER_NOT_ALLOWED,
                f"spec.certificate.issuerRef: expected {allowed}, found {issuer.kind}/{issuer.name}",
            )
    return ALLOW


def evaluate_client_id(client_id: str, namespace: str, policy: EffectivePolicy) -> Decision:
    """`<namespace>.…` by right; others where every policy that names client ids lists it."""
    if client_id.startswith(f"{namespace}.") and len(client_id) > len(namespace) + 1:
        return ALLOW
    entries = policy.allowed_client_ids
    if entries and all(any(_glob(client_id, p, namespace) for p in entry) for entry in entries):
        return ALLOW
    return Decision.deny(
        DenialReason.CLIENT_ID_NOT_ALLOWED,
        f"spec.clientId: expected it to begin with {namespace}. or to be allowed by a policy, found {client_id}",
    )


def _glob(value: str, pattern: str, namespace: str) -> bool:
    """A literal with `{namespace}` filled in; a `*` at its end stands for any ending."""
    filled = filled_in(pattern, namespace)
    if filled is None or not filled.endswith("*"):
        return value == filled
    return value.startswith(filled[:-1]) and value != filled[:-1]


def evaluate_audience(audience: str, namespace: str, policy: EffectivePolicy) -> Decision:
    """Whether an API of this namespace may own an audience: `*.<namespace>.svc` by right, others by policy."""
    if _is_service_of(audience, namespace, policy.cluster_domain):
        return ALLOW
    entries = policy.allowed_audiences
    if entries and all(any(_audience_allowed(audience, p, namespace) for p in entry) for entry in entries):
        return ALLOW
    return Decision.deny(
        DenialReason.AUDIENCE_NOT_ALLOWED,
        f"spec.resourceServer.audiences: expected a host *.{namespace}.svc or one that a policy allows, found {audience}",
    )


def _audience_allowed(audience: str, pattern: str, namespace: str) -> bool:
    filled = filled_in(pattern, namespace)
    return filled is not None and uri_allowed(audience, filled)


def _is_service_of(audience: str, namespace: str, cluster_domain: str) -> bool:
    parts = _split(audience)
    if parts is None:
        return False
    host = ".".join(parts.labels)
    owned = rf"({_LABEL}\.)+{re.escape(namespace)}\.svc(\.{re.escape(cluster_domain.lower())})?"
    return re.fullmatch(owned, host) is not None


def uri_allowed(uri: str, pattern: str) -> bool:
    """Equal, or `*` in the place of whole host labels or path segments; scheme, port and query are compared as they are."""
    if uri == pattern:
        return True
    have, want = _split(uri), _split(pattern)
    if have is None or want is None or (have.rest, len(have.labels)) != (want.rest, len(want.labels)):
        return False
    pairs = [*zip(have.labels, want.labels, strict=True), *zip_longest(have.segments, want.segments)]
    return all(mine == allowed or (allowed == "*" and bool(mine)) for mine, allowed in pairs)


class _UriParts(NamedTuple):
    labels: tuple[str, ...]
    segments: tuple[str, ...]
    rest: tuple[str, str, str]
    """Scheme, port, query."""


def _split(uri: str) -> _UriParts | None:
    """None for what is no plain URI: such a one may seem to have a host that it does not have."""
    if not _PLAIN_URI.fullmatch(uri):
        return None
    try:
        parts = urlsplit(uri)
        port = "" if parts.port is None else str(parts.port)
    except ValueError:
        return None
    labels = tuple((parts.hostname or "").split("."))
    return _UriParts(labels, tuple(parts.path.split("/")), (parts.scheme, port, parts.query))
