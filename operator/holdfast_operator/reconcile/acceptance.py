"""Whether the client may be what it asks to be: what policies say, before and after its certificate is there.

Pure. Neighbours: `holdfast.policy.evaluate` decides, the registry has the last word on what other clients hold.
"""

from collections.abc import Iterable
from dataclasses import replace

from holdfast.api.v1alpha1.conditions import Reason, reason
from holdfast.oauth.client_metadata import TrustAnchor
from holdfast.policy.adoption import may_take_over
from holdfast.policy.attribution import Breach
from holdfast.policy.certificate import evaluate_certificate
from holdfast.policy.decision import ALLOW, Decision
from holdfast.policy.evaluate import evaluate_client
from holdfast.policy.model import EffectivePolicy, PolicyMode
from holdfast.registry.port import RefusalReason, RegistrationRefused
from holdfast.registry.records import StoredClient
from holdfast_operator.reconcile.finding import Finding, fine, stalled
from holdfast_operator.reconcile.names import mapping
from holdfast_operator.reconcile.ports import Object
from holdfast_operator.reconcile.request import ClientRequest, asked_certificate, client_metadata

_REFUSALS = {
    RefusalReason.CLIENT_ID_TAKEN: Reason.CLIENT_ID_TAKEN,
    RefusalReason.CLIENT_ID_NOT_ALLOWED: Reason.CLIENT_ID_NOT_ALLOWED,
    RefusalReason.AUDIENCE_TAKEN: Reason.AUDIENCE_TAKEN,
    RefusalReason.SUBJECT_TAKEN: Reason.SUBJECT_TAKEN,
}

CONFLICTS = frozenset(_REFUSALS.values())
"""What another client may give up again."""
ACCEPTED = fine(Reason.ACCEPTED, "valid and allowed")


def judge_acceptance(
    request: ClientRequest, policy: EffectivePolicy, anchors: tuple[TrustAnchor, ...], breaches: Iterable[Breach] = ()
) -> Finding:
    """`anchors`: those the client has; while it has none yet, only what does not hang on them is judged.

    `breaches`: what each single policy says, so that the message can name the one that says no.
    """
    asked = asked_certificate(request)
    decision = ALLOW if asked is None else evaluate_certificate(asked, policy)
    if decision.allowed and (anchors or request.by_keys):
        decision = evaluate_client(client_metadata(request, () if request.by_keys else anchors, policy.hash), policy)
    elif decision.allowed:
        unpinned = replace(policy, allowed_anchors=())  # which anchor it will be is not known yet
        decision = evaluate_client(client_metadata(request, _expected(request), policy.hash), unpinned)
    return ACCEPTED if decision.allowed else denied(decision, breaches)


def denied(decision: Decision, breaches: Iterable[Breach] = ()) -> Finding:
    """A policy's no, in the words of a condition; whose it is, unless a built-in default says it."""
    assert decision.reason is not None, "a denial has a reason"
    enforced = (b for b in breaches if b.mode is PolicyMode.ENFORCE and b.reason is decision.reason)
    whose = ", ".join(dict.fromkeys(b.policy for b in enforced))
    return stalled(reason(decision.reason.value), f"MTLSPolicy {whose}: {decision.message}" if whose else decision.message)


def with_warnings(accepted: Finding, breaches: Iterable[Breach]) -> Finding:
    """Acceptance of a client that policies in `Warn` would refuse: it holds, and says so beside what else it says."""
    warnings = [str(b) for b in breaches if b.mode is PolicyMode.WARN and str(b) not in accepted.message]
    if not warnings:
        return accepted
    told = "; ".join(warnings)
    if accepted.reason is Reason.ACCEPTED:
        return fine(Reason.POLICY_WARNING, f"not enforced yet: {told}")
    return replace(accepted, message=f"{accepted.message}; not enforced yet: {told}")


def _expected(request: ClientRequest) -> tuple[TrustAnchor, ...]:
    """An anchor that is not there yet. Of its certificate nothing is known, of who else is under it enough to judge."""
    wanted = request.client.spec.certificate
    shared = wanted is not None and not request.anchor_references and wanted.issuer_ref.kind == "ClusterIssuer"
    return (TrustAnchor(der=b"", shared=shared),)


def held_by_another(stored: StoredClient | None, client: Object, policy: EffectivePolicy) -> Finding | None:
    """The client id is another object's: the registry's holder keeps it. Or an orphan's that this one may not adopt."""
    if stored is None:
        return None
    owner, metadata = stored.metadata.owner, client["metadata"]
    if owner.is_gone:
        return _left_by_another(stored, client, policy)
    if (owner.namespace, owner.name) == (metadata["namespace"], metadata["name"]):
        return None
    return client_id_taken(stored.metadata.client_id, owner.namespace, owner.name)


def _left_by_another(stored: StoredClient, client: Object, policy: EffectivePolicy) -> Finding | None:
    client_id, owner = stored.metadata.client_id, stored.metadata.owner
    orphan = f"spec.clientId: {client_id} is an orphan's, left by OAuthClient {owner.namespace}/{owner.name}"
    if mapping(client.get("spec")).get("adoptionPolicy") != "IfUnowned":
        return stalled(Reason.CLIENT_ID_TAKEN, f"{orphan}: spec.adoptionPolicy: IfUnowned takes it over")
    namespace = client["metadata"]["namespace"]
    if may_take_over(client_id, left_by=owner.namespace, namespace=namespace, policy=policy):
        return None
    return stalled(
        Reason.CLIENT_ID_TAKEN, f"{orphan}: for {namespace} to take it over, policies have to name it in allowedClientIds"
    )


def client_id_taken(client_id: str, namespace: str, name: str) -> Finding:
    """`namespace`, `name`: of the OAuthClient that holds it."""
    message = f"spec.clientId: {client_id} is held by OAuthClient {namespace}/{name}: choose another, in a new object"
    return stalled(Reason.CLIENT_ID_TAKEN, message)


def refused(refusal: RegistrationRefused) -> Finding:
    """The registry's no, which may come from what other clients hold."""
    return stalled(_REFUSALS.get(refusal.reason, Reason.REGISTRATION_REFUSED), _explained(refusal))


def _explained(refusal: RegistrationRefused) -> str:
    problems = "; ".join(f"{p.field}: {p.message}" for p in refusal.problems)
    return f"{refusal}: {problems}" if problems else str(refusal)
