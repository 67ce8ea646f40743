"""From the wish for a certificate to one that the client can be registered with: each step, and each way it ends."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from holdfast.oauth.client_metadata import anchor_name
from holdfast_operator.reconcile import anchors
from holdfast_operator.reconcile.actions import (
    ApplyCertificate,
    DeleteCertificate,
    DeleteClient,
    PutClient,
    RenewCertificate,
)
from holdfast_operator.reconcile.observed import Observed
from holdfast_operator.reconcile.plan import plan
from holdfast_operator.reconcile.ports import Object
from tests.core.x509.authority import DAY, NOW, Authority
from tests.operator.simulated import (
    FOREIGN,
    ROOT,
    SPIFFE,
    certificate_request,
    condition_of,
    config_map,
    converge,
    issue,
    issued_certificate,
    message_of,
    oauth_client,
    observed,
    registered_world,
    types_of,
)

LEAF = FOREIGN.issue(dns=["a.test"])


def applied(world: Observed) -> Object:
    (action,) = plan(world).actions
    assert isinstance(action, ApplyCertificate)
    return action.certificate


def test_the_certificate_asks_for_the_spiffe_id_of_the_service_account() -> None:
    certificate = applied(observed(oauth_client(serviceAccountName="till")))

    assert certificate["spec"] == {
        "secretName": "orders-mtls",
        "issuerRef": {"name": "workloads", "kind": "ClusterIssuer", "group": "cert-manager.io"},
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        "usages": ["client auth", "digital signature"],
        "revisionHistoryLimit": 2,
        "duration": "86400s",
        "renewBefore": "28800s",
        "uris": ["spiffe://cluster.local/ns/shop/sa/till"],
        "dnsNames": [],
        "ipAddresses": [],
        "emailAddresses": [],
    }


def test_the_certificate_goes_with_its_client() -> None:
    metadata = applied(observed())["metadata"]

    assert metadata["labels"] == {"holdfast.dev/client": "orders"}
    (owner,) = metadata["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == ("OAuthClient", "orders", "uid-1", True)


SUBJECTS = [
    ({"dns": "orders.shop.svc"}, "dnsNames", ["orders.shop.svc"]),
    ({"ip": "10.0.0.7"}, "ipAddresses", ["10.0.0.7"]),
    ({"email": "orders@shop.test"}, "emailAddresses", ["orders@shop.test"]),
    ({"uri": "urn:shop:orders"}, "uris", [SPIFFE, "urn:shop:orders"]),
    ({"uri": SPIFFE}, "uris", [SPIFFE]),
    ({"dn": "CN=orders,O=Shop"}, "literalSubject", "CN=orders,O=Shop"),
]


@pytest.mark.parametrize(("subject", "field", "value"), SUBJECTS)
def test_the_certificate_asks_for_what_the_subject_rule_needs(subject: Object, field: str, value: Any) -> None:
    issuer = {"name": "own", "kind": "Issuer"}
    client = oauth_client(authentication={"subject": subject}, certificate={"issuerRef": issuer})

    assert applied(observed(client))["spec"][field] == value


def test_an_equal_certificate_is_not_applied_again_even_if_durations_are_written_differently() -> None:
    intent = applied(observed())
    live = issued_certificate(intent)
    live["spec"] = {**live["spec"], "duration": "24h0m0s", "renewBefore": "8h0m0s"}

    assert not [a for a in plan(observed(certificates=(live,))).actions if isinstance(a, ApplyCertificate)]


def test_a_certificate_whose_request_is_gone_is_issued_once_more_and_asked_for_once() -> None:
    world, _, done = converge(request_lost())

    assert [type(a) for a in done] == [RenewCertificate]
    issuing = world.certificates[0]["status"]["conditions"][-1]
    assert (issuing["type"], issuing["status"], issuing["reason"]) == ("Issuing", "True", "ManuallyTriggered")
    assert not plan(world).actions


def test_a_secret_that_was_taken_over_without_issuing_is_issued_once_more() -> None:
    world = issue(pending())
    live = world.certificates[0]
    adopted = {**live, "status": {k: v for k, v in live["status"].items() if k != "revision"}}

    assert isinstance(plan(replace(world, certificates=(adopted,), requests=())).actions[0], RenewCertificate)


def test_a_failed_issuance_is_left_to_the_pauses_of_cert_manager() -> None:
    world = request_lost()
    live = world.certificates[0]
    failure = {"type": "Issuing", "status": "False", "reason": "Failed", "message": "denied by the CA"}
    status = {**live["status"], "conditions": [*live["status"]["conditions"], failure]}

    assert not plan(replace(world, certificates=({**live, "status": status},))).actions


def test_the_certificate_of_a_deleted_client_of_the_same_name_goes_first() -> None:
    world = issue(pending())
    former = {**world.certificates[0], "metadata": {**world.certificates[0]["metadata"], "uid": "old"}}
    former["metadata"]["ownerReferences"] = [{**former["metadata"]["ownerReferences"][0], "uid": "uid-0"}]

    _, _, done = converge(replace(world, certificates=(former,), requests=()))

    assert done[0] == DeleteCertificate("orders", "old")
    assert isinstance(done[1], ApplyCertificate)


def test_a_request_of_an_earlier_certificate_of_the_same_name_is_not_read() -> None:
    world = issue(pending())
    request = {**world.requests[0], "metadata": {**world.requests[0]["metadata"]}}
    request["metadata"]["ownerReferences"] = [{"kind": "Certificate", "name": "orders", "uid": "another"}]

    assert isinstance(plan(replace(world, requests=(request,))).actions[0], RenewCertificate)


@pytest.mark.parametrize(
    "change", [{"dnsNames": ["x.test"]}, {"literalSubject": "CN=x"}, {"duration": "1h"}, {"usages": ["server auth"]}]
)
def test_a_certificate_that_somebody_bent_is_applied_again(change: Object) -> None:
    live = issued_certificate(applied(observed()))
    live["spec"] = {**live["spec"], **change}

    assert isinstance(plan(observed(certificates=(live,))).actions[0], ApplyCertificate)


def without_issuer() -> Observed:
    return observed(issuer=None)


def issuer_not_ready() -> Observed:
    world, _, _ = converge(observed())
    conditions = [{"type": "Ready", "status": "False", "message": "no key pair"}]
    return replace(world, issuer={"status": {"conditions": conditions}})


def name_taken() -> Observed:
    return observed(certificates=({"metadata": {"name": "orders", "uid": "x"}, "spec": {"secretName": "other"}},))


def secret_taken() -> Observed:
    return observed(certificates=({"metadata": {"name": "web", "uid": "x"}, "spec": {"secretName": "orders-mtls"}},))


def pending() -> Observed:
    return converge(observed())[0]


def failed() -> Observed:
    world = pending()
    (live,) = world.certificates
    failure = {"type": "Issuing", "status": "False", "reason": "Failed", "message": "denied by the CA"}
    return replace(world, certificates=({**live, "status": {"conditions": [failure]}},))


def secret_written_by_two() -> Observed:
    world = pending()
    (live,) = world.certificates
    wrong = {"type": "Ready", "status": "False", "reason": "IncorrectCertificate", "message": 'issued for "web"'}
    return replace(world, certificates=({**live, "status": {"conditions": [wrong]}},))


def rejected() -> Observed:
    return observed(certificate_rejected="spec.duration: must be at least 1h")


def request_lost() -> Observed:
    return replace(issue(pending()), requests=())


def request_of_an_older_revision() -> Observed:
    world = issue(pending())
    return replace(world, certificates=(issued_certificate(world.certificates[0], revision=2),))


def garbage() -> Observed:
    return replace(issue(pending()), requests=(certificate_request(pem=b"nonsense"),))


def expired() -> Observed:
    return replace(issue(pending()), now=NOW + timedelta(days=31))


def without_subject() -> Observed:
    return issue(pending(), dns=["orders.shop.svc"])


def without_ca() -> Observed:
    return replace(issue(pending()), requests=(certificate_request(ca=b""),))


def ca_is_a_leaf() -> Observed:
    leaf = ROOT.issue(uris=[SPIFFE]).certificate.pem
    return replace(issue(pending()), requests=(certificate_request(ca=leaf),))


def other_ca() -> Observed:
    return replace(issue(pending()), requests=(certificate_request(ca=FOREIGN.pem),))


WAYS = [
    (without_issuer, "IssuerNotFound", "create it, or change spec.certificate.issuerRef", False),
    (issuer_not_ready, "IssuerNotReady", "no key pair", False),
    (name_taken, "CertificateNameTaken", "delete it, or name the client differently", True),
    (secret_taken, "SecretNameTaken", "Certificate web writes to Secret orders-mtls", True),
    (pending, "CertificatePending", "not issued", False),
    (failed, "CertificateFailed", "denied by the CA", False),
    (secret_written_by_two, "SecretNameTaken", 'issued for "web"', True),
    (rejected, "CertificateRejected", "must be at least 1h", True),
    (request_lost, "CertificatePending", "asked to issue anew", False),
    (request_of_an_older_revision, "CertificatePending", "asked to issue anew", False),
    (garbage, "CertificateInvalid", "cannot be read", True),
    (expired, "CertificateInvalid", "ended at", False),
    (without_subject, "CertificateInvalid", "left out what was asked for", True),
    (without_ca, "TrustAnchorMissing", "spec.authentication.trustAnchors", True),
    (ca_is_a_leaf, "TrustAnchorInvalid", "CA:TRUE", True),
    (other_ca, "CertificateInvalid", "does not lead to", True),
]


@pytest.mark.parametrize(("make", "reason", "message", "stalled"), WAYS, ids=[w[0].__name__ for w in WAYS])
def test_what_is_in_the_way_is_said_with_what_to_do(make: Any, reason: str, message: str, stalled: bool) -> None:
    status = converge(make())[0].client["status"]

    assert condition_of(status, "CertificateReady") == ("False", reason)
    assert message in message_of(status, "CertificateReady")
    assert condition_of(status, "Ready") == ("False", reason)
    assert ("Stalled" in types_of(status), "Reconciling" in types_of(status)) == (stalled, not stalled)


@pytest.mark.parametrize(("make", "reason"), [(w[0], w[1]) for w in WAYS], ids=[w[0].__name__ for w in WAYS])
def test_nothing_is_registered_before_there_is_a_certificate(make: Any, reason: str) -> None:
    world, _, done = converge(make())

    assert not [a for a in done if isinstance(a, PutClient)]
    assert condition_of(world.client["status"], "Registered") == ("False", "RegistrationPending")


def test_an_issuer_that_vanishes_leaves_an_issued_certificate_alone() -> None:
    world = replace(registered_world(), issuer=None)

    assert plan(world).status is None


def test_a_renewed_certificate_changes_the_thumbprint_and_is_told_once() -> None:
    world = registered_world()
    before = world.client["status"]["certificate"]["thumbprint"]
    renewed = issued_certificate(world.certificates[0], revision=2)
    world = replace(world, certificates=(renewed,), requests=(certificate_request(revision=2),))

    planned = plan(world)

    assert planned.status is not None
    assert planned.status["certificate"]["thumbprint"] != before
    assert [e.reason for e in planned.events] == ["CertificateRenewed"]


def test_a_renewal_under_way_leaves_registration_and_shown_certificate_in_place() -> None:
    world = registered_world()
    shown = world.client["status"]["certificate"]
    (live,) = world.certificates
    world = replace(world, certificates=({**live, "status": {"conditions": [], "revision": 1}},))

    planned = plan(world)

    assert not planned.actions
    assert planned.status is not None
    assert planned.status["certificate"] == shown
    assert condition_of(planned.status, "Registered") == ("True", "Registered")
    assert condition_of(planned.status, "Ready") == ("False", "CertificatePending")


def test_the_pass_comes_back_when_the_certificate_ends() -> None:
    late = replace(registered_world(), now=NOW + 29 * DAY)

    assert plan(late).requeue_after == timedelta(days=1).total_seconds()


def test_the_anchor_of_a_cluster_issuer_is_shared_and_that_of_an_issuer_is_not() -> None:
    shared = registered_world()
    own = registered_world(oauth_client(certificate={"issuerRef": {"name": "workloads", "kind": "Issuer"}}))

    anchors = [w.registry.stored.metadata.trust_anchors for w in (shared, own)]  # type: ignore[union-attr]
    assert [[a.shared for a in found] for found in anchors] == [[True], [False]]


def test_the_ca_of_a_cluster_issuer_is_shared_behind_an_issuer_too() -> None:
    client = oauth_client(certificate={"issuerRef": {"name": "workloads", "kind": "Issuer"}})
    world = registered_world(client, shared_keys=frozenset({ROOT.certificate.spki_sha256}))

    (anchor,) = world.registry.stored.metadata.trust_anchors  # type: ignore[union-attr]
    assert anchor.shared


def own(**data: str) -> Observed:
    client = oauth_client(
        certificate=None,
        authentication={
            "subject": {"dns": "orders.partner.test"},
            "trustAnchors": [{"configMapKeyRef": {"name": "partner-ca", "key": "ca.crt"}}],
        },
    )
    return observed(client, config_maps={"partner-ca": config_map(**data) if data else None})


def test_a_client_that_brings_its_own_certificate_is_registered_with_the_anchors_of_its_config_map() -> None:
    world, _, _ = converge(own(**{"ca.crt": FOREIGN.pem.decode()}))

    status = world.client["status"]
    assert condition_of(status, "CertificateReady") == ("True", "OwnCertificate")
    assert condition_of(status, "Ready") == ("True", "Ready")
    assert status["certificate"] == {
        "subject": "orders.partner.test",
        "trustAnchors": [anchor_name(FOREIGN.certificate.der)],
    }
    (anchor,) = world.registry.stored.metadata.trust_anchors  # type: ignore[union-attr]
    assert (anchor.der, anchor.shared) == (FOREIGN.certificate.der, False)


ANCHORS = [
    (own(), "TrustAnchorNotFound", "waits for ConfigMap partner-ca"),
    (own(other="x"), "TrustAnchorNotFound", "found: other"),
    (own(**{"ca.crt": "nonsense"}), "TrustAnchorUnreadable", "put CA certificates in PEM there"),
    (own(**{"ca.crt": (ROOT.pem + LEAF.key_pem).decode()}), "PrivateKeyExposed", "replace that key"),
    (own(**{"ca.crt": LEAF.certificate.pem.decode()}), "TrustAnchorNotAuthority", "'a.test' is no CA's"),
]


@pytest.mark.parametrize(("world", "reason", "message"), ANCHORS, ids=["map", "key", "garbage", "private-key", "leaf"])
def test_anchors_that_cannot_be_read_are_said_with_what_to_do(world: Observed, reason: str, message: str) -> None:
    status = converge(world)[0].client["status"]

    assert condition_of(status, "CertificateReady") == ("False", reason)
    assert message in message_of(status, "CertificateReady")
    waited_for = "Reconciling" if reason == "TrustAnchorNotFound" else "Stalled"
    assert waited_for in types_of(status)


def test_anchors_that_can_no_longer_be_read_end_the_registration() -> None:
    world, _, _ = converge(own(**{"ca.crt": FOREIGN.pem.decode()}))

    ended, _, done = converge(replace(world, config_maps={"partner-ca": None}))

    assert type(done[0]) is DeleteClient
    assert condition_of(ended.client["status"], "Registered") == ("False", "NotRegistered")


def test_an_own_anchor_with_the_key_of_a_cluster_issuer_is_shared_wherever_it_is_written() -> None:
    world = replace(own(**{"ca.crt": ROOT.pem.decode()}), shared_keys=frozenset({ROOT.certificate.spki_sha256}))

    status = converge(world)[0].client["status"]

    assert condition_of(status, "Accepted") == ("False", "SubjectNotAllowed")


def test_a_client_that_turns_to_its_own_certificate_has_its_former_one_deleted() -> None:
    before = registered_world()
    turned = own(**{"ca.crt": FOREIGN.pem.decode()})
    world = replace(before, client={**turned.client, "status": before.client["status"]}, config_maps=turned.config_maps)

    _, _, done = converge(world)

    assert DeleteCertificate("orders", "certificate-1") in done


def test_own_anchors_take_the_place_of_the_issuers() -> None:
    intermediate = Authority.root("CN=other").intermediate()
    references = [{"configMapKeyRef": {"name": "partner-ca", "key": "ca.crt"}}]
    client = oauth_client(authentication={"trustAnchors": references})
    maps = {"partner-ca": config_map(**{"ca.crt": intermediate.pem.decode()})}

    world, _, _ = converge(observed(client, config_maps=maps))
    world = replace(issue(world), requests=(certificate_request(intermediate),))
    world, _, _ = converge(world)

    (anchor,) = world.registry.stored.metadata.trust_anchors  # type: ignore[union-attr]
    assert anchor.der == intermediate.certificate.der
    assert condition_of(world.client["status"], "Ready") == ("True", "Ready")


def test_anchors_are_bounded_in_octets_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registrations travel together: one tenant's must leave room for another's."""
    monkeypatch.setattr(anchors, "MAX_ANCHOR_BYTES", len(FOREIGN.certificate.der) - 1)
    world, _, _ = converge(own(**{"ca.crt": FOREIGN.pem.decode()}))
    assert condition_of(world.client["status"], "CertificateReady") == ("False", "TrustAnchorInvalid")
    assert "octets of DER" in message_of(world.client["status"], "CertificateReady")
