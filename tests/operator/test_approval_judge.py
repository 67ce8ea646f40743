"""What the approver says to a CertificateRequest, rule by rule: real signing requests in, verdicts out."""

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from holdfast_operator.approval.judge import Approved, DenialReason, Denied, NotOurs, Rules, judge_request
from holdfast_operator.reconcile.ports import Object
from tests.operator.certificate_requests import (
    CERT_MANAGER,
    OWN,
    as_pem,
    certificate_request,
    csr,
    decided,
    tampered,
)

RULES = Rules(issuers=frozenset({"workloads"}), trust_domain="cluster.local", cert_manager=CERT_MANAGER)
BILLING = "spiffe://cluster.local/ns/fin/sa/billing"
POD = "system:serviceaccount:shop:orders"
RSA_2048 = rsa.generate_private_key(public_exponent=65537, key_size=2048)
RSA_1024 = rsa.generate_private_key(public_exponent=65537, key_size=1024)


def denied(request: Object, rules: Rules = RULES) -> Denied:
    verdict = judge_request(request, rules)
    assert isinstance(verdict, Denied), verdict
    return verdict


@pytest.mark.parametrize("username", [CERT_MANAGER, POD, "jane@example.org"])
def test_approves_the_one_spiffe_id_of_the_requesters_namespace(username: str) -> None:
    assert isinstance(judge_request(certificate_request(username=username), RULES), Approved)


@pytest.mark.parametrize(
    "key",
    [RSA_2048, ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP521R1()),
     ed25519.Ed25519PrivateKey.generate()],
    ids=["RSA 2048", "P-384", "P-521", "Ed25519"],
)  # fmt: skip
def test_takes_each_kind_of_key_that_is_large_enough(key: Any) -> None:
    assert isinstance(judge_request(certificate_request(csr(key=key)), RULES), Approved)


@pytest.mark.parametrize("duration", ["24h", "2160h0m0s", None])
def test_takes_a_duration_up_to_the_limit_and_cert_managers_default(duration: str | None) -> None:
    assert isinstance(judge_request(certificate_request(duration=duration), RULES), Approved)


def test_takes_the_extensions_that_cert_manager_writes() -> None:
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    extended = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH])
    constraints = x509.BasicConstraints(ca=False, path_length=None)
    pem = csr(extensions=[usage, extended, constraints])

    assert isinstance(judge_request(certificate_request(pem), RULES), Approved)


_THEFTS: dict[str, tuple[bytes, DenialReason]] = {
    "another namespace's identity": (csr(uris=[BILLING]), DenialReason.IDENTITY_NOT_ALLOWED),
    "another trust domain's": (csr(uris=["spiffe://corp.example/ns/shop/sa/orders"]), DenialReason.IDENTITY_NOT_ALLOWED),
    "its own and another's": (csr(uris=[OWN, BILLING]), DenialReason.IDENTITY_NOT_ALLOWED),
    "its own twice": (csr(uris=[OWN, OWN]), DenialReason.IDENTITY_NOT_ALLOWED),
    "no name at all": (csr(uris=[]), DenialReason.IDENTITY_NOT_ALLOWED),
    "a path that goes on": (csr(uris=[f"{OWN}/x"]), DenialReason.IDENTITY_NOT_ALLOWED),
    "a path that goes up": (csr(uris=["spiffe://cluster.local/ns/shop/sa/.."]), DenialReason.IDENTITY_NOT_ALLOWED),
    "an escaped path": (csr(uris=["spiffe://cluster.local/ns/shop/sa/a%2Fb"]), DenialReason.IDENTITY_NOT_ALLOWED),
    "an empty account": (csr(uris=["spiffe://cluster.local/ns/shop/sa/"]), DenialReason.IDENTITY_NOT_ALLOWED),
    "a namespace that begins alike": (csr(uris=["spiffe://cluster.local/ns/shopping/sa/orders"]),
                                      DenialReason.IDENTITY_NOT_ALLOWED),
    "another case": (csr(uris=["SPIFFE://cluster.local/ns/shop/sa/orders"]), DenialReason.IDENTITY_NOT_ALLOWED),
    "a query": (csr(uris=[f"{OWN}?x"]), DenialReason.IDENTITY_NOT_ALLOWED),
    "a DNS name besides": (csr(dns=["billing.fin.svc"]), DenialReason.NAMES_NOT_ALLOWED),
    "an email address besides": (csr(emails=["ceo@example.org"]), DenialReason.NAMES_NOT_ALLOWED),
    "an IP address besides": (csr(ips=["10.0.0.1"]), DenialReason.NAMES_NOT_ALLOWED),
    "a common name": (csr(subject="CN=billing"), DenialReason.NAMES_NOT_ALLOWED),
    "a directory name besides": (csr(others=[x509.DirectoryName(x509.Name.from_rfc4514_string("CN=x"))]),
                                 DenialReason.NAMES_NOT_ALLOWED),
    "an other name besides": (csr(others=[x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x01x")]),
                              DenialReason.NAMES_NOT_ALLOWED),
    "to be a CA": (csr(ca=True), DenialReason.CA_NOT_ALLOWED),
    "a small RSA key": (csr(key=RSA_1024), DenialReason.KEY_NOT_ALLOWED),
    "a small curve": (csr(key=ec.generate_private_key(ec.SECP224R1())), DenialReason.KEY_NOT_ALLOWED),
    "a curve of another family": (csr(key=ec.generate_private_key(ec.SECP256K1())), DenialReason.KEY_NOT_ALLOWED),
    "name constraints": (csr(extensions=[x509.NameConstraints([x509.DNSName("fin")], None)]),
                         DenialReason.EXTENSION_NOT_ALLOWED),
    "a challenge password": (csr(challenge=b"x"), DenialReason.EXTENSION_NOT_ALLOWED),
}  # fmt: skip


@pytest.mark.parametrize(("pem", "reason"), _THEFTS.values(), ids=_THEFTS.keys())
@pytest.mark.parametrize("username", [CERT_MANAGER, POD])
def test_denies_a_signing_request_that_asks_for(pem: bytes, reason: DenialReason, username: str) -> None:
    assert denied(certificate_request(pem, username=username)).reason is reason


_SPECS: dict[str, tuple[dict[str, Any], DenialReason]] = {
    "a CA by its spec": ({"isCA": True}, DenialReason.CA_NOT_ALLOWED),
    "a server's usage": ({"usages": ["client auth", "digital signature", "server auth"]}, DenialReason.USAGES_NOT_ALLOWED),
    "one usage only": ({"usages": ["client auth"]}, DenialReason.USAGES_NOT_ALLOWED),
    "the default usages": ({"usages": None}, DenialReason.USAGES_NOT_ALLOWED),
    "ten years": ({"duration": "87600h0m0s"}, DenialReason.DURATION_NOT_ALLOWED),
    "a second too much": ({"duration": "2160h0m1s"}, DenialReason.DURATION_NOT_ALLOWED),
    "no time": ({"duration": "0s"}, DenialReason.DURATION_NOT_ALLOWED),
    "a negative time": ({"duration": "-24h"}, DenialReason.DURATION_NOT_ALLOWED),
    "a time beyond numbers": ({"duration": "9999999999h"}, DenialReason.DURATION_NOT_ALLOWED),
    "nobody's signature": ({"username": None}, DenialReason.REQUESTER_UNKNOWN),
}


@pytest.mark.parametrize(("spec", "reason"), _SPECS.values(), ids=_SPECS.keys())
def test_denies_a_spec_that_asks_for(spec: dict[str, Any], reason: DenialReason) -> None:
    assert denied(certificate_request(**spec)).reason is reason


def test_denies_the_default_duration_where_the_limit_is_shorter() -> None:
    day = Rules(issuers=RULES.issuers, trust_domain="cluster.local", cert_manager=CERT_MANAGER, max_duration=86400)

    assert "none, which means 7776000s" in denied(certificate_request(duration=None), day).message


def test_a_service_account_gets_its_own_identity_and_not_its_neighbours() -> None:
    verdict = denied(certificate_request(csr(uris=["spiffe://cluster.local/ns/shop/sa/cart"]), username=POD))

    assert verdict.reason is DenialReason.IDENTITY_NOT_ALLOWED
    assert f"expected the one URI {OWN}, found 'spiffe://cluster.local/ns/shop/sa/cart'" in verdict.message


def test_a_service_account_of_another_namespace_gets_nothing_here() -> None:
    """Even where RBAC lets it create requests: its namespace is not the request's."""
    verdict = denied(certificate_request(username="system:serviceaccount:fin:orders"))

    assert verdict.reason is DenialReason.REQUESTER_NOT_ALLOWED


def test_an_account_that_calls_itself_cert_manager_elsewhere_is_not_it() -> None:
    assert denied(certificate_request(username="system:serviceaccount:shop:cert-manager")).reason is (
        DenialReason.IDENTITY_NOT_ALLOWED
    )


def test_denies_a_signing_request_that_was_changed_after_it_was_signed() -> None:
    pem = tampered(csr(uris=["spiffe://cluster.local/ns/shop/sa/orderz"]), b"sa/orderz", b"sa/orders")

    assert denied(certificate_request(pem)).reason is DenialReason.SIGNATURE_INVALID


_UNREADABLE: dict[str, bytes] = {
    "nothing": b"",
    "no PEM": b"hello",
    "two requests": csr(uris=[OWN]) + csr(uris=[BILLING]),
    "a comment before it": b"Subject: CN=x\n" + csr(),
    "another label": csr().replace(b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST"),
    "PEM headers": csr().replace(b"REQUEST-----\n", b"REQUEST-----\nProc-Type: 4\n\n", 1),
    "bytes after the request": as_pem(x509.load_pem_x509_csr(csr()).public_bytes(Encoding.DER) + b"\x00"),
    "a megabyte": b"-----BEGIN CERTIFICATE REQUEST-----\n" + b"A" * 2**20 + b"\n-----END CERTIFICATE REQUEST-----\n",
}


@pytest.mark.parametrize("pem", _UNREADABLE.values(), ids=_UNREADABLE.keys())
def test_denies_what_is_not_one_readable_signing_request(pem: bytes) -> None:
    assert denied(certificate_request(pem)).reason is DenialReason.REQUEST_UNREADABLE


def test_denies_base64_that_is_none() -> None:
    assert denied(certificate_request(request="%%%")).reason is DenialReason.REQUEST_UNREADABLE


def test_names_every_rule_that_is_broken() -> None:
    verdict = denied(certificate_request(csr(uris=[BILLING], dns=["x.example"], ca=True), duration="87600h"))

    assert [problem.reason for problem in verdict.problems] == [
        DenialReason.IDENTITY_NOT_ALLOWED,
        DenialReason.NAMES_NOT_ALLOWED,
        DenialReason.CA_NOT_ALLOWED,
        DenialReason.DURATION_NOT_ALLOWED,
    ]


_OTHERS: dict[str, dict[str, Any]] = {
    "another ClusterIssuer": {"issuerRef": {"name": "letsencrypt", "kind": "ClusterIssuer"}},
    "an Issuer of the same name": {"issuerRef": {"name": "workloads", "kind": "Issuer"}},
    "an issuer without kind, which is an Issuer": {"issuerRef": {"name": "workloads"}},
    "another group's": {"issuerRef": {"name": "workloads", "kind": "ClusterIssuer", "group": "aws.example"}},
}


@pytest.mark.parametrize("spec", _OTHERS.values(), ids=_OTHERS.keys())
def test_says_nothing_to_the_requests_of(spec: dict[str, Any]) -> None:
    assert judge_request(certificate_request(csr(uris=[BILLING]), **spec), RULES) == NotOurs()


def test_an_issuer_without_group_is_cert_managers() -> None:
    assert denied(certificate_request(csr(uris=[BILLING]), issuerRef={"name": "workloads", "kind": "ClusterIssuer"}))


@pytest.mark.parametrize(
    "status",
    [decided("Approved", "cert-manager.io"), decided("Denied", "IdentityNotAllowed"),
     {"conditions": [{"type": "Ready", "status": "False", "reason": "Failed"}]}],
    ids=["approved", "denied", "failed"],
)  # fmt: skip
def test_says_nothing_to_what_is_decided(status: Object) -> None:
    assert judge_request(certificate_request(csr(uris=[BILLING]), status=status), RULES) == NotOurs()


def test_never_raises_on_a_request_without_a_spec() -> None:
    request = certificate_request()

    assert judge_request({**request, "spec": {"issuerRef": request["spec"]["issuerRef"]}}, RULES) != NotOurs()
    assert judge_request({"metadata": request["metadata"]}, RULES) == NotOurs()


def test_two_requests_for_extensions_in_one_signing_request_are_unreadable() -> None:
    """Go takes both, other parsers the first: whichever one judges, the other one could sign."""
    verdict = denied(certificate_request(_with_second_attribute()))

    assert (verdict.reason, "found them in several" in verdict.message) == (DenialReason.REQUEST_UNREADABLE, True)


def _with_second_attribute() -> bytes:
    """A signed request whose attribute of extensions stands there twice."""
    key = ec.generate_private_key(ec.SECP256R1())
    parsed = x509.load_pem_x509_csr(csr(key=key))
    info = parsed.tbs_certrequest_bytes
    outer = info[4:] if info[1] == 0x82 else info[3:] if info[1] == 0x81 else info[2:]
    at = outer.index(b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e") - 2
    attributes = outer[at:]  # one SEQUENCE, up to the end
    head = outer[: at - (2 if outer[at - 2] == 0xA0 else 3)]
    twice = head + _der(0xA0, attributes * 2)
    body = _der(0x30, twice)
    signature = key.sign(body, ec.ECDSA(hashes.SHA256()))
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    return as_pem(_der(0x30, body + algorithm + _der(0x03, b"\x00" + signature)))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([0x81, size]) if size < 256 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


def test_no_bit_that_is_signed_can_be_changed_unseen_and_none_makes_the_judge_fail() -> None:
    parsed = x509.load_pem_x509_csr(csr())
    der, signed = parsed.public_bytes(Encoding.DER), parsed.tbs_certrequest_bytes
    end = der.index(signed) + len(signed)
    changed = {
        (at, bit): der[:at] + bytes([der[at] ^ 1 << bit]) + der[at + 1 :] for at in range(len(der)) for bit in range(8)
    }
    verdicts = {place: judge_request(certificate_request(as_pem(text)), RULES) for place, text in changed.items()}

    assert [place for place, verdict in verdicts.items() if place[0] < end and not isinstance(verdict, Denied)] == []


@pytest.mark.parametrize("key", [RSA_2048, ed25519.Ed25519PrivateKey.generate()], ids=["RSA", "Ed25519"])
def test_no_cut_of_a_signing_request_is_read(key: Any) -> None:
    der = x509.load_pem_x509_csr(csr(key=key)).public_bytes(Encoding.DER)
    verdicts = [denied(certificate_request(as_pem(der[:at]))) for at in range(1, len(der))]

    assert {verdict.reason for verdict in verdicts} == {DenialReason.REQUEST_UNREADABLE}
