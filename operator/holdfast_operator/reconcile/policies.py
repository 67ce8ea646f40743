"""MTLSPolicy objects as reconcile uses them: in which form each is in force, and which of them rule a client.

The last accepted form of a policy stands in its own status (`status.lastAccepted`), written when a form is accepted. So
it survives the operator, people can see it, and an edit that cannot be accepted leaves in force what was there before.
A policy that never had one rules whom its selectors match by denying. Pure. Neighbours: `selectors`, `policy_plan`.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from holdfast.api.v1alpha1.conditions import Reason
from holdfast.api.v1alpha1.convert import parse_mtls_policy, to_policy
from holdfast.oauth.client_metadata import TrustAnchor, anchor_name
from holdfast.policy.model import AllowedSubjects, EffectivePolicy, Policy, PolicyMode
from holdfast.policy.resolve import enforced, resolve
from holdfast.x509.patterns import parse_subject_pattern
from holdfast.x509.subject import SubjectKind, SubjectRuleError
from holdfast_operator.reconcile import selectors
from holdfast_operator.reconcile.anchors import Unusable
from holdfast_operator.reconcile.authorities import authority
from holdfast_operator.reconcile.finding import Finding, stalled
from holdfast_operator.reconcile.names import mapping
from holdfast_operator.reconcile.policy_sources import (
    ConfigMaps,
    pinned_anchors,
    referenced_config_maps,
    revocation_lists,
)
from holdfast_operator.reconcile.ports import Object
from holdfast_operator.reconcile.settings import ReconcileSettings

_PATTERNS = {
    "uris": SubjectKind.URI,
    "dns_names": SubjectKind.DNS,
    "ip_addresses": SubjectKind.IP,
    "email_addresses": SubjectKind.EMAIL,
    "distinguished_names": SubjectKind.DN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyInForce:
    """`form`: the spec whose selectors and rules count. `policy` None: never accepted, so whom it matches is denied.

    `anchors`: DER of the CA certificates that it pins. `lists`: of the CRLs that it brings; None: they cannot be read now.
    """

    name: str
    form: Mapping[str, Any]
    policy: Policy | None
    problem: Finding | None
    """Why the spec as it stands now cannot be accepted; None when it is the form in force."""
    anchors: tuple[bytes, ...] = ()
    lists: tuple[bytes, ...] | None = ()

    @property
    def mode(self) -> PolicyMode:
        """Of a policy that was never accepted: as it is written, and where that cannot be read it is enforced."""
        if self.policy is not None:
            return self.policy.mode
        written = self.form.get("mode")
        return next((mode for mode in PolicyMode if mode.value == written), PolicyMode.ENFORCE)

    @property
    def enforced(self) -> bool:
        """Whether it changes what clients may; else it only tells."""
        return self.mode is PolicyMode.ENFORCE

    def matches(self, namespace_labels: Mapping[str, str], client_labels: Mapping[str, str]) -> bool:
        """Whether it rules a client with these labels."""
        return selectors.matches(self.form.get("namespaceSelector"), namespace_labels) and selectors.matches(
            self.form.get("clientSelector"), client_labels
        )


def policy_forms(obj: Object) -> tuple[Mapping[str, Any], ...]:
    """The spec as written and the last accepted one: who matches either is concerned by a change of the object."""
    spec, accepted = mapping(obj.get("spec")), _last_accepted(obj)
    return (spec,) if accepted is None or accepted == spec else (spec, accepted)


def is_accepted_as_written(obj: Object) -> bool:
    """Whether its status says that the form in force is the one that is written."""
    return _last_accepted(obj) == mapping(obj.get("spec"))


def config_maps_of(policies: Iterable[Object]) -> frozenset[tuple[str, str]]:
    """Namespace and name of each ConfigMap that a form of these policies refers to."""
    return frozenset(place for obj in policies for form in policy_forms(obj) for place in referenced_config_maps(form))


_JUDGED: dict[tuple[object, ...], PolicyInForce] = {}
"""By the versions of what they were made from: every pass over every client looks at all policies."""
_JUDGED_LIMIT = 4096  # entries; beyond any number of policies, so that old versions do not pile up


def in_force(obj: Object, config_maps: ConfigMaps | None = None) -> PolicyInForce:
    """Judge a policy object: its spec, else its last accepted form, else a denial. Never raises."""
    sources = config_maps or {}
    versions = _versions(obj, sources)
    if versions is None:
        return _judge(obj, sources)
    if versions not in _JUDGED:
        if len(_JUDGED) >= _JUDGED_LIMIT:
            _JUDGED.clear()
        _JUDGED[versions] = _judge(obj, sources)
    return _JUDGED[versions]


def _versions(obj: Object, config_maps: ConfigMaps) -> tuple[object, ...] | None:
    """What tells the content of a policy and of all that it refers to; None for objects that no store has kept."""
    read = [(place, config_maps.get(place)) for place in sorted(config_maps_of([obj]))]
    stored = [obj, *(found for _, found in read if found is not None)]
    versions = [(m.get("uid"), m.get("resourceVersion")) for m in (mapping(o.get("metadata")) for o in stored)]
    if not all(uid and version for uid, version in versions):
        return None
    return (*versions, *(place for place, found in read if found is None))


def _judge(obj: Object, sources: ConfigMaps) -> PolicyInForce:
    name, spec = obj["metadata"]["name"], mapping(obj.get("spec"))
    found, problem = _read(obj, sources)
    if found is not None:
        return PolicyInForce(
            name=name, form=spec, policy=found.policy, problem=None, anchors=found.anchors, lists=found.lists
        )
    accepted = _last_accepted(obj)
    before = None if accepted is None else _read_accepted({**obj, "spec": accepted}, sources)
    if accepted is None or before is None:
        return PolicyInForce(name=name, form=spec, policy=None, problem=problem)
    return PolicyInForce(
        name=name, form=accepted, policy=before.policy, problem=problem, anchors=before.anchors, lists=before.lists
    )


@dataclass(frozen=True, slots=True)
class _Read:
    policy: Policy
    anchors: tuple[bytes, ...]
    lists: tuple[bytes, ...] | None


def _read_accepted(obj: Object, config_maps: ConfigMaps) -> _Read | None:
    """The last accepted form, with the anchors that it had then: a ConfigMap that is gone takes nothing away."""
    anchors = _accepted_anchors(obj)
    policy, _ = _parse(obj, anchors)
    if policy is None:
        return None
    try:
        lists: tuple[bytes, ...] | None = revocation_lists(parse_mtls_policy(obj), config_maps)
    except Unusable:
        lists = None
    return _Read(policy, anchors or (), lists)


def _accepted_anchors(obj: Object) -> tuple[bytes, ...] | None:
    if not (mapping(obj["spec"].get("certificates")).get("trustAnchors")):
        return None
    kept = mapping(mapping(obj.get("status")).get("lastAccepted")).get("trustAnchors") or ()
    try:
        return tuple(base64.b64decode(entry, validate=True) for entry in kept)
    except (binascii.Error, TypeError, ValueError):
        return ()  # pins nothing that exists, and so lets nobody in


def effective_policy(
    policies: Iterable[PolicyInForce],
    namespace_labels: Mapping[str, str],
    client_labels: Mapping[str, str],
    settings: ReconcileSettings,
) -> EffectivePolicy:
    """What all policies that match a client, and are enforced, come to."""
    matching = [p for p in policies if p.matches(namespace_labels, client_labels)]
    return _resolved(
        enforced(p.policy for p in matching if p.policy is not None),
        tuple(p.name for p in matching if p.policy is None and p.enforced),
        settings.trust_domain,
        settings.cluster_domain,
    )


@lru_cache(maxsize=1024)  # few combinations of policies rule many clients, and each has a hash to be made
def _resolved(
    policies: tuple[Policy, ...], unaccepted: tuple[str, ...], trust_domain: str, cluster_domain: str
) -> EffectivePolicy:
    return resolve(policies, trust_domain=trust_domain, cluster_domain=cluster_domain, unaccepted=unaccepted)


def written_policies(
    policies: Iterable[PolicyInForce], namespace_labels: Mapping[str, str], client_labels: Mapping[str, str]
) -> tuple[Policy, ...]:
    """Those that match a client, each by itself and in whatever mode."""
    matching = (p for p in policies if p.policy is not None and p.matches(namespace_labels, client_labels))
    return tuple(p.policy for p in matching if p.policy is not None)


def policy_anchors(
    policies: Iterable[PolicyInForce], namespace_labels: Mapping[str, str], client_labels: Mapping[str, str]
) -> tuple[TrustAnchor, ...]:
    """The anchors of all enforced policies that match a client; others have certificates under them, too."""
    matching = (p for p in policies if p.enforced and p.matches(namespace_labels, client_labels))
    return tuple(TrustAnchor(der=der, shared=True) for der in dict.fromkeys(d for p in matching for d in p.anchors))


def pinned_keys(policies: Iterable[PolicyInForce]) -> frozenset[str]:
    """SHA-256 of the public key of every anchor that an enforced policy names: it is shared wherever it is written."""
    return frozenset(authority(der).spki_sha256 for p in policies if p.enforced for der in p.anchors)


def _last_accepted(obj: Object) -> Mapping[str, Any] | None:
    accepted = mapping(mapping(obj.get("status")).get("lastAccepted"))
    spec = accepted.get("spec")
    return spec if isinstance(spec, Mapping) else None


def _read(obj: Object, config_maps: ConfigMaps) -> tuple[_Read | None, Finding | None]:
    """The policy with what it keeps in ConfigMaps, or what is wrong with it."""
    policy, problem = _parse(obj, None)
    if policy is None:
        return None, problem
    try:
        written = parse_mtls_policy(obj)
        anchors, lists = pinned_anchors(written, config_maps), revocation_lists(written, config_maps)
    except Unusable as error:
        return None, error.finding
    policy, problem = _parse(obj, anchors)
    return (None, problem) if policy is None else (_Read(policy, anchors or (), lists), None)


def _parse(obj: Object, anchors: tuple[bytes, ...] | None) -> tuple[Policy | None, Finding | None]:
    """The policy as a value that pins `anchors`, or what is wrong with its spec."""
    spec = mapping(obj.get("spec"))
    for member in ("namespaceSelector", "clientSelector"):
        if found := selectors.problem(spec.get(member)):
            return None, stalled(Reason.INVALID_SPEC, f"spec.{member}.{found}")
    try:
        policy = to_policy(parse_mtls_policy(obj), None if anchors is None else frozenset(map(anchor_name, anchors)))
        _check_patterns(policy.allowed_subjects)
    except SubjectRuleError as error:
        return None, stalled(Reason.INVALID_PATTERN, str(error))
    except ValueError as error:
        return None, stalled(Reason.INVALID_SPEC, str(error))
    return policy, None


def _check_patterns(subjects: AllowedSubjects | None) -> None:
    """Raises SubjectRuleError: a pattern that cannot be read would allow nobody, and nobody would know why."""
    for member, kind in _PATTERNS.items() if subjects is not None else ():
        for pattern in getattr(subjects, member):
            filled = pattern.replace("{namespace}", "namespace").replace("{serviceAccount}", "account")
            try:
                parse_subject_pattern(kind, filled)
            except SubjectRuleError as error:
                raise SubjectRuleError(f"spec.certificates.allowedSubjects: {pattern!r}: {error}") from None
