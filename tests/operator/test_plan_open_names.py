"""A CA that is constrained in one kind of names only: the tenant is told (Y-08)."""

import pytest
from cryptography import x509

from holdfast_operator.reconcile.ports import Object
from tests.core.x509.authority import Authority
from tests.operator.simulated import condition_of, config_map, converge, message_of, oauth_client, observed

CONSTRAINED = Authority.root(
    "CN=Partner", constraints=x509.NameConstraints(permitted_subtrees=[x509.DNSName("partner.test")], excluded_subtrees=None)
)
FREE = Authority.root("CN=Free")


def status_of(authority: Authority, **subject: str) -> Object:
    client = oauth_client(
        certificate=None,
        authentication={"subject": subject, "trustAnchors": [{"configMapKeyRef": {"name": "partner-ca", "key": "ca.crt"}}]},
    )
    config_maps = {"partner-ca": config_map(**{"ca.crt": authority.pem.decode()})}
    world, _, _ = converge(observed(client, config_maps=config_maps))
    status: Object = world.client["status"]
    return status


@pytest.mark.parametrize("subject", [{"uri": "urn:partner:orders"}, {"dn": "CN=orders"}, {"ip": "10.0.0.1"}])
def test_y08_a_kind_of_names_that_a_constrained_ca_leaves_open_is_named(subject: dict[str, str]) -> None:
    status = status_of(CONSTRAINED, **subject)

    (kind,) = subject
    message = message_of(status, "CertificateReady")
    assert f"the name constraints of 'CN=Partner' say nothing of the kind {kind}" in message
    assert condition_of(status, "Ready") == ("True", "Ready")


def test_nothing_is_said_of_the_kind_that_it_constrains_or_of_a_ca_without_constraints() -> None:
    assert message_of(status_of(CONSTRAINED, dns="a.partner.test"), "CertificateReady") == (
        "the client brings its own certificate"
    )
    assert (
        message_of(status_of(FREE, uri="urn:partner:orders"), "CertificateReady") == "the client brings its own certificate"
    )
