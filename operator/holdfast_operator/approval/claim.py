"""What the OAuthClient behind a CertificateRequest may have in its certificate, by the policies that rule it. Pure.

Owns the way from the object to a `Claim`; its status is never believed, everything is judged anew, by the functions of
`reconcile` that the operator writes Certificates with. Neighbour: `judge` compares the request with the claim.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from holdfast.policy.evaluate import evaluate_subject
from holdfast.policy.model import EffectivePolicy
from holdfast_operator.approval.judge import Claim
from holdfast_operator.reconcile.acceptance import judge_acceptance
from holdfast_operator.reconcile.certificate_intent import asked_duration, spiffe_id
from holdfast_operator.reconcile.policies import PolicyInForce, effective_policy
from holdfast_operator.reconcile.ports import Kind, Object
from holdfast_operator.reconcile.request import ClientRequest, read_request
from holdfast_operator.reconcile.settings import ReconcileSettings


@dataclass(frozen=True, slots=True)
class NoClaim:
    """The client may have its SPIFFE ID at most; `message` says why."""

    message: str


def claim_of(
    client: Object,
    issuer: str,
    policies: Iterable[PolicyInForce],
    namespace_labels: Mapping[str, str],
    settings: ReconcileSettings,
) -> Claim | NoClaim:
    """`issuer`: the ClusterIssuer that the request names, which the client has to name too."""
    labels = client["metadata"].get("labels") or {}
    policy = effective_policy(policies, namespace_labels, labels, settings)
    try:
        request = read_request(client, settings.trust_domain)
    except ValueError as error:
        return NoClaim(str(error))
    if refused := _refusal(request, policy):
        return NoClaim(refused)
    wanted = request.client.spec.certificate
    if wanted is None or (wanted.issuer_ref.kind, wanted.issuer_ref.name) != (Kind.CLUSTER_ISSUER.kind, issuer):
        return NoClaim(f"spec.certificate.issuerRef: it asks for no certificate of ClusterIssuer {issuer}")
    return Claim(
        spiffe_id=spiffe_id(request.client, settings.trust_domain),
        subject=request.subject,
        max_duration=asked_duration(wanted, policy),
        min_rsa_bits=policy.min_rsa_bits,
        min_ec_bits=policy.min_ec_bits,
    )


def _refusal(request: ClientRequest, policy: EffectivePolicy) -> str | None:
    """Anchors of its own do not widen what the client may have signed here: the issuer is everybody's."""
    accepted = judge_acceptance(request, policy, ())
    if not accepted.holds:
        return accepted.message
    if request.subject is None:
        return None
    client = request.client
    decision = evaluate_subject(request.subject, client.metadata.namespace, client.service_account_name, policy, shared=True)
    return None if decision.allowed else decision.message
