"""Whether a client may be what it says it is, under the policy that rules it.

The same functions run in reconcile, in `holdfast dev` and at the token endpoint, so all three say the same. Pure: a
client and a policy in, a Decision out. Must not know certificates presented (see `holdfast.x509`) or requests
(see `audience`).
"""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.policy.decision import ALLOW, Decision, DenialReason
from holdfast.policy.model import AllowedSubjects, EffectivePolicy, IssuerName
from holdfast.x509.patterns import parse_subject_pattern, subject_allowed
from holdfast.x509.subject import SubjectKind, SubjectRule, SubjectRuleError

_MEMBERS = {
    SubjectKind.URI: "uris",
    SubjectKind.DNS: "dns_names",
    SubjectKind.IP: "ip_addresses",
    SubjectKind.EMAIL: "email_addresses",
    SubjectKind.DN: "distinguished_names",
}


def evaluate_client(client: ClientMetadata, policy: EffectivePolicy) -> Decision:
    """The first thing that the policy does not allow, or that everything is allowed."""
    return next((d for d in _decisions(client, policy) if not d.allowed), ALLOW)


def _decisions(client: ClientMetadata, policy: EffectivePolicy) -> Iterator[Decision]:
    owner = client.owner
    yield _evaluate_acceptance(policy)
    yield evaluate_client_id(client.client_id, owner.namespace, policy)
    yield _evaluate_method(client, policy)
    yield _evaluate_tokens(client, policy)
    yield _evaluate_authentication(client, policy)
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


def _evaluate_tokens(client: ClientMetadata, policy: EffectivePolicy) -> Decision:
    if policy.require_certificate_bound and not client.certificate_bound:
        return Decision.deny(DenialReason.BINDING_REQUIRED, "spec.tokens.certificateBound: expected true, found false")
    limit, asked = policy.max_lifetime, client.token_lifetime
    if limit is not None and asked is not None and asked > limit:
        return Decision.deny(
            DenialReason.LIFETIME_TOO_LONG, f"spec.tokens.lifetime: expected at most {limit}s, found {asked}s"
        )
    return ALLOW


def _evaluate_authentication(client: ClientMetadata, policy: EffectivePolicy) -> Decision:
    if client.token_endpoint_auth_method != "tls_client_auth":  # noqa: S105  (a method's name)
        return ALLOW
    if client.subject is None:
        return Decision.deny(
            DenialReason.SUBJECT_MISSING, "spec.authentication.subject: expected one of the five, found none"
        )
    if not client.trust_anchors:
        return Decision.deny(DenialReason.TRUST_ANCHOR_MISSING, "no trust anchor is left for this client")
    shared = any(anchor.shared for anchor in client.trust_anchors)
    return evaluate_subject(client.subject, client.owner.namespace, client.owner.service_account, policy, shared=shared)


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
    """What every namespace may claim where no policy says otherwise."""
    return (f"spiffe://{policy.trust_domain}/ns/{namespace}/sa/*",)


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
    filled = pattern.replace("{namespace}", namespace).replace("{serviceAccount}", service_account)
    try:
        return subject_allowed(subject, parse_subject_pattern(subject.kind, filled))
    except SubjectRuleError:
        return False  # a pattern that cannot be read allows nobody


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
    filled = pattern.replace("{namespace}", namespace)
    if not filled.endswith("*"):
        return value == filled
    return value.startswith(filled[:-1]) and value != filled[:-1]


def evaluate_audience(audience: str, namespace: str, policy: EffectivePolicy) -> Decision:
    """Whether an API of this namespace may own an audience: `*.<namespace>.svc` by right, others by policy."""
    if _is_service_of(audience, namespace, policy.cluster_domain):
        return ALLOW
    entries = policy.allowed_audiences
    if entries and all(any(uri_allowed(audience, p.replace("{namespace}", namespace)) for p in entry) for entry in entries):
        return ALLOW
    return Decision.deny(
        DenialReason.AUDIENCE_NOT_ALLOWED,
        f"spec.resourceServer.audiences: expected a host *.{namespace}.svc or one that a policy allows, found {audience}",
    )


def _is_service_of(audience: str, namespace: str, cluster_domain: str) -> bool:
    host = (urlsplit(audience).hostname or "").lower()
    label = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
    owned = rf"({label}\.)+{re.escape(namespace)}\.svc(\.{re.escape(cluster_domain.lower())})?"
    return re.fullmatch(owned, host) is not None


def uri_allowed(uri: str, pattern: str) -> bool:
    """Equal, or `*` in the place of whole host labels or path segments."""
    have, want = re.split(r"([/.:])", uri), re.split(r"([/.:])", pattern)
    return len(have) == len(want) and all(w == h or (w == "*" and h) for w, h in zip(want, have, strict=True))
