"""Which events of a client's Certificate and CertificateRequest have it looked at."""

from typing import Any

import pytest

from holdfast_operator.engine.index import Index
from holdfast_operator.reconcile.issued import CERTIFICATE_NAME
from holdfast_operator.reconcile.ports import Key, Kind, Object
from tests.operator.simulated import oauth_client

ORDERS = Key(Kind.OAUTH_CLIENT, "shop", "orders")
ISSUED = {"revision": 1, "notAfter": "2026-04-01T00:00:00Z", "renewalTime": "2026-03-01T00:00:00Z"}


@pytest.fixture
def index() -> Index:
    index = Index()
    index.observe(Kind.OAUTH_CLIENT, oauth_client(metadata={"namespace": "shop", "name": "orders"}))
    return index


def _certificate(**status: Any) -> Object:
    metadata = {"namespace": "shop", "name": "orders", "uid": "u1"}
    return {"metadata": metadata, "spec": {"secretName": "orders-mtls"}, "status": status}


def _issued(*conditions: Object, **changes: Any) -> Object:
    """Ready, which cert-manager says last."""
    return _certificate(**ISSUED | changes, conditions=[_condition("Ready"), *conditions])


def _request(**status: Any) -> Object:
    metadata = {"namespace": "shop", "name": "orders-1", "uid": "u2", "annotations": {CERTIFICATE_NAME: "orders"}}
    return {"metadata": metadata, "spec": {}, "status": status}


def _condition(kind: str, status: str = "True", reason: str = "", message: str = "") -> Object:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


def _looked_at(index: Index, kind: Kind, *versions: Object) -> list[bool]:
    return [index.observe(kind, version) == {ORDERS} for version in versions]


def test_a_certificate_on_its_way_says_something_once_and_again_when_it_is_ready(index: Index) -> None:
    begun = _certificate()
    issuing = _certificate(conditions=[_condition("Issuing"), _condition("Ready", "False")])
    with_key = _certificate(conditions=[_condition("Issuing")], nextPrivateKeySecretName="orders-x7")
    with_times = _certificate(**ISSUED, conditions=[_condition("Ready", "False")])

    assert _looked_at(index, Kind.CERTIFICATE, begun, issuing, with_key, with_times) == [True, False, False, False]
    assert _looked_at(index, Kind.CERTIFICATE, _issued()) == [True]


def test_the_same_certificate_again_says_nothing(index: Index) -> None:
    issued = _certificate(**ISSUED, conditions=[_condition("Ready")])
    touched = _certificate(**ISSUED, conditions=[{**_condition("Ready"), "lastTransitionTime": "2027-01-01T00:00:00Z"}])

    assert _looked_at(index, Kind.CERTIFICATE, issued, touched) == [True, False]


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(_issued(revision=2), id="renewed"),
        pytest.param(_issued(renewalTime="2026-02-01T00:00:00Z"), id="to be renewed earlier"),
        pytest.param(_certificate(**ISSUED, conditions=[_condition("Ready", "False")]), id="not ready any more"),
        pytest.param(_issued(_condition("Issuing")), id="being renewed"),
        pytest.param(_issued(_condition("Issuing", "False", "Failed", "denied")), id="failed"),
        pytest.param(_issued() | {"spec": {"secretName": "other"}}, id="somebody else's spec"),
    ],
)
def test_a_change_of_an_issued_certificate_says_something(index: Index, after: Object) -> None:
    assert _looked_at(index, Kind.CERTIFICATE, _issued(), after) == [True, True]


def test_a_certificate_whose_spec_changed_says_when_it_is_ready_again(index: Index) -> None:
    def seen(generation: int, observed: int) -> Object:
        certificate = _certificate(**ISSUED, conditions=[{**_condition("Ready"), "observedGeneration": observed}])
        return {**certificate, "metadata": {**certificate["metadata"], "generation": generation}}

    assert _looked_at(index, Kind.CERTIFICATE, seen(1, 1), seen(2, 1), seen(2, 2)) == [True, True, True]


def test_a_certificate_whose_secret_is_anothers_says_so(index: Index) -> None:
    taken = _certificate(conditions=[_condition("Ready", "False", "IncorrectCertificate", "issued for another")])

    assert _looked_at(index, Kind.CERTIFICATE, _certificate(), taken) == [True, True]


def test_a_secret_that_is_taken_over_without_issuing_says_so(index: Index) -> None:
    assert _looked_at(index, Kind.CERTIFICATE, _certificate(), _certificate(conditions=[_condition("Ready")])) == [
        True,
        True,
    ]


def test_a_certificate_that_cannot_be_issued_says_so(index: Index) -> None:
    failed = _certificate(conditions=[_condition("Issuing", "False", "Failed", "no such issuer")])
    otherwise = _certificate(conditions=[_condition("Issuing", "False", "Failed", "denied")])

    assert _looked_at(index, Kind.CERTIFICATE, _certificate(), failed, otherwise) == [True, True, True]


def test_a_request_says_something_when_it_is_signed_and_not_before(index: Index) -> None:
    approved = _request(conditions=[_condition("Approved", reason="cert-manager.io")])
    signed = _request(certificate="LS0t", ca="LS0t", conditions=[_condition("Approved", reason="cert-manager.io")])

    assert _looked_at(index, Kind.CERTIFICATE_REQUEST, _request(), approved, signed, signed) == [False, False, True, False]


def test_a_request_that_is_first_seen_signed_says_so(index: Index) -> None:
    assert _looked_at(index, Kind.CERTIFICATE_REQUEST, _request(certificate="LS0t")) == [True]


def test_a_denied_request_says_so(index: Index) -> None:
    denied = _request(conditions=[_condition("Denied"), _condition("Ready", "False", "Denied", "not yours")])

    assert _looked_at(index, Kind.CERTIFICATE_REQUEST, _request(), denied) == [False, True]


@pytest.mark.parametrize("kind", [Kind.CERTIFICATE, Kind.CERTIFICATE_REQUEST])
def test_one_that_is_deleted_and_made_again_is_news_both_times(index: Index, kind: Kind) -> None:
    child = _certificate(**ISSUED) if kind is Kind.CERTIFICATE else _request(certificate="LS0t")

    made = index.observe(kind, child)
    gone = index.observe(kind, child, deleted=True)

    assert (made, gone, index.observe(kind, child)) == ({ORDERS}, {ORDERS}, {ORDERS})


def test_an_event_looks_at_none_but_those_whom_it_concerns() -> None:
    index = Index()
    for i in range(50):
        index.observe(Kind.OAUTH_CLIENT, oauth_client(metadata={"namespace": "shop", "name": f"c{i}"}))
    other = {"metadata": {"namespace": "shop", "name": "hand-made"}, "spec": {"secretName": "c7-mtls"}}

    assert index.observe(Kind.CERTIFICATE, other) == {Key(Kind.OAUTH_CLIENT, "shop", "c7")}
    index.observe(Kind.OAUTH_CLIENT, oauth_client(metadata={"namespace": "shop", "name": "c7"}), deleted=True)
    assert index.observe(Kind.CERTIFICATE, {**other, "spec": {"secretName": "c7-mtls", "dnsNames": []}}) == set()
