"""What keeps a Certificate from being issued: names that are another's, an issuer that is not there, a failure.

Owns the words for each. Pure. Neighbours: `certificate` walks by these steps, `issued` reads cert-manager's objects.
"""

from holdfast.api.v1alpha1.conditions import Reason
from holdfast.api.v1alpha1.oauth_client import Certificate as Wanted
from holdfast_operator.reconcile.anchors import Unusable
from holdfast_operator.reconcile.finding import Finding, stalled, waiting
from holdfast_operator.reconcile.issued import condition
from holdfast_operator.reconcile.names import is_owned_by
from holdfast_operator.reconcile.observed import Observed
from holdfast_operator.reconcile.ports import Object
from holdfast_operator.reconcile.request import ClientRequest

CERT_MANAGER = "cert-manager.io"


def check_names(observed: Observed, request: ClientRequest, live: Object | None) -> None:
    """Whether Certificate and Secret are the client's to have. `live`: the Certificate of its name. Raises Unusable."""
    name, secret = request.client.metadata.name, request.client.secret_name
    if live is not None and not is_owned_by(live, observed.client):
        message = (
            f"a Certificate named {name} exists here and is not this client's: delete it, or name the client differently"
        )
        raise Unusable(stalled(Reason.CERTIFICATE_NAME_TAKEN, message))
    rivals = [
        c["metadata"]["name"]
        for c in observed.certificates
        if c["metadata"]["name"] != name and (c.get("spec") or {}).get("secretName") == secret
    ]
    if rivals:
        message = (
            f"spec.certificate.secretName: Certificate {min(rivals)} writes to Secret {secret}, too: choose another name"
        )
        raise Unusable(stalled(Reason.SECRET_NAME_TAKEN, message))


def check_issuer_exists(observed: Observed, wanted: Wanted) -> None:
    """Issuers of other groups cannot be looked up: cert-manager will say. Raises Unusable."""
    reference = wanted.issuer_ref
    if reference.group != CERT_MANAGER or observed.issuer is not None:
        return
    message = (
        f"waits for {reference.kind} {reference.name}, which does not exist"
        f"{' in this namespace' if reference.kind == 'Issuer' else ''}: create it, or change spec.certificate.issuerRef"
    )
    raise Unusable(waiting(Reason.ISSUER_NOT_FOUND, message))


def is_ready(live: Object) -> bool:
    """Whether cert-manager says that what it was asked for last is issued."""
    ready = condition(live, "Ready")
    generation = live["metadata"].get("generation")
    is_current = ready.get("observedGeneration", generation) == generation
    return ready.get("status") == "True" and is_current


def is_of_another(live: Object) -> bool:
    """Whether cert-manager says that its Secret is another Certificate's."""
    return bool(condition(live, "Ready").get("reason") == "IncorrectCertificate")


def why_not_ready(observed: Observed, wanted: Wanted, live: Object) -> Finding:
    """What keeps cert-manager from issuing, as far as its objects tell."""
    reference = wanted.issuer_ref
    if reference.group == CERT_MANAGER and observed.issuer is None:
        return waiting(
            Reason.ISSUER_NOT_FOUND,
            f"waits for {reference.kind} {reference.name}, which does not exist (any more): create it, or change "
            "spec.certificate.issuerRef",
        )
    ready = condition(live, "Ready")
    if is_of_another(live):
        # Two Certificates were made at the same moment, and neither was there for the other to see.
        secret = (live.get("spec") or {}).get("secretName")
        message = (
            f"spec.certificate.secretName: {secret} is another Certificate's, choose another name: {ready.get('message')}"
        )
        return stalled(Reason.SECRET_NAME_TAKEN, message)
    issuing = condition(live, "Issuing")
    if issuing.get("status") == "False" and issuing.get("reason") != "Issued":  # an approver's no has a reason of its own
        return waiting(Reason.CERTIFICATE_FAILED, f"cert-manager: {issuing.get('message')}")
    issuer_ready = condition(observed.issuer or {}, "Ready")
    if issuer_ready and issuer_ready.get("status") != "True":
        return waiting(
            Reason.ISSUER_NOT_READY, f"{reference.kind} {reference.name} is not ready: {issuer_ready.get('message')}"
        )
    return waiting(Reason.CERTIFICATE_PENDING, "cert-manager has not issued the certificate yet")
