"""An issuer gets another CA: the old and the new one are both trusted until the certificate of the old one has ended."""

import base64
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from holdfast_operator.reconcile.observed import Observed, RegistrySeen
from holdfast_operator.reconcile.plan import plan
from holdfast_operator.reconcile.ports import Object
from tests.core.x509.authority import DAY, NOW, Authority, Issued
from tests.operator.simulated import (
    ROOT,
    SPIFFE,
    certificate_request,
    condition_of,
    config_map,
    converge,
    issued_certificate,
    message_of,
    mtls_policy,
    oauth_client,
    observed,
    with_stored,
)

OTHER = Authority.root("CN=workloads")
"""Of the same name, with another key."""
END = NOW + timedelta(days=10)
"""Of the first certificate; that of the second is later."""


def request_of(authority: Authority, revision: int) -> Object:
    """As cert-manager makes it: its own by controller, and by its user."""
    found = certificate_request(authority, revision=revision, uris=[SPIFFE], not_after=END + (revision - 1) * 10 * DAY)
    owner = {"kind": "Certificate", "uid": "certificate-1", "controller": True}
    return {
        **found,
        "metadata": {**found["metadata"], "ownerReferences": [owner]},
        "spec": {**found["spec"], "username": "cert-manager"},
    }


def issued_by(world: Observed, *authorities: Authority) -> Observed:
    """The world in which the client's certificate came from these, one revision after the other."""
    (certificate,) = world.certificates
    requests = tuple(request_of(a, n) for n, a in enumerate(authorities, start=1))
    return replace(world, certificates=(issued_certificate(certificate, len(authorities)),), requests=requests[-2:])


def begun(client: Object | None = None, **changes: Any) -> Observed:
    world, _, _ = converge(observed(client, **changes))
    return world


def settled(world: Observed) -> Observed:
    after, _, _ = converge(world)
    return after


def trusted(world: Observed) -> list[bytes]:
    assert isinstance(world.registry, RegistrySeen)
    assert world.registry.stored is not None
    return [anchor.der for anchor in world.registry.stored.metadata.trust_anchors]


def der(*authorities: Authority | Issued) -> list[bytes]:
    return [a.certificate.der for a in authorities]


def test_both_are_trusted_until_the_old_certificate_has_ended() -> None:
    world = settled(issued_by(begun(), ROOT))

    world = settled(issued_by(world, ROOT, OTHER))
    assert trusted(world) == der(OTHER, ROOT)
    assert "the CA before is still trusted" in message_of(world.client["status"], "CertificateReady")
    assert condition_of(world.client["status"], "Ready") == ("True", "Ready")
    assert plan(world).requeue_after == (END - NOW).total_seconds()

    assert trusted(settled(replace(world, now=END - timedelta(seconds=1)))) == der(OTHER, ROOT)
    assert trusted(settled(replace(world, now=END))) == der(OTHER)


def test_the_next_renewal_ends_the_old_one() -> None:
    world = settled(issued_by(settled(issued_by(begun(), ROOT)), ROOT, OTHER))

    assert trusted(settled(issued_by(world, ROOT, OTHER, OTHER))) == der(OTHER)


def test_a_renewal_under_the_same_ca_changes_nothing() -> None:
    world = settled(issued_by(begun(), ROOT))

    world, planned, done = converge(issued_by(world, ROOT, ROOT))

    assert (done, trusted(world)) == ([], der(ROOT))
    assert "still trusted" not in message_of(world.client["status"], "CertificateReady")
    assert planned.requeue_after is not None
    assert planned.requeue_after > (END - NOW).total_seconds()


def test_a_lost_registry_is_refilled_with_both() -> None:
    world = settled(issued_by(settled(issued_by(begun(), ROOT)), ROOT, OTHER))

    assert trusted(settled(with_stored(world, None))) == der(OTHER, ROOT)


def test_the_old_one_goes_where_policies_do_not_allow_it() -> None:
    pins = {"trustAnchors": [{"configMapKeyRef": {"namespace": "platform", "name": "roots", "key": "ca.crt"}}]}
    policies = (mtls_policy("pinned", certificates=pins),)
    sources = {("platform", "roots"): config_map("roots", **{"ca.crt": OTHER.pem.decode()})}

    world = issued_by(begun(policies=policies, policy_config_maps=sources), ROOT, OTHER)

    assert trusted(settled(world)) == der(OTHER)


def test_an_old_one_that_policies_allow_does_not_stand_in_for_a_new_one_that_they_do_not() -> None:
    pins = {"trustAnchors": [{"configMapKeyRef": {"namespace": "platform", "name": "roots", "key": "ca.crt"}}]}
    policies = (mtls_policy("pinned", certificates=pins),)
    sources = {("platform", "roots"): config_map("roots", **{"ca.crt": ROOT.pem.decode()})}
    world = settled(issued_by(begun(policies=policies, policy_config_maps=sources), ROOT))

    world = settled(issued_by(world, ROOT, OTHER))

    assert condition_of(world.client["status"], "Accepted") == ("False", "TrustAnchorNotAllowed")


def test_a_shared_one_goes_where_the_client_would_be_denied_for_it() -> None:
    """Behind a namespaced Issuer any subject may be claimed, under a CA that is shared only the namespace's own."""
    client = oauth_client(
        authentication={"subject": {"dns": "orders.partner.test"}},
        certificate={"issuerRef": {"name": "workloads", "kind": "Issuer"}},
    )
    world = begun(client, shared_keys=frozenset({ROOT.certificate.spki_sha256}))
    (certificate,) = world.certificates or ({},)
    requests = tuple(
        {**r, "status": {**certificate_request(a, uris=[SPIFFE], dns=["orders.partner.test"])["status"]}}
        for r, a in ((request_of(ROOT, 1), ROOT), (request_of(OTHER, 2), OTHER))
    )

    world = settled(replace(world, certificates=(issued_certificate(certificate, 2),), requests=requests))

    assert trusted(world) == der(OTHER)
    assert condition_of(world.client["status"], "Ready") == ("True", "Ready")


def test_anchors_of_the_clients_own_are_what_they_are() -> None:
    client = oauth_client(authentication={"trustAnchors": [{"configMapKeyRef": {"name": "partner-ca", "key": "ca.crt"}}]})
    both = config_map(**{"ca.crt": (ROOT.pem + OTHER.pem).decode()})
    world = settled(issued_by(begun(client, config_maps={"partner-ca": both}), ROOT, OTHER))
    assert trusted(world) == der(ROOT, OTHER)

    world = replace(world, config_maps={"partner-ca": config_map(**{"ca.crt": OTHER.pem.decode()})})

    assert trusted(settled(world)) == der(OTHER)


USELESS = [
    pytest.param(
        {"spec": {"issuerRef": {"name": "workloads", "kind": "ClusterIssuer"}, "username": "mallory"}}, id="forged"
    ),
    pytest.param({"status": {"certificate": "!", "ca": base64.b64encode(ROOT.pem).decode()}}, id="unreadable"),
    pytest.param({"status": {"certificate": "", "ca": base64.b64encode(ROOT.pem).decode()}}, id="not signed"),
]


@pytest.mark.parametrize("change", USELESS)
def test_a_request_that_says_nothing_reliable_is_worth_nothing(change: Object) -> None:
    world = issued_by(settled(issued_by(begun(), ROOT)), ROOT, OTHER)
    world = replace(world, requests=({**world.requests[0], **change}, world.requests[1]))

    assert trusted(settled(world)) == der(OTHER)


def test_a_former_ca_that_can_be_no_anchor_is_left_out() -> None:
    world = issued_by(begun(), ROOT, OTHER)
    former = world.requests[0]
    leaf = ROOT.issue(uris=[SPIFFE])
    status = {"certificate": base64.b64encode(leaf.cert_pem).decode(), "ca": base64.b64encode(leaf.cert_pem).decode()}

    world = replace(world, requests=({**former, "status": status}, world.requests[1]))

    assert trusted(settled(world)) == der(OTHER)
