"""`plan`: everything that was seen of a client in, everything that should be written out. Pure and total.

Owns the order of the judgements: request, policies, certificate, registration, and what each of them means for the
next. Carrying a plan out changes what is observed; planning again with that gives the next plan, until one has no
actions. Neighbours: one module per judgement; `reconciler` observes and executes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from holdfast.api.v1alpha1.conditions import ConditionType, Reason
from holdfast.oauth.client_metadata import ClientMetadata, TrustAnchor
from holdfast.policy.attribution import Breach
from holdfast.policy.evaluate import allowed_anchors, evaluate_client
from holdfast.policy.model import EffectivePolicy, PolicyMode
from holdfast_operator.reconcile.acceptance import CONFLICTS, held_by_another, judge_acceptance, refused, with_warnings
from holdfast_operator.reconcile.actions import Action, ApplyCertificate, DeleteCertificate, Plan, RenewCertificate
from holdfast_operator.reconcile.approval import unguarded
from holdfast_operator.reconcile.breaches import breaches_of_request
from holdfast_operator.reconcile.certificate import CertificateVerdict, Ruled, find_certificate, judge_certificate
from holdfast_operator.reconcile.conditions import first_in_the_way, ready, with_kstatus
from holdfast_operator.reconcile.deletion import plan_deletion
from holdfast_operator.reconcile.events import transitions
from holdfast_operator.reconcile.expiry import expiring, seconds_until_notice
from holdfast_operator.reconcile.finding import Finding, stalled, unjudged
from holdfast_operator.reconcile.names import is_owned_by, mapping
from holdfast_operator.reconcile.observed import Observed, RegistryUnreachable
from holdfast_operator.reconcile.policies import (
    effective_policy,
    in_force,
    pinned_keys,
    policy_anchors,
    written_policies,
)
from holdfast_operator.reconcile.ports import Object
from holdfast_operator.reconcile.registration import (
    RegistrationVerdict,
    former_anchors,
    judge_registration,
    keep,
    unreachable,
    withdraw,
)
from holdfast_operator.reconcile.request import ClientRequest, client_metadata, read_request, unreadable
from holdfast_operator.reconcile.resources import as_told_before, judge_resources
from holdfast_operator.reconcile.status import build_status, is_same_status, token_issued

CONFLICT_RETRY = 30.0
"""Seconds after which a client that the registry refused asks again: what it collided with may be gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judgement:
    accepted: Finding
    certificate: CertificateVerdict
    registration: RegistrationVerdict


def plan(observed: Observed) -> Plan:
    """Never raises on a bad object: what is wrong with it becomes a condition."""
    if observed.client["metadata"].get("deletionTimestamp"):
        return plan_deletion(observed)
    if observed.namespace_ends:
        return Plan()
    policies = [in_force(p, observed.policy_config_maps) for p in observed.policies]
    labels = observed.client["metadata"].get("labels") or {}
    ruled = Ruled(
        policy=effective_policy(policies, observed.namespace_labels, labels, observed.settings),
        anchors=policy_anchors(policies, observed.namespace_labels, labels),
        written=written_policies(policies, observed.namespace_labels, labels),
    )
    observed = replace(observed, shared_keys=observed.shared_keys | pinned_keys(policies))
    return _compose(observed, ruled.policy, _judge(observed, ruled))


def _judge(observed: Observed, ruled: Ruled) -> _Judgement:
    policy = ruled.policy
    try:
        request = read_request(observed.client, observed.settings.trust_domain)
    except ValueError as error:
        return _unreadable(observed, policy, stalled(unreadable(error), str(error)))
    certificate = judge_certificate(observed, request, ruled)
    anchors = certificate.anchors or former_anchors(observed)
    accepted = judge_acceptance(request, policy, anchors, _breaches(observed, request, ruled, anchors, PolicyMode.ENFORCE))
    if not accepted.holds:
        return _Judgement(
            accepted=accepted,
            certificate=_not_asked_for(certificate),
            registration=withdraw(observed, "the client is not accepted"),
        )
    registry, breaches = observed.registry, _breaches(observed, request, ruled, anchors, PolicyMode.WARN)
    if isinstance(registry, RegistryUnreachable):
        told = with_warnings(as_told_before(observed.client), breaches)
        return _Judgement(accepted=told, certificate=certificate, registration=unreachable(registry))
    if taken := held_by_another(registry.stored, observed.client, policy):
        return _Judgement(
            accepted=taken,
            certificate=_not_asked_for(certificate),
            registration=withdraw(observed, "the client id is another's"),
        )
    if registry.refusal is not None:
        return _Judgement(
            accepted=refused(registry.refusal),
            certificate=certificate,
            registration=keep(observed, policy, "the server refused the client"),
        )
    resources = judge_resources(client_metadata(request, (), policy.hash), policy, registry)
    return _Judgement(
        accepted=with_warnings(resources, breaches),
        certificate=certificate,
        registration=_registration(observed, request, policy, certificate),
    )


def _breaches(
    observed: Observed, request: ClientRequest, ruled: Ruled, anchors: tuple[TrustAnchor, ...], mode: PolicyMode
) -> Iterator[Breach]:
    owners = {} if isinstance(observed.registry, RegistryUnreachable) else observed.registry.owners
    return breaches_of_request(request, observed.client, ruled.written, observed.settings, anchors, owners, mode)


def _unreadable(observed: Observed, policy: EffectivePolicy, problem: Finding) -> _Judgement:
    return _Judgement(
        accepted=problem,
        certificate=CertificateVerdict(finding=unjudged(problem.reason, "the spec cannot be read")),
        registration=keep(observed, policy, "the spec cannot be read"),
    )


def _registration(
    observed: Observed, request: ClientRequest, policy: EffectivePolicy, certificate: CertificateVerdict
) -> RegistrationVerdict:
    if certificate.withdraw:
        return withdraw(observed, "the client's trust anchors cannot be read")
    anchors = allowed_anchors(certificate.anchors or former_anchors(observed), policy)
    if request.by_keys:
        anchors = ()
    if not (certificate.keys if request.publishes else anchors or request.by_keys):
        return keep(observed, policy, "waits for the certificate")
    wanted = client_metadata(request, anchors, policy.hash, certificate.keys)
    return judge_registration(observed, _with_former(wanted, certificate.former_anchors, policy), policy)


def _with_former(wanted: ClientMetadata, former: tuple[TrustAnchor, ...], policy: EffectivePolicy) -> ClientMetadata:
    """The CA before as well, unless policies would deny the client for it."""
    both = replace(wanted, trust_anchors=(*wanted.trust_anchors, *allowed_anchors(former, policy)))
    return both if evaluate_client(both, policy).allowed else wanted


def _not_asked_for(verdict: CertificateVerdict) -> CertificateVerdict:
    """A client that is not accepted gets no Certificate; one that it has stays."""
    if verdict.apply is None and verdict.renew is None:
        return verdict
    return replace(
        verdict,
        apply=None,
        renew=None,
        finding=unjudged(verdict.finding.reason, "not asked for: the client is not accepted"),
    )


def _compose(observed: Observed, policy: EffectivePolicy, judged: _Judgement) -> Plan:
    certificate, registration = judged.certificate, judged.registration
    findings = {
        ConditionType.ACCEPTED: judged.accepted,
        ConditionType.CERTIFICATE_READY: certificate.finding,
        ConditionType.REGISTERED: registration.finding,
    }
    suspend = bool(mapping(observed.client.get("spec")).get("suspend"))
    summary = ready(first_in_the_way(findings.values()), suspend=suspend, reservation=judged.accepted.summary)
    told = {
        ConditionType.TOKEN_ISSUED: token_issued(observed, registration.stored),
        **unguarded(observed),
        **expiring(certificate.lasts, observed.now),
    }
    found = with_kstatus({**findings, **told}, summary)
    before = mapping(observed.client.get("status"))
    status = build_status(
        observed,
        found,
        policy=policy,
        certificate=_shown_certificate(certificate) or _former_certificate(observed, registration),
        stored=registration.stored,
    )
    same = is_same_status(status, dict(before))
    return Plan(
        actions=(*_certificate_actions(observed, certificate), *registration.actions),
        status=None if same else status,
        events=() if same else transitions(dict(before), status),
        requeue_after=_requeue_after(observed, judged),
        retry=isinstance(observed.registry, RegistryUnreachable),
    )


def _shown_certificate(verdict: CertificateVerdict) -> Object | None:
    """With the names of its trust anchors, by which policies say who would break them."""
    if verdict.status is None or not verdict.anchors:
        return verdict.status
    return {**verdict.status, "trustAnchors": [anchor.name for anchor in verdict.anchors]}


def _former_certificate(observed: Observed, registration: RegistrationVerdict) -> Object | None:
    """While a new certificate is on its way, the one that the client is registered with is still the one to show."""
    shown = mapping(observed.client.get("status")).get("certificate")
    goes_on = registration.stored is not None or isinstance(observed.registry, RegistryUnreachable)
    return dict(shown) if shown and goes_on else None


def _certificate_actions(observed: Observed, verdict: CertificateVerdict) -> tuple[Action, ...]:
    if verdict.apply is not None:
        return (ApplyCertificate(verdict.apply),)
    if verdict.renew is not None:
        return (RenewCertificate(verdict.renew),)
    if verdict.delete is not None:
        return (DeleteCertificate(verdict.delete["metadata"]["name"], verdict.delete["metadata"]["uid"]),)
    live = find_certificate(observed)
    brings_own = verdict.finding.reason in (Reason.OWN_CERTIFICATE, Reason.OWN_KEYS)
    if brings_own and live is not None and is_owned_by(live, observed.client):
        return (DeleteCertificate(live["metadata"]["name"], live["metadata"]["uid"]),)
    return ()


def _requeue_after(observed: Observed, judged: _Judgement) -> float | None:
    if isinstance(observed.registry, RegistryUnreachable):
        return observed.registry.retry_after
    lasts = judged.certificate.lasts
    waits = [judged.certificate.requeue_after, judged.registration.requeue_after, seconds_until_notice(lasts, observed.now)]
    if judged.accepted.reason in CONFLICTS:
        waits.append(CONFLICT_RETRY)
    return min((w for w in waits if w is not None), default=None)
