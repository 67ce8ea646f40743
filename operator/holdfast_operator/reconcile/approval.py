"""Who decided on a CertificateRequest, and which issuers are guarded: whose requests only our approver may approve.

Owns reading cert-manager's Approved and Denied conditions. Pure. Neighbours: `plan` warns, the package `approval` decides.
"""

from collections.abc import Collection
from typing import Any

from holdfast.api.v1alpha1.conditions import ConditionType, Reason
from holdfast_operator.reconcile.certificate import find_certificate
from holdfast_operator.reconcile.finding import Finding, fine
from holdfast_operator.reconcile.issued import condition, current_request
from holdfast_operator.reconcile.names import mapping
from holdfast_operator.reconcile.observed import Observed
from holdfast_operator.reconcile.ports import Kind, Object

CERT_MANAGER_APPROVER = "cert-manager.io"
"""The reason with which cert-manager's own approver approves, whatever is asked."""
APPROVER = "holdfast.dev"
"""The reason with which ours does."""

_GROUP = "cert-manager.io"


def guarded_issuer(request: Object, issuers: Collection[str]) -> str | None:
    """The guarded ClusterIssuer that the request is for; None: it is for another issuer."""
    reference = mapping(mapping(request.get("spec")).get("issuerRef"))
    group, kind, name = (reference.get(member) for member in ("group", "kind", "name"))
    return str(name) if (group or _GROUP, kind) == (_GROUP, Kind.CLUSTER_ISSUER.kind) and name in issuers else None


def is_decided(request: Object) -> bool:
    """Approved, denied, or ended without either: nothing that is said of it now would change anything."""
    ended = condition(request, "Ready").get("reason") in ("Issued", "Failed", "Denied")
    return ended or any(_is_true(condition(request, kind)) for kind in ("Approved", "Denied"))


def is_approved_by_cert_manager(request: Object) -> bool:
    """Whether cert-manager's own approver has waved it through. Only who may approve for the issuer can write that."""
    approved = condition(request, "Approved")
    return _is_true(approved) and approved.get("reason") == CERT_MANAGER_APPROVER


def unguarded(observed: Observed) -> dict[ConditionType, Finding]:
    """What a client's condition says while the certificate that it has came past our approver; empty: nothing to say."""
    live = find_certificate(observed)
    request = None if live is None else current_request(live, observed.requests)
    if request is None or not is_approved_by_cert_manager(request):
        return {}
    issuer = guarded_issuer(request, observed.settings.guarded_issuers)
    if issuer is None:
        return {}
    message = (
        f"cert-manager itself approved CertificateRequest {request['metadata']['name']}: any namespace can have "
        f"ClusterIssuer {issuer} sign any name. Leave clusterissuers.cert-manager.io/{issuer} out of cert-manager's "
        "approveSignerNames; this condition goes with the next certificate"
    )
    return {ConditionType.ISSUER_UNGUARDED: fine(Reason.APPROVED_BY_CERT_MANAGER, message)}


def _is_true(found: dict[str, Any]) -> bool:
    return found.get("status") == "True"
