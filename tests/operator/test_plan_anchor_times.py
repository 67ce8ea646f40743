"""Trust anchors that a client names are judged at the moment of the pass: outside their time nobody can log in."""

from dataclasses import replace
from datetime import timedelta

from holdfast_operator.reconcile.observed import Observed
from holdfast_operator.reconcile.plan import plan
from tests.core.x509.authority import DAY, NOW, Authority
from tests.operator.simulated import condition_of, config_map, converge, message_of, oauth_client, observed, types_of

ENDED = Authority.root("CN=ended", not_after=NOW - DAY)
VALID = Authority.root("CN=valid", not_after=NOW + 100 * DAY)


def trusting(*anchors: Authority, now: timedelta = timedelta()) -> Observed:
    client = oauth_client(
        certificate=None,
        authentication={
            "subject": {"dns": "orders.partner.test"},
            "trustAnchors": [{"configMapKeyRef": {"name": "partner-ca", "key": "ca.crt"}}],
        },
    )
    bundle = "".join(anchor.pem.decode() for anchor in anchors)
    return replace(observed(client, config_maps={"partner-ca": config_map(**{"ca.crt": bundle})}), now=NOW + now)


def test_a_client_whose_only_anchor_has_expired_is_not_ready_and_told_where_it_is() -> None:
    """RFC 5280 section 6.1.3."""
    status = converge(trusting(ENDED))[0].client["status"]

    assert condition_of(status, "CertificateReady") == ("False", "TrustAnchorInvalid")
    assert condition_of(status, "Ready") == ("False", "TrustAnchorInvalid")
    message = message_of(status, "Ready")
    assert "ConfigMap partner-ca, key ca.crt: the certificate 'CN=ended' expired at" in message
    assert f"{NOW - DAY:%Y-%m-%dT%H:%M:%SZ}" in message
    assert "Stalled" in types_of(status)


def test_a_client_whose_anchor_is_not_valid_yet_waits_and_is_judged_again_when_it_is() -> None:
    begin = VALID.certificate.not_before
    early = timedelta(days=-10)

    world = converge(trusting(VALID, now=early))[0]

    status = world.client["status"]
    assert condition_of(status, "Ready") == ("False", "TrustAnchorInvalid")
    assert f"is not valid before {begin:%Y-%m-%dT%H:%M:%SZ}" in message_of(status, "Ready")
    assert "Reconciling" in types_of(status)
    assert plan(world).requeue_after == (begin - (NOW + early)).total_seconds()


def test_one_valid_anchor_beside_an_expired_one_is_enough() -> None:
    status = converge(trusting(ENDED, VALID))[0].client["status"]

    assert condition_of(status, "Ready") == ("True", "Ready")


def test_a_ready_client_is_judged_again_when_its_last_anchor_expires_and_stays_registered() -> None:
    world = converge(trusting(VALID))[0]
    warned = replace(world, now=NOW + 99 * DAY)
    assert plan(warned).requeue_after == timedelta(days=1).total_seconds()

    later, _, done = converge(replace(world, now=NOW + 101 * DAY))

    assert condition_of(later.client["status"], "Ready") == ("False", "TrustAnchorInvalid")
    assert condition_of(later.client["status"], "Registered") == ("True", "Registered")
    assert not done
