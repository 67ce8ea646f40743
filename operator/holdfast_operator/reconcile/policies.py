"""MTLSPolicy objects as reconcile uses them: in which form each is in force, and which of them rule a client.

The last accepted form of a policy stands in its own status (`status.lastAccepted`), written when a form is accepted. So
it survives the operator, people can see it, and an edit that cannot be accepted leaves in force what was there before.
A policy that never had one rules whom its selectors match by denying. Pure. Neighbours: `selectors`, `policy_plan`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.api.v1alpha1.conditions import Reason
from holdfast.api.v1alpha1.convert import parse_mtls_policy, to_policy
from holdfast.policy.model import AllowedSubjects, EffectivePolicy, Policy
from holdfast.policy.resolve import resolve
from holdfast.x509.patterns import parse_subject_pattern
from holdfast.x509.subject import SubjectKind, SubjectRuleError
from holdfast_operator.reconcile import selectors
from holdfast_operator.reconcile.finding import Finding, stalled
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
    """`form`: the spec whose selectors and rules count. `policy` None: never accepted, so whom it matches is denied."""

    name: str
    form: Mapping[str, Any]
    policy: Policy | None
    problem: Finding | None
    """Why the spec as it stands now cannot be accepted; None when it is the form in force."""

    def matches(self, namespace_labels: Mapping[str, str], client_labels: Mapping[str, str]) -> bool:
        """Whether it rules a client with these labels."""
        return selectors.matches(self.form.get("namespaceSelector"), namespace_labels) and selectors.matches(
            self.form.get("clientSelector"), client_labels
        )


def policy_forms(obj: Object) -> tuple[Mapping[str, Any], ...]:
    """The spec as written and the last accepted one: who matches either is concerned by a change of the object."""
    spec, accepted = obj.get("spec") or {}, _last_accepted(obj)
    return (spec,) if accepted is None or accepted == spec else (spec, accepted)


def in_force(obj: Object) -> PolicyInForce:
    """Judge a policy object: its spec, else its last accepted form, else a denial. Never raises."""
    name, spec = obj["metadata"]["name"], obj.get("spec") or {}
    policy, problem = _read(obj)
    if problem is None:
        return PolicyInForce(name=name, form=spec, policy=policy, problem=None)
    accepted = _last_accepted(obj)
    if accepted is not None:
        policy, _ = _read({**obj, "spec": accepted})
        if policy is not None:
            return PolicyInForce(name=name, form=accepted, policy=policy, problem=problem)
    return PolicyInForce(name=name, form=spec, policy=None, problem=problem)


def effective_policy(
    policies: Iterable[PolicyInForce],
    namespace_labels: Mapping[str, str],
    client_labels: Mapping[str, str],
    settings: ReconcileSettings,
) -> EffectivePolicy:
    """What all policies that match a client come to."""
    matching = [p for p in policies if p.matches(namespace_labels, client_labels)]
    return resolve(
        (p.policy for p in matching if p.policy is not None),
        trust_domain=settings.trust_domain,
        cluster_domain=settings.cluster_domain,
        unaccepted=[p.name for p in matching if p.policy is None],
    )


def _last_accepted(obj: Object) -> Mapping[str, Any] | None:
    accepted = (obj.get("status") or {}).get("lastAccepted") or {}
    spec = accepted.get("spec")
    return spec if isinstance(spec, Mapping) else None


def _read(obj: Object) -> tuple[Policy | None, Finding | None]:
    """The policy, or what is wrong with it."""
    spec = obj.get("spec") or {}
    for member in ("namespaceSelector", "clientSelector"):
        if found := selectors.problem(spec.get(member)):
            return None, stalled(Reason.INVALID_SPEC, f"spec.{member}.{found}")
    try:
        policy = to_policy(parse_mtls_policy(obj))
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
