"""A certificate that nobody renews: said well before its end, once, and gone when there is another."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from holdfast.oauth.certificate_key import certificate_key
from holdfast_operator.reconcile.expiry import Lifespan
from holdfast_operator.reconcile.observed import Observed
from holdfast_operator.reconcile.plan import plan
from tests.core.x509.authority import DAY, NOW, Authority, Issued
from tests.operator.simulated import (
    ROOT,
    certificate_request,
    condition_of,
    config_map,
    converge,
    issue,
    message_of,
    oauth_client,
    observed,
    registered_world,
    types_of,
    with_client,
)

EXPIRING = "CertificateExpiring"
NOBODYS = Authority.root("CN=nobody's CA")
OWN = NOBODYS.issue("CN=auditor", not_before=NOW - 99 * DAY, not_after=NOW + 100 * DAY)
NEXT = NOBODYS.issue("CN=auditor", not_before=NOW, not_after=NOW + 500 * DAY)
PARTNER = Authority.root("CN=partner", not_after=NOW + 365 * DAY)


def by_keys(*certificates: Issued) -> Observed:
    keys = {"keys": [certificate_key(c.certificate).to_json() for c in certificates]}
    authentication = {"method": "self_signed_tls_client_auth", "jwks": keys}
    return observed(oauth_client(certificate=None, authentication=authentication))


def by_anchor() -> Observed:
    anchors = [{"configMapKeyRef": {"name": "partner-ca", "key": "ca.crt"}}]
    client = oauth_client(certificate=None, authentication={"subject": {"dns": "a.partner.test"}, "trustAnchors": anchors})
    return observed(client, config_maps={"partner-ca": config_map(**{"ca.crt": PARTNER.pem.decode()})})


def issued_for_a_month() -> Observed:
    """Renewed by cert-manager, if it does, twenty days from now."""
    return registered_world(requests=(certificate_request(ROOT, uris=["spiffe://cluster.local/ns/shop/sa/orders"]),))


def at(world: Observed, moment: datetime) -> Observed:
    return replace(world, now=moment)


@pytest.mark.parametrize(
    ("world", "notice", "named"),
    [
        (by_keys(OWN), NOW + 70 * DAY, OWN.certificate.x5t_s256),
        (by_anchor(), PARTNER.certificate.not_after - 30 * DAY, "ConfigMap partner-ca"),
    ],
    ids=["a certificate in jwks", "a trust anchor in a ConfigMap"],
)
def test_what_people_renew_is_said_thirty_days_before_once_with_its_place(
    world: Observed, notice: datetime, named: str
) -> None:
    world, _, _ = converge(world)
    assert EXPIRING not in types_of(world.client["status"])
    assert plan(world).requeue_after == (notice - NOW).total_seconds()

    world, planned, done = converge(at(world, notice))

    assert [(event.warning, event.reason) for event in planned.events] == [(True, EXPIRING)]
    assert named in planned.events[0].message
    assert condition_of(world.client["status"], EXPIRING) == ("True", EXPIRING)
    assert condition_of(world.client["status"], "Ready") == ("True", "Ready")
    assert done == []
    for days in (1, 10, 29):
        again = plan(at(world, notice + days * DAY))
        assert (again.status, again.events) == (None, ())


def test_a_successor_in_its_place_ends_it_and_gets_a_notice_of_its_own() -> None:
    world, _, _ = converge(at(by_keys(OWN), NOW + 80 * DAY))
    assert EXPIRING in types_of(world.client["status"])
    both = by_keys(OWN, NEXT).client["spec"]

    world, planned, _ = converge(with_client(world, spec=both))
    assert EXPIRING not in types_of(world.client["status"])
    assert planned.events == ()

    world, planned, _ = converge(at(world, NEXT.certificate.not_after - 30 * DAY))
    assert [event.reason for event in planned.events] == [EXPIRING]
    assert NEXT.certificate.x5t_s256 in planned.events[0].message


def test_a_certificate_that_is_exchanged_for_one_that_ends_soon_as_well_is_told_anew() -> None:
    world, _, _ = converge(at(by_keys(OWN), NOW + 80 * DAY))
    soon = NOBODYS.issue("CN=auditor", not_before=NOW, not_after=NOW + 90 * DAY)

    _, planned, _ = converge(with_client(world, spec=by_keys(soon).client["spec"]))

    assert [event.reason for event in planned.events] == [EXPIRING]
    assert soon.certificate.x5t_s256 in planned.events[0].message


def test_cert_manager_has_half_of_the_time_after_the_planned_renewal_before_anybody_is_told() -> None:
    world = issued_for_a_month()
    end = datetime.fromisoformat(world.client["status"]["certificate"]["notAfter"])
    renewal = datetime.fromisoformat(world.client["status"]["certificate"]["renewalTime"])
    late = renewal + (end - renewal) / 2

    before, planned, _ = converge(at(world, late - timedelta(seconds=1)))
    assert planned.events == ()
    assert EXPIRING not in types_of(before.client["status"])

    world, planned, _ = converge(at(world, late))
    assert [(event.warning, event.reason) for event in planned.events] == [(True, EXPIRING)]
    assert "cert-manager was to renew it" in message_of(world.client["status"], EXPIRING)

    world, _, _ = converge(issue(world, uris=["spiffe://cluster.local/ns/shop/sa/orders"], not_after=NOW + 90 * DAY))
    assert "Ready" in types_of(world.client["status"])


def test_keys_that_never_end_for_the_server_are_not_warned_of() -> None:
    world = by_keys(OWN)
    authentication = {**world.client["spec"]["authentication"], "acceptExpiredCertificate": True}
    world, planned, _ = converge(at(with_client(world, spec={"authentication": authentication}), NOW + 99 * DAY))

    assert planned.events == ()
    assert EXPIRING not in types_of(world.client["status"])


@pytest.mark.parametrize(
    ("days", "expected"), [(365, timedelta(days=30)), (150, timedelta(days=30)), (10, timedelta(days=2))]
)
def test_the_notice_is_never_more_than_a_fifth_of_a_life(days: int, expected: timedelta) -> None:
    lifespan = Lifespan(begin=NOW, end=NOW + days * DAY, what="x")

    assert lifespan.end - lifespan.notice == expected
