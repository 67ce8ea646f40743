"""What a client's status says of the approval of its certificate: denied by an approver, or waved through past ours."""

from dataclasses import replace

import pytest

from holdfast_operator.reconcile.observed import Observed
from holdfast_operator.reconcile.plan import plan
from holdfast_operator.reconcile.ports import Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.operator.certificate_requests import decided
from tests.operator.simulated import condition_of, converge, message_of, observed, registered_world, types_of

GUARDED = ReconcileSettings(guarded_issuers=frozenset({"workloads"}))


def approved(world: Observed, reason: str) -> Observed:
    """The request of its certificate, as it stands when it was approved for that reason."""
    (request,) = world.requests
    status = {**request["status"], **decided("Approved", reason)}
    return replace(world, requests=({**request, "status": status},))


def status_of(world: Observed) -> Object:
    status: Object = plan(world).status or world.client["status"]
    return status


def test_a_client_is_told_that_its_certificate_came_past_the_approver() -> None:
    status = status_of(approved(registered_world(settings=GUARDED), "cert-manager.io"))

    assert condition_of(status, "IssuerUnguarded") == ("True", "ApprovedByCertManager")
    assert "clusterissuers.cert-manager.io/workloads out of cert-manager's approveSignerNames" in message_of(
        status, "IssuerUnguarded"
    )
    assert condition_of(status, "Ready")[0] == "True"


def test_the_warning_goes_with_a_certificate_that_was_judged() -> None:
    world, _, _ = converge(approved(registered_world(settings=GUARDED), "cert-manager.io"))
    assert "IssuerUnguarded" in types_of(world.client["status"])

    assert "IssuerUnguarded" not in types_of(status_of(approved(world, "holdfast.dev")))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [(ReconcileSettings(), "cert-manager.io"), (GUARDED, "holdfast.dev"), (GUARDED, "policy.cert-manager.io")],
    ids=["the issuer is not guarded", "our approver", "another approver"],
)
def test_there_is_nothing_to_warn_of_where(settings: ReconcileSettings, reason: str) -> None:
    assert "IssuerUnguarded" not in types_of(status_of(approved(registered_world(settings=settings), reason)))


def test_a_denial_is_told_in_the_approvers_words() -> None:
    """cert-manager hands on the reason of the Denied condition."""
    world, _, _ = converge(observed())
    (certificate,) = world.certificates
    message = "The certificate request has failed to complete and will be retried: expected no other name"
    issuing = {"type": "Issuing", "status": "False", "reason": "NamesNotAllowed", "message": message}
    status = status_of(replace(world, certificates=({**certificate, "status": {"conditions": [issuing]}},)))

    assert condition_of(status, "CertificateReady") == ("False", "CertificateFailed")
    assert message_of(status, "CertificateReady") == f"cert-manager: {message}"
