"""Certificates that a client registers itself: which one its status shows, and what is said when the last has ended."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from holdfast.oauth.certificate_key import certificate_key
from holdfast_operator.reconcile.observed import Observed, RegistrySeen
from holdfast_operator.reconcile.plan import plan
from tests.core.x509.authority import DAY, NOW, Authority, Issued
from tests.operator.simulated import condition_of, converge, message_of, mtls_policy, oauth_client, observed

OTHERS = Authority.root("CN=nobody's CA")
SOON, LATE = OTHERS.issue("CN=me", not_after=NOW + DAY), OTHERS.issue("CN=me", not_after=NOW + 2 * DAY)


def registered(*certificates: Issued, **authentication: Any) -> Observed:
    keys = [certificate_key(c.certificate).to_json() for c in certificates]
    method = {"method": "self_signed_tls_client_auth", "jwks": {"keys": keys}, **authentication}
    world, _, _ = converge(observed(oauth_client(certificate=None, authentication=method)))
    return world


def test_the_certificate_that_ends_last_is_shown() -> None:
    world = registered(LATE, SOON)

    assert world.client["status"]["certificate"] == {
        "thumbprint": LATE.certificate.x5t_s256,
        "notAfter": (NOW + 2 * DAY).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    assert condition_of(world.client["status"], "CertificateReady") == ("True", "OwnKeys")
    assert plan(replace(world, now=NOW + 1.5 * DAY)).requeue_after == timedelta(days=0.5).total_seconds()


def test_nobody_is_told_that_something_was_issued() -> None:
    keys = {"keys": [certificate_key(LATE.certificate).to_json()]}
    client = oauth_client(certificate=None, authentication={"method": "self_signed_tls_client_auth", "jwks": keys})

    _, planned, _ = converge(observed(client))

    assert not [event for event in planned.events if event.reason.startswith("Certificate")]


def test_when_the_last_one_ends_it_is_said_and_the_registration_stays() -> None:
    world, _, done = converge(replace(registered(SOON, LATE), now=NOW + 2 * DAY))

    status = world.client["status"]
    assert condition_of(status, "Ready") == ("False", "CertificateInvalid")
    assert LATE.certificate.x5t_s256 in message_of(status, "CertificateReady")
    assert "register the one that the client has now" in message_of(status, "CertificateReady")
    assert done == []
    assert isinstance(world.registry, RegistrySeen)
    assert world.registry.stored is not None


def test_a_client_whose_certificates_count_beyond_their_end_stays_ready() -> None:
    world, _, _ = converge(replace(registered(SOON, acceptExpiredCertificate=True), now=NOW + 3 * DAY))

    assert condition_of(world.client["status"], "Ready") == ("True", "Ready")


def test_keys_for_signatures_say_nothing_of_certificates() -> None:
    keys = {"keys": [certificate_key(SOON.certificate).to_json()]}
    client = oauth_client(certificate=None, authentication={"method": "private_key_jwt", "jwks": keys})
    policies = (mtls_policy("all", authentication={"allowedMethods": ["private_key_jwt"]}),)

    world, _, _ = converge(observed(client, policies=policies, now=NOW + 3 * DAY))

    assert "certificate" not in world.client["status"]
    assert condition_of(world.client["status"], "Ready") == ("True", "Ready")


def test_keys_behind_a_url_are_the_servers_to_see() -> None:
    method = {"method": "self_signed_tls_client_auth", "jwksUri": "https://me.example/jwks"}

    world, _, _ = converge(observed(oauth_client(certificate=None, authentication=method)))

    assert "certificate" not in world.client["status"]
    assert condition_of(world.client["status"], "CertificateReady") == ("True", "OwnKeys")
