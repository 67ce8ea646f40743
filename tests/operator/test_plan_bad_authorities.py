"""What people put in the place of a CA or of a client's certificate: each is told apart, and no key is repeated."""

import base64
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from holdfast.api.v1alpha1.conditions import ConditionType, Reason
from holdfast.oauth.certificate_key import certificate_key
from holdfast_operator.admission.objection import Doubt, Objection, judgement
from holdfast_operator.reconcile.conditions import conditions
from holdfast_operator.reconcile.finding import stalled
from holdfast_operator.reconcile.policies import in_force
from holdfast_operator.reconcile.ports import Object
from tests.core.x509.authority import NOW, Authority
from tests.operator.simulated import (
    FOREIGN,
    ROOT,
    SPIFFE,
    certificate_request,
    condition_of,
    config_map,
    converge,
    issue,
    message_of,
    mtls_policy,
    oauth_client,
    observed,
)

KEY = ec.generate_private_key(ec.SECP256R1())
BODY = KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
FORMS = {
    "PKCS8": KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    "SEC1": KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode(),
    "encrypted": KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode(),
    "OpenSSH": KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode(),
}
LEAF = ROOT.issue("CN=cart", uris=["spiffe://cluster.local/ns/web/sa/cart"])
NAMELESS = ROOT.issue(uris=["spiffe://cluster.local/ns/web/sa/cart"])
WEAK = Authority.root("CN=weak", key=ed25519.Ed25519PrivateKey.generate())

WHAT_LIES_THERE = [
    pytest.param("", "TrustAnchorUnreadable", "found none; put CA certificates in PEM there", id="nothing"),
    pytest.param("hello", "TrustAnchorUnreadable", "put CA certificates in PEM there", id="garbage"),
    pytest.param(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        "TrustAnchorUnreadable",
        "certificate 1",
        id="not DER",
    ),
    pytest.param(ROOT.pem.decode()[:200], "TrustAnchorUnreadable", "has no end", id="cut off"),
    *(pytest.param(pem, "PrivateKeyExposed", "replace that key", id=f"a key as {form}") for form, pem in FORMS.items()),
    pytest.param(
        ROOT.pem.decode() + FORMS["SEC1"], "PrivateKeyExposed", "everyone who may read ConfigMaps", id="a CA and its key"
    ),
    pytest.param(
        LEAF.cert_pem.decode(), "TrustAnchorNotAuthority", "'CN=cart' is no CA's", id="another client's certificate"
    ),
    pytest.param(
        NAMELESS.cert_pem.decode(), "TrustAnchorNotAuthority", "ns/web/sa/cart' is no CA's", id="one without a subject"
    ),
    pytest.param(WEAK.pem.decode(), "TrustAnchorInvalid", "Ed25519", id="a CA that cannot be used"),
]


def told(data: str, **authentication: Any) -> Object:
    """The status of a client whose ConfigMap holds that."""
    client = oauth_client(
        certificate=None,
        authentication={
            "subject": {"dns": "a.test"},
            "trustAnchors": [{"configMapKeyRef": {"name": "partner-ca", "key": "ca.crt"}}],
            **authentication,
        },
    )
    world, _, _ = converge(observed(client, config_maps={"partner-ca": config_map(**{"ca.crt": data})}))
    status: Object = world.client["status"]
    return status


def assert_without_key(shown: object) -> None:
    """No stretch of a key, in whichever form it was written."""
    text = str(shown)
    for pem in FORMS.values():
        for line in pem.splitlines()[1:-1]:
            assert line[:12] not in text
    assert base64.b64encode(BODY).decode()[:12] not in text


@pytest.mark.parametrize(("data", "reason", "message"), WHAT_LIES_THERE)
def test_what_lies_in_the_place_of_a_ca_is_told_apart(data: str, reason: str, message: str) -> None:
    status = told(data)

    assert condition_of(status, "CertificateReady") == ("False", reason)
    assert condition_of(status, "Ready") == ("False", reason)
    assert "ConfigMap partner-ca, key ca.crt" in message_of(status, "CertificateReady")
    assert message in message_of(status, "CertificateReady")
    assert_without_key(status)


@pytest.mark.parametrize(("data", "reason", "message"), WHAT_LIES_THERE)
def test_a_policy_tells_the_same_apart(data: str, reason: str, message: str) -> None:
    reference = {"configMapKeyRef": {"namespace": "platform", "name": "roots", "key": "ca.crt"}}
    policy = mtls_policy("pins", certificates={"trustAnchors": [reference]})

    problem = in_force(policy, {("platform", "roots"): config_map("roots", **{"ca.crt": data})}).problem

    assert problem is not None
    assert str(problem.reason) == reason
    assert message in problem.message
    assert_without_key(problem)


def test_a_keystore_that_trust_manager_writes_beside_the_pem_is_named_as_such() -> None:
    keystore = base64.b64encode(b"\xfe\xed\xfe\xed\x00\x00\x00\x02").decode()
    client = oauth_client(
        certificate=None,
        authentication={
            "subject": {"dns": "a.test"},
            "trustAnchors": [{"configMapKeyRef": {"name": "partner-ca", "key": "bundle.jks"}}],
        },
    )
    bundle = {"metadata": {"name": "partner-ca"}, "data": {"ca.crt": "x"}, "binaryData": {"bundle.jks": keystore}}

    world, _, _ = converge(observed(client, config_maps={"partner-ca": bundle}))

    assert condition_of(world.client["status"], "CertificateReady") == ("False", "TrustAnchorUnreadable")
    assert "a keystore or DER is not read" in message_of(world.client["status"], "CertificateReady")


def test_a_bundle_of_trust_manager_is_taken_with_its_comments_and_from_binary_data() -> None:
    text = f"# Bundle of trust-manager\n\n{ROOT.pem.decode()}\n# another\n{FOREIGN.pem.decode()}"
    client = oauth_client(
        certificate=None,
        authentication={
            "subject": {"dns": "a.test"},
            "trustAnchors": [{"configMapKeyRef": {"name": "partner-ca", "key": "ca.crt"}}],
        },
    )
    for bundle in ({"data": {"ca.crt": text}}, {"binaryData": {"ca.crt": base64.b64encode(text.encode()).decode()}}):
        world, _, _ = converge(observed(client, config_maps={"partner-ca": {"metadata": {"name": "partner-ca"}, **bundle}}))
        anchors = world.registry.stored.metadata.trust_anchors  # type: ignore[union-attr]
        assert [a.der for a in anchors] == [ROOT.certificate.der, FOREIGN.certificate.der]


def self_signed(*certificates: Any) -> Object:
    keys = [certificate_key(c.certificate).to_json() for c in certificates]
    return oauth_client(certificate=None, authentication={"method": "self_signed_tls_client_auth", "jwks": {"keys": keys}})


def test_a_ca_in_the_place_of_the_clients_certificate_is_refused() -> None:
    world, _, done = converge(observed(self_signed(LEAF, ROOT)))

    assert condition_of(world.client["status"], "Accepted") == ("False", "CertificateIsAuthority")
    assert "keys[1].x5c[0]: expected the client's own certificate, found the CA" in message_of(
        world.client["status"], "Accepted"
    )
    assert done == []


def test_what_openssl_makes_of_everybody_is_taken() -> None:
    """`openssl req -x509` says CA:TRUE of every certificate, and no key usage."""
    world, _, _ = converge(observed(self_signed(ROOT.issue("CN=me", ca=True, digital_signature=None))))

    assert condition_of(world.client["status"], "Ready") == ("True", "Ready")


def test_an_issuer_that_makes_a_ca_of_the_client_is_found_out() -> None:
    intermediate = ROOT.intermediate("CN=orders")
    world, _, _ = converge(observed())
    request = certificate_request(pem=intermediate.pem, uris=[SPIFFE])

    world, _, _ = converge(replace(issue(world), requests=(request,)))

    assert condition_of(world.client["status"], "CertificateReady") == ("False", "CertificateIsAuthority")


PASTED = [
    pytest.param({"subject": {"dn": FORMS["PKCS8"]}}, id="as a subject"),
    pytest.param(
        {"subject": {"dns": "a.test"}, "trustAnchors": [{"configMapKeyRef": {"name": FORMS["SEC1"]}}]}, id="as a name"
    ),
    pytest.param({"method": FORMS["OpenSSH"]}, id="as a method"),
    pytest.param({"method": "private_key_jwt", "jwks": {"keys": [{"kty": "EC", "d": FORMS["PKCS8"]}]}}, id="as a member"),
]


@pytest.mark.parametrize("authentication", PASTED)
def test_a_private_key_in_a_wrong_field_is_never_repeated(authentication: Object) -> None:
    world, planned, _ = converge(observed(oauth_client(authentication=authentication)))

    assert condition_of(world.client["status"], "Ready")[0] == "False"
    assert_without_key(world.client["status"])
    assert_without_key(planned.events)


def test_admission_does_not_repeat_it_either() -> None:
    found = judgement([Objection(Reason.INVALID_SPEC, f"found {FORMS['SEC1']}"), Doubt(f"found {FORMS['PKCS8']}")])

    assert (found.denials, found.warnings) == (("found (a private key, left out)",),) * 2


def test_a_private_key_in_a_message_is_left_out_whoever_wrote_it() -> None:
    found = {ConditionType.ACCEPTED: stalled(Reason.INVALID_SPEC, f"spec.x: found {FORMS['SEC1']} and more")}

    (condition,) = conditions(found, {}, 1, NOW)

    assert condition["message"] == "spec.x: found (a private key, left out)"
