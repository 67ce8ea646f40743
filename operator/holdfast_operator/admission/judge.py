"""What is to be said of an OAuthClient or an MTLSPolicy before it is stored: objections, and warnings.

One rule: what is certain to be refused in reconcile or by the server is refused here, what may be is warned of. Nothing is
let in by passing: both judge again (design/admission.md). Pure.
Neighbours: `reconcile` and `holdfast.policy` own every rule, `rivals` what others have; `review` and `holdfast lint` call.
"""

from dataclasses import replace

from holdfast.api.v1alpha1.conditions import Reason, reason
from holdfast.oauth.client_metadata import TrustAnchor
from holdfast.policy.attribution import Breach, broken_by
from holdfast.policy.evaluate import allowed_anchors
from holdfast.policy.model import EffectivePolicy, PolicyMode
from holdfast_operator.admission.claimants import claimant_of
from holdfast_operator.admission.objection import ALL_POLICIES, Doubt, Found, Judgement, Objection, judgement
from holdfast_operator.admission.rivals import rivals
from holdfast_operator.admission.world import World
from holdfast_operator.reconcile.acceptance import judge_acceptance
from holdfast_operator.reconcile.anchors import OwnAnchorsOutOfTime, Unusable, own_anchors
from holdfast_operator.reconcile.policies import PolicyInForce, effective_policy, in_force
from holdfast_operator.reconcile.policy_sources import ConfigMaps, referenced_config_maps
from holdfast_operator.reconcile.ports import Key, Kind, Object
from holdfast_operator.reconcile.request import (
    ClientRequest,
    asked_certificate,
    client_metadata,
    read_request,
    unreadable,
)

_MAY_CHANGE = frozenset({Reason.POLICY_NOT_ACCEPTED, Reason.TRUST_ANCHOR_NOT_ALLOWED})
"""What hangs on a policy that is yet to be mended, or on what a ConfigMap holds just now."""
_SOURCES = frozenset(
    {
        Reason.TRUST_ANCHOR_NOT_FOUND,
        Reason.TRUST_ANCHOR_INVALID,
        Reason.TRUST_ANCHOR_UNREADABLE,
        Reason.TRUST_ANCHOR_NOT_AUTHORITY,
        Reason.PRIVATE_KEY_EXPOSED,
        Reason.REVOCATION_LIST_NOT_FOUND,
        Reason.REVOCATION_LIST_INVALID,
    }
)
"""What may be wrong with a ConfigMap that a policy names."""


def judge_client(client: Object, world: World) -> Judgement:
    """`client`: as it is to be stored, with defaults. Never raises on a bad object."""
    written = {member: value for member, value in client.items() if member != "status"}  # not this change's to answer for
    try:
        request = read_request(written, world.settings.trust_domain)
    except ValueError as error:
        return judgement([Objection(unreadable(error), str(error))])
    return judgement([*_by_policies(client, request, world), *rivals(claimant_of(client), world)])


def judge_policy(policy: Object, config_maps: ConfigMaps) -> Judgement:
    """`config_maps`: those that were read; one that the policy names and that is not among them is left unjudged.

    A policy whose sources are not there yet is refused: it would deny every client that it matches until they are.
    """
    problem = in_force(policy, config_maps).problem
    if problem is None:
        return Judgement()
    unread = sorted(referenced_config_maps(policy.get("spec") or {}) - set(config_maps))
    if problem.reason in _SOURCES and unread:
        names = ", ".join("/".join(place) for place in unread)
        return judgement([Doubt(f"ConfigMap {names} could not be read: whether the policy can be used is not known")])
    return judgement([Objection(problem.reason, problem.message, may_come=problem.reason in _SOURCES)])


def _by_policies(client: Object, request: ClientRequest, world: World) -> Found:
    """What the policies that match say, each by itself, and then what holds without any."""
    namespace, labels = client["metadata"]["namespace"], client["metadata"].get("labels") or {}
    rests_on = frozenset({ALL_POLICIES, Key(Kind.NAMESPACE, "", namespace)})
    ruled = effective_policy(world.policies, world.labels_of(namespace), labels, world.settings)
    matching = [p for p in world.policies if p.matches(world.labels_of(namespace), labels)]
    anchors, trouble = _own_anchors(request, world)
    if trouble:
        yield Doubt(trouble)
    breaches = _breaches(request, anchors, ruled, matching, world)
    for breach in breaches:
        why = reason(breach.reason.value)
        if breach.mode is PolicyMode.WARN:
            yield Doubt(f"MTLSPolicy {breach.policy} (Warn): {breach.message}")
        elif breach.mode is PolicyMode.ENFORCE and why not in _MAY_CHANGE:
            yield Objection(why, str(breach), rests_on)
    told = {reason(breach.reason.value) for breach in breaches if breach.mode is PolicyMode.ENFORCE}
    certain = judge_acceptance(request, replace(ruled, unaccepted=()), allowed_anchors(anchors, ruled))
    if not certain.holds and certain.reason not in told:
        yield Objection(certain.reason, certain.message, rests_on)
    whole = judge_acceptance(request, ruled, anchors)
    if not whole.holds and whole.reason in _MAY_CHANGE:
        yield Doubt(whole.message)


def _breaches(
    request: ClientRequest,
    anchors: tuple[TrustAnchor, ...],
    ruled: EffectivePolicy,
    matching: list[PolicyInForce],
    world: World,
) -> tuple[Breach, ...]:
    return broken_by(
        client_metadata(request, anchors, ruled.hash),
        asked_certificate(request),
        [p.policy for p in matching if p.policy is not None],
        trust_domain=world.settings.trust_domain,
        cluster_domain=world.settings.cluster_domain,
    )


def _own_anchors(request: ClientRequest, world: World) -> tuple[tuple[TrustAnchor, ...], str]:
    """Those that the client's ConfigMaps hold, as far as they were read, and what is wrong with them."""
    references, namespace = request.anchor_references, request.client.metadata.namespace
    places = {r.name: (namespace, r.name) for r in references}
    if request.by_keys or not places or not all(place in world.config_maps for place in places.values()):
        return (), ""
    found = {name: world.config_maps[place] for name, place in places.items()}
    try:
        return own_anchors(references, found, world.shared_keys, world.now), ""
    except OwnAnchorsOutOfTime as error:
        return error.anchors, error.finding.message
    except Unusable as error:
        return (), error.finding.message
