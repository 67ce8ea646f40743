"""A self-signed client with a certificate of cert-manager: what is registered before, during and after a renewal."""

import base64
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.oauth.jwks import Jwk
from holdfast_operator.reconcile.actions import Action, PutClient
from holdfast_operator.reconcile.observed import Observed, RegistrySeen
from holdfast_operator.reconcile.plan import plan
from holdfast_operator.reconcile.ports import Object
from holdfast_operator.reconcile.publishing import MAX_FORMER
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.core.x509.authority import NOW, Authority, Issued
from tests.operator.simulated import (
    condition_of,
    converge,
    issued_certificate,
    message_of,
    mtls_policy,
    oauth_client,
    observed,
    with_client,
    with_stored,
)

SELF_SIGNED = Authority.root("CN=nobody's CA")
"""What the certificates say of their issuer means nothing here, so any will do."""
OVERLAP = 300


def self_signed_client(**spec: Any) -> Object:
    return oauth_client(authentication={"method": "self_signed_tls_client_auth"}, **spec)


def leaf(**how: Any) -> Issued:
    return SELF_SIGNED.issue(**how)


def request_of(issued: Issued, revision: int, *, at: datetime = NOW, **spec: Any) -> Object:
    return {
        "metadata": {
            "name": f"orders-{revision}",
            "annotations": {
                "cert-manager.io/certificate-name": "orders",
                "cert-manager.io/certificate-revision": str(revision),
            },
            "ownerReferences": [{"kind": "Certificate", "uid": "certificate-1", "controller": True}],
        },
        "spec": {"issuerRef": {"name": "workloads"}, "username": "cert-manager", **spec},
        "status": {
            "certificate": base64.b64encode(issued.cert_pem).decode(),
            "ca": base64.b64encode(issued.cert_pem).decode(),
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at.strftime("%Y-%m-%dT%H:%M:%SZ")}],
        },
    }


def holding(world: Observed, *issued: Issued, at: datetime = NOW) -> Observed:
    """The world in which these were issued, one revision after the other, the last of them at `at`."""
    (certificate,) = world.certificates
    requests = tuple(request_of(i, n, at=at) for n, i in enumerate(issued, start=1))
    return replace(world, certificates=(issued_certificate(certificate, len(issued)),), requests=requests[-2:])


def begun(client: Object | None = None, **changes: Any) -> Observed:
    world, _, _ = converge(observed(client or self_signed_client(), **changes))
    return world


def later(world: Observed, seconds: float) -> Observed:
    return replace(world, now=world.now + timedelta(seconds=seconds))


def stored_of(world: Observed) -> ClientMetadata:
    assert isinstance(world.registry, RegistrySeen)
    assert world.registry.stored is not None
    return world.registry.stored.metadata


def registered(world: Observed) -> list[str | None]:
    return [key.kid for key in stored_of(world).jwks or ()]


def settled(world: Observed) -> Observed:
    after, _, _ = converge(world)
    return after


def puts(actions: list[Action]) -> int:
    return sum(isinstance(action, PutClient) for action in actions)


def test_nothing_is_registered_before_there_is_a_certificate() -> None:
    world = begun()

    assert isinstance(world.registry, RegistrySeen)
    assert world.registry.stored is None
    assert condition_of(world.client["status"], "Accepted") == ("True", "Accepted")
    assert condition_of(world.client["status"], "Ready") == ("False", "CertificatePending")


def test_the_certificate_itself_is_registered_and_no_anchor() -> None:
    first = leaf()

    world = settled(holding(begun(), first))

    found = stored_of(world)
    assert (found.token_endpoint_auth_method, found.trust_anchors, found.subject) == (
        "self_signed_tls_client_auth",
        (),
        None,
    )
    (key,) = found.jwks or ()
    assert key.certificate == first.certificate
    assert key.expires_at is None
    assert condition_of(world.client["status"], "Ready") == ("True", "Ready")
    assert world.client["status"]["certificate"]["thumbprint"] == first.certificate.x5t_s256


def test_a_renewed_certificate_and_the_one_before_are_both_registered_until_tokens_of_the_old_one_have_ended() -> None:
    first, second = leaf(), leaf()
    world = settled(holding(begun(), first))

    world = settled(holding(later(world, 3600), first, second))
    assert registered(world) == [second.certificate.x5t_s256, first.certificate.x5t_s256]
    assert (stored_of(world).jwks or ())[1].expires_at == NOW + timedelta(seconds=3600 + OVERLAP)
    assert f"{first.certificate.x5t_s256} until " in message_of(world.client["status"], "CertificateReady")
    assert plan(world).requeue_after == OVERLAP

    assert registered(settled(later(world, OVERLAP - 1))) == registered(world)
    world = settled(later(world, OVERLAP))
    assert registered(world) == [second.certificate.x5t_s256]
    assert "until" not in message_of(world.client["status"], "CertificateReady")


def test_the_end_of_the_old_one_does_not_move_whatever_else_is_registered_meanwhile() -> None:
    first, second = leaf(), leaf()
    world = settled(holding(settled(holding(begun(), first)), first, second))
    ended = (stored_of(world).jwks or ())[1].expires_at

    world = later(world, 200)
    world = with_client(world, spec={**world.client["spec"], "scopes": ["more"]}, metadata={"generation": 2})
    world = settled(world)

    assert stored_of(world).scopes == ("more",)
    assert (stored_of(world).jwks or ())[1].expires_at == ended


def test_a_renewal_during_a_renewal_keeps_each_for_its_own_time() -> None:
    first, second, third = leaf(), leaf(), leaf()
    world = settled(holding(settled(holding(begun(), first)), first, second))

    world = settled(holding(later(world, 100), first, second, third))
    assert registered(world) == [c.certificate.x5t_s256 for c in (third, second, first)]

    assert registered(settled(later(world, OVERLAP - 100))) == [c.certificate.x5t_s256 for c in (third, second)]
    assert registered(settled(later(world, OVERLAP))) == [third.certificate.x5t_s256]


def test_no_more_than_a_bounded_number_of_old_ones_is_kept() -> None:
    issued = [leaf() for _ in range(MAX_FORMER + 4)]
    world = begun()
    for number in range(1, len(issued) + 1):
        world = settled(holding(later(world, 1), *issued[:number]))

    assert registered(world) == [c.certificate.x5t_s256 for c in reversed(issued[3:])]


LIFETIMES = [
    pytest.param({"tokens": {"lifetime": "10m"}}, (), 600, id="the client's own"),
    pytest.param({}, (mtls_policy("short", tokens={"maxLifetime": "200s"}),), 200, id="a policy's"),
    pytest.param({"tokens": {"lifetime": "5s"}}, (), 120, id="never less than a Secret needs to arrive"),
]


@pytest.mark.parametrize(("spec", "policies", "seconds"), LIFETIMES)
def test_the_old_one_is_taken_as_long_as_a_token_lives(spec: Object, policies: tuple[Object, ...], seconds: int) -> None:
    first, second = leaf(), leaf()
    world = settled(holding(begun(self_signed_client(**spec), policies=policies), first))

    world = settled(holding(world, first, second))

    assert (stored_of(world).jwks or ())[1].expires_at == NOW + timedelta(seconds=seconds)


def test_the_servers_own_lifetime_counts_where_nobody_says_one() -> None:
    first, second = leaf(), leaf()
    world = settled(holding(begun(), first))
    assert isinstance(world.registry, RegistrySeen)
    world = replace(world, registry=replace(world.registry, token_lifetime=7200))

    world = settled(holding(world, first, second))

    assert (stored_of(world).jwks or ())[1].expires_at == NOW + timedelta(seconds=7200)


def test_the_overlap_can_be_set() -> None:
    first, second = leaf(), leaf()
    settings = ReconcileSettings(rotation_overlap=3)
    world = settled(holding(begun(self_signed_client(tokens={"lifetime": "2s"}), settings=settings), first))

    world = settled(holding(world, first, second))

    assert (stored_of(world).jwks or ())[1].expires_at == NOW + timedelta(seconds=3)


def test_an_old_one_that_has_ended_by_itself_is_not_kept() -> None:
    first, second = leaf(not_after=NOW + timedelta(seconds=60)), leaf()
    world = settled(holding(begun(), first))

    world = settled(holding(later(world, 61), first, second))

    assert registered(world) == [second.certificate.x5t_s256]


def test_an_old_one_that_has_ended_is_kept_for_a_client_whose_certificates_count_beyond_their_end() -> None:
    first, second = leaf(not_after=NOW + timedelta(seconds=60)), leaf()
    client = oauth_client(authentication={"method": "self_signed_tls_client_auth", "acceptExpiredCertificate": True})
    world = settled(holding(begun(client), first))

    world = settled(holding(later(world, 61), first, second))

    assert registered(world) == [second.certificate.x5t_s256, first.certificate.x5t_s256]


def test_a_lost_registry_is_refilled_with_both_within_the_overlap_and_with_one_after_it() -> None:
    first, second = leaf(), leaf()
    world = settled(holding(settled(holding(begun(), first)), first, second))

    lost = with_stored(later(world, 100), None)
    again = settled(lost)
    assert registered(again) == [second.certificate.x5t_s256, first.certificate.x5t_s256]
    assert (stored_of(again).jwks or ())[1].expires_at == NOW + timedelta(seconds=OVERLAP)

    assert registered(settled(with_stored(later(world, OVERLAP), None))) == [second.certificate.x5t_s256]


def test_a_registry_that_was_restored_does_not_bring_back_a_certificate_of_long_ago() -> None:
    issued = [leaf() for _ in range(4)]
    world = settled(holding(begun(), issued[0]))
    restored = world.registry
    for number in (2, 3, 4):
        world = settled(holding(later(world, 3600), *issued[:number]))

    world = settled(replace(later(world, 3600), registry=restored))

    assert registered(world) == [issued[3].certificate.x5t_s256]


FORGED = [
    pytest.param({"username": "mallory"}, {}, id="by another requester"),
    pytest.param({"issuerRef": {"name": "mallory"}}, {}, id="of another issuer"),
    pytest.param({}, {"ownerReferences": []}, id="of no Certificate"),
    pytest.param({}, {"ownerReferences": [{"uid": "certificate-0", "controller": True}]}, id="of another Certificate"),
]


@pytest.mark.parametrize(("spec", "metadata"), FORGED)
def test_a_request_that_only_looks_like_the_one_before_is_not_registered(spec: Object, metadata: Object) -> None:
    second, forged = leaf(), request_of(leaf(), 1, **spec)
    world = holding(begun(), leaf(), second)
    world = replace(world, requests=(world.requests[1], {**forged, "metadata": {**forged["metadata"], **metadata}}))

    assert registered(settled(world)) == [second.certificate.x5t_s256]


def saying(world: Observed, issued: Issued) -> Observed:
    """cert-manager says of its Secret that this is in it."""
    (live,) = world.certificates
    certificate = issued.certificate
    times = {"notBefore": certificate.not_before, "notAfter": certificate.not_after}
    written = {member: at.strftime("%Y-%m-%dT%H:%M:%SZ") for member, at in times.items()}
    return replace(world, certificates=({**live, "status": {**live["status"], **written}},))


def test_a_request_that_was_put_in_the_place_of_the_current_one_is_not_registered() -> None:
    """Who may delete and create requests can have one signed that looks like it, at another time."""
    first, forged = leaf(), leaf(not_after=NOW + timedelta(days=31))
    world = settled(saying(holding(begun(), first), first))

    world, planned, done = converge(replace(world, requests=(request_of(forged, 1),)))

    assert (done, planned.status) == ([], None)
    assert registered(world) == [first.certificate.x5t_s256]


def test_until_the_times_follow_the_revision_nothing_changes_and_then_all_of_it() -> None:
    first, second = leaf(), leaf(not_after=NOW + timedelta(days=31))
    world = settled(saying(holding(begun(), first), first))

    between, planned, done = converge(saying(holding(world, first, second), first))
    assert (done, planned.status) == ([], None)

    assert registered(settled(saying(between, second))) == [c.certificate.x5t_s256 for c in (second, first)]


def test_the_first_one_waits_for_the_times_as_well() -> None:
    first = leaf()
    world = settled(saying(holding(begun(), first), leaf(not_after=NOW + timedelta(days=31))))
    assert condition_of(world.client["status"], "Ready") == ("False", "CertificatePending")

    assert registered(settled(saying(world, first))) == [first.certificate.x5t_s256]


def test_what_is_registered_does_not_hang_on_the_pass_that_did_it() -> None:
    """Another process plans the same from the same world: nothing is kept in memory."""
    first, second = leaf(), leaf()
    world = settled(holding(settled(holding(begun(), first)), first, second))

    after, planned, done = converge(later(world, 60))

    assert (done, planned.status) == ([], None)
    assert registered(after) == registered(world)


def test_a_renewal_costs_one_write_at_its_beginning_and_one_at_its_end() -> None:
    first, second = leaf(), leaf()
    world = settled(holding(begun(), first))

    world, _, begin = converge(holding(world, first, second))
    _, _, end = converge(later(world, OVERLAP))

    assert (puts(begin), puts(end)) == (1, 1)


def test_keys_that_the_client_named_itself_go_when_it_has_a_certificate_issued() -> None:
    own, first = leaf(), leaf()
    named: dict[str, Any] = Jwk.from_json(
        (stored_of(settled(holding(begun(), own))).jwks or ())[0].to_json() | {"kid": "own"}
    ).to_json()
    del named["holdfast.dev/revision"]
    client = oauth_client(
        certificate=None, authentication={"method": "self_signed_tls_client_auth", "jwks": {"keys": [named]}}
    )
    world = begun(client)
    assert registered(world) == ["own"]

    world = settled(with_client(world, spec=self_signed_client()["spec"], metadata={"generation": 2}))
    assert registered(world) == ["own"], "it goes on until there is a certificate"
    assert registered(settled(holding(world, first))) == [first.certificate.x5t_s256]


def test_the_registration_goes_on_while_a_certificate_is_on_its_way() -> None:
    first = leaf()
    world = settled(holding(begun(), first))
    (live,) = world.certificates
    pending = {"type": "Ready", "status": "False", "reason": "Expired", "message": "", "observedGeneration": 1}
    world = replace(world, certificates=({**live, "status": {**live["status"], "conditions": [pending]}},))

    world = settled(world)

    assert registered(world) == [first.certificate.x5t_s256]
    assert condition_of(world.client["status"], "Ready")[0] == "False"


def test_a_change_of_the_method_takes_every_published_key_out() -> None:
    world = settled(holding(begun(), leaf()))
    (certificate,) = world.certificates
    spec = {**world.client["spec"], "authentication": {"method": "private_key_jwt", "jwksUri": "https://a.test/jwks"}}
    policies = (mtls_policy("all", authentication={"allowedMethods": ["private_key_jwt"]}),)

    world = settled(replace(with_client(world, spec=spec, metadata={"generation": 2}), policies=policies))

    assert stored_of(world).jwks is None
    assert certificate["spec"]["revisionHistoryLimit"] == 2
