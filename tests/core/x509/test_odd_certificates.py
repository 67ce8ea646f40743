"""Certificates and bundles that are legal but unusual, and the ones that only look legal."""

import base64
import datetime as dt
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.x509.certificate import MAX_BUNDLE, Certificate, CertificateError, PeerCertificate, load_pem_bundle
from holdfast.x509.chain import MAX_CHAIN, PathError, PathRules, check_trust_anchor, verify_path
from holdfast.x509.dn_text import escape
from holdfast.x509.names import DistinguishedNameError, parse_dn
from holdfast.x509.patterns import parse_subject_pattern, subject_allowed
from holdfast.x509.subject import SubjectKind, SubjectMismatch, SubjectRuleError, parse_subject_rule, verify_subject
from tests.core.x509.authority import NOW, Authority

ROOT = Authority.root()
LEAF = ROOT.issue("CN=orders,O=Acme", uris=["spiffe://cluster.local/ns/shop/sa/orders"])


@settings(max_examples=300)
@given(st.integers(0, len(LEAF.certificate.der) - 1), st.integers(0, 255))
def test_m56_the_thumbprint_survives_pem_whatever_the_encoding(at: int, byte: int) -> None:
    """What differs from its own re-encoding must not be re-encoded on the way through a file (RFC 8705 section 3.1)."""
    der = bytearray(LEAF.certificate.der)
    der[at] = byte
    try:
        certificate = Certificate.from_der(bytes(der))
    except CertificateError:
        return
    assert load_pem_bundle(certificate.pem)[0].x5t_s256 == certificate.x5t_s256


def test_a_bundle_keeps_its_order_and_ignores_what_stands_between_blocks() -> None:
    other = Authority.root("CN=other")
    text = b"subject=CN = Root\r\n" + ROOT.pem.replace(b"\n", b"\r\n") + b"\n# the next\n  \n" + other.pem
    assert load_pem_bundle(text) == (ROOT.certificate, other.certificate)


@pytest.mark.parametrize(("pem", "says"), [
    (ROOT.pem + ROOT.pem[:-20], "has no end"),
    (ROOT.pem[:-30] + b"\n" + ROOT.pem, "has no end"),
    (ROOT.pem + b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "labelled X509 CRL"),
    (b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", "certificate 1 of the bundle"),
    (b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "certificate 1 of the bundle"),
    (ROOT.pem * (MAX_BUNDLE + 1), f"at most {MAX_BUNDLE}"),
    (b"-----BEGIN CERTIFICATE-----\n" * 30_000, "has no end"),
    (b"\n" * 2_000_000, "bytes of PEM"),
    (b"", "found none"),
])  # fmt: skip
def test_a_broken_bundle_is_refused_as_a_whole(pem: bytes, says: str) -> None:
    with pytest.raises(CertificateError, match=says):
        load_pem_bundle(pem)


@pytest.mark.parametrize("der", [b"\x30\x03\x02\x01\x01", b"\x00", LEAF.certificate.der[:-1], LEAF.certificate.der * 2])
def test_malformed_der_is_told_in_words_and_not_in_those_of_the_parser(der: bytes) -> None:
    with pytest.raises(CertificateError, match=r"^not a certificate we can read: its DER is malformed$"):
        Certificate.from_der(der)


def test_m84_a_certificate_prints_its_thumbprint_and_not_its_bytes() -> None:
    assert LEAF.certificate.x5t_s256 in repr(LEAF.certificate)
    assert len(repr(LEAF.certificate)) < 200


def test_m82_a_duplicate_extension_makes_the_certificate_unreadable() -> None:
    twice = LEAF.certificate.der.replace(bytes.fromhex("551d23"), bytes.fromhex("551d13"))  # AKI becomes a second BC
    with pytest.raises(CertificateError):
        Certificate.from_der(twice)


def test_m83_a_long_chain_is_refused_before_any_signature_is_checked() -> None:
    chain = tuple(Authority.root(f"CN=stray {n}").certificate for n in range(MAX_CHAIN + 1))
    with pytest.raises(PathError, match="at most"):
        verify_path(PeerCertificate(LEAF.certificate, chain), [ROOT.certificate], at=NOW)


def test_strangers_in_the_chain_do_no_harm() -> None:
    chain = (Authority.root("CN=stray").certificate, LEAF.certificate, ROOT.certificate)
    path = verify_path(PeerCertificate(LEAF.certificate, chain), [ROOT.certificate], at=NOW)
    assert path.certificates == (LEAF.certificate, ROOT.certificate)


def test_certificates_of_a_stranger_that_certify_one_another_cost_no_signature_check() -> None:
    """Each is the issuer of each: from the leaf up there are 8 to the power of 4 paths, with keys as large as he likes."""
    key = rsa.generate_private_key(65537, 2048)
    stranger, *twins = (Authority.root("CN=each", key=key) for _ in range(MAX_CHAIN + 1))
    leaf = stranger.issue(uris=["spiffe://cluster.local/ns/shop/sa/orders"]).certificate
    peer = PeerCertificate(leaf, tuple(twin.certificate for twin in twins))
    with pytest.raises(PathError, match="no path to a trust anchor") as refused:
        verify_path(peer, [ROOT.certificate], at=NOW)
    assert "signature check limit" not in refused.value.reason


def test_intermediates_come_in_any_order_and_with_a_twin_of_their_name() -> None:
    one = ROOT.intermediate("CN=1")
    two = one.intermediate("CN=2")
    leaf = two.issue("CN=x", uris=["urn:x"]).certificate
    twin = Authority.root("CN=other").intermediate("CN=1")
    chain = (one.certificate, twin.certificate, two.certificate, ROOT.certificate)
    path = verify_path(PeerCertificate(leaf, chain), [ROOT.certificate], at=NOW)
    assert path.certificates == (leaf, two.certificate, one.certificate, ROOT.certificate)


def test_m21_a_path_deeper_than_the_limit_is_refused() -> None:
    leaf = ROOT.intermediate("CN=1").intermediate("CN=2").issue("CN=x", uris=["urn:x"])
    verify_path(leaf.peer, [ROOT.certificate], at=NOW, rules=PathRules(max_depth=2))
    with pytest.raises(PathError):
        verify_path(leaf.peer, [ROOT.certificate], at=NOW, rules=PathRules(max_depth=1))


def test_m24_a_higher_minimum_holds_for_the_anchor_too() -> None:
    small = Authority.root(key=rsa.generate_private_key(65537, 2048))
    leaf = small.issue("CN=x", uris=["urn:x"])
    verify_path(leaf.peer, [small.certificate], at=NOW)
    with pytest.raises(PathError, match="2048 bits"):
        verify_path(leaf.peer, [small.certificate], at=NOW, rules=PathRules(min_rsa_bits=3072))


def test_m24_a_leaf_signed_with_sha_1_is_refused() -> None:
    key = rsa.generate_private_key(65537, 2048)
    root = Authority.root(key=key)
    # `cryptography` refuses to sign with SHA-1, so the signature is made by hand over the same body.
    sound = root.issue("CN=x", uris=["urn:x"], key=rsa.generate_private_key(65537, 2048)).certificate
    der = _signed_with_sha1(sound, key)
    with pytest.raises(PathError):
        verify_path(PeerCertificate(Certificate.from_der(der)), [root.certificate], at=NOW)


def _signed_with_sha1(certificate: Certificate, key: rsa.RSAPrivateKey) -> bytes:
    sha256_rsa, sha1_rsa = bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105")
    body = certificate.parsed.tbs_certificate_bytes.replace(sha256_rsa, sha1_rsa)
    signature = key.sign(body, padding.PKCS1v15(), hashes.SHA1())
    outer = certificate.der.replace(certificate.parsed.tbs_certificate_bytes, body).replace(sha256_rsa, sha1_rsa)
    return outer.replace(certificate.parsed.signature, signature)


def test_m44_a_leaf_that_is_itself_the_anchor_is_refused() -> None:
    with pytest.raises(PathError, match="itself a trust anchor"):
        verify_path(LEAF.peer, [LEAF.certificate, ROOT.certificate], at=NOW)


@pytest.mark.parametrize("critical", [True, False])
def test_y07_a_directory_name_constraint_is_refused_when_loaded_and_when_met(critical: bool) -> None:
    """Non-critical ones would be ignored by the verifier, critical ones refused at each login (RFC 5280 4.2.1.10)."""
    constraint = x509.NameConstraints([x509.DirectoryName(x509.Name.from_rfc4514_string("O=Acme"))], None)
    ca = _constrained(constraint, critical)
    with pytest.raises(PathError, match="directoryName"):
        check_trust_anchor(ca.certificate)
    with pytest.raises(PathError, match="directoryName"):
        verify_path(ca.issue("CN=x,O=Acme", uris=["urn:x"]).peer, [ca.certificate], at=NOW)


def _constrained(constraint: x509.NameConstraints, critical: bool) -> Authority:
    key = ROOT.key
    subject = x509.Name.from_rfc4514_string("CN=Constrained")
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(NOW - dt.timedelta(days=2))
    builder = builder.not_valid_after(NOW + dt.timedelta(days=90))
    builder = builder.add_extension(x509.BasicConstraints(True, None), True).add_extension(constraint, critical)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    der = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    return Authority(Certificate.from_der(der), key)


@pytest.mark.parametrize(("constraint", "good", "bad"), [
    (x509.DNSName("shop.example"), {"dns": ["a.shop.example"]}, {"dns": ["a.web.example"]}),
    (x509.RFC822Name("example.org"), {"emails": ["a@example.org"]}, {"emails": ["a@example.com"]}),
])  # fmt: skip
def test_m21_name_constraints_hold(
    constraint: x509.GeneralName, good: dict[str, list[str]], bad: dict[str, list[str]]
) -> None:
    ca = Authority.root(constraints=x509.NameConstraints([constraint], None))
    check_trust_anchor(ca.certificate)
    verify_path(ca.issue("CN=x", **good).peer, [ca.certificate], at=NOW)  # type: ignore[arg-type]
    with pytest.raises(PathError):
        verify_path(ca.issue("CN=x", **bad).peer, [ca.certificate], at=NOW)  # type: ignore[arg-type]


def test_the_moment_is_a_point_in_time_whatever_its_zone() -> None:
    east = NOW.astimezone(dt.timezone(dt.timedelta(hours=14)))
    leaf = ROOT.issue("CN=x", uris=["urn:x"], not_after=NOW + dt.timedelta(hours=1))
    verify_path(leaf.peer, [ROOT.certificate], at=east)
    with pytest.raises(PathError):
        verify_path(leaf.peer, [ROOT.certificate], at=east + dt.timedelta(hours=2))


def test_m81_two_anchors_of_one_name_are_two() -> None:
    twin = Authority.root()
    path = verify_path(LEAF.peer, [twin.certificate, ROOT.certificate], at=NOW)
    assert path.certificates[-1] == ROOT.certificate


@pytest.mark.parametrize("value", [" ", "  a", "a ", "a\\ ", "\\", "#a", "a#", '"', "a=b", ",", " # "])
def test_an_escaped_value_is_read_back_as_it_was(value: str) -> None:
    assert parse_dn(f"CN={escape(value)}").rdns[0][0].value == value


@given(st.text(st.characters(codec="ascii", min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=20))
def test_any_printable_value_survives_its_text_form(value: str) -> None:
    assert parse_dn(f"CN={escape(value)}").rdns[0][0].value == value


def test_a_caron_that_composes_only_in_lower_case_still_folds() -> None:
    assert parse_dn("CN=J\u030c").matches(parse_dn("CN=\u01f0"))


def test_hexadecimal_of_a_string_that_is_none_is_refused() -> None:
    with pytest.raises(DistinguishedNameError):
        parse_dn("CN=#0c01ff")


@pytest.mark.parametrize("value", [
    "spiffe://Cluster.local/a", "SPIFFE://cluster.local/a", "spiffe://td/a%2Fb", "spiffe://td/a/", "spiffe://td/./a",
    "spiffe://td:1/a", "spiffe://td/a?b", "https://h/%zz", "https://h/<a>", "https://h/\\a",
])  # fmt: skip
def test_m29_and_y03_what_is_no_uri_or_no_spiffe_id_is_refused(value: str) -> None:
    with pytest.raises(SubjectRuleError):
        parse_subject_rule(SubjectKind.URI, value)


@pytest.mark.parametrize(("registered", "presented", "same"), [
    ("https://h.example/A", "HTTPS://H.EXAMPLE/A", True),
    ("https://h.example/A", "https://h.example/a", False),
    ("https://h.example/a", "https://h.example/b/../a", False),
    ("https://h.example/%61", "https://h.example/a", False),
    ("spiffe://td/a", "SPIFFE://td/a", False),
    ("spiffe://td/a", "spiffe://TD/a", False),
])  # fmt: skip
def test_y03_scheme_and_host_ignore_case_and_nothing_else_is_normalised(registered: str, presented: str, same: bool) -> None:
    rule = parse_subject_rule(SubjectKind.URI, registered)
    certificate = ROOT.issue("CN=x", uris=[presented]).certificate
    if same:
        return verify_subject(certificate, rule)
    with pytest.raises(SubjectMismatch):
        verify_subject(certificate, rule)
    return None


@pytest.mark.parametrize(("kind", "unicode", "ascii_form", "raw"), [
    (SubjectKind.DNS, "bücher.example", "xn--bcher-kva.example", x509.DNSName._init_without_validation),
    (SubjectKind.EMAIL, "a@bücher.example", "a@xn--bcher-kva.example", x509.RFC822Name._init_without_validation),
])  # fmt: skip
def test_y01_a_u_label_is_converted_when_registered_and_never_in_a_certificate(
    kind: SubjectKind, unicode: str, ascii_form: str, raw: Callable[[str], x509.GeneralName]
) -> None:
    rule = parse_subject_rule(kind, unicode)
    assert rule.canonical == ascii_form
    for name, same in ((raw(ascii_form), True), (raw(unicode), False)):
        certificate = ROOT.issue("CN=x", extra=[(x509.SubjectAlternativeName([name]), False)]).certificate
        try:
            verify_subject(certificate, rule)
            matched = True
        except SubjectMismatch:
            matched = False
        assert matched is same


def test_y05_a_utf8_mailbox_in_an_other_name_is_no_email() -> None:
    smtp_utf8 = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.9"), b"\x0c\x0da@example.org")
    certificate = ROOT.issue("CN=x", extra=[(x509.SubjectAlternativeName([smtp_utf8]), False)]).certificate
    with pytest.raises(SubjectMismatch):
        verify_subject(certificate, parse_subject_rule(SubjectKind.EMAIL, "a@example.org"))


def test_y06_an_empty_subject_matches_no_dn_rule() -> None:
    with pytest.raises(SubjectMismatch):
        verify_subject(ROOT.issue(uris=["urn:x"]).certificate, parse_subject_rule(SubjectKind.DN, "CN=orders,O=Acme"))


def test_m16_the_common_name_is_no_host_name() -> None:
    with pytest.raises(SubjectMismatch):
        verify_subject(ROOT.issue("CN=a.example").certificate, parse_subject_rule(SubjectKind.DNS, "a.example"))


@pytest.mark.parametrize("segment", ["x?y", "x#y", "..", ".", "%2e%2e", "a%2Fb"])
def test_a_star_takes_nothing_that_could_be_read_as_another_path(segment: str) -> None:
    rule = parse_subject_rule(SubjectKind.URI, f"https://h.example/{segment}")
    assert not subject_allowed(rule, parse_subject_pattern(SubjectKind.URI, "https://h.example/*"))


def test_the_base64_of_a_block_may_be_one_line() -> None:
    body = base64.b64encode(ROOT.certificate.der)
    text = b"-----BEGIN CERTIFICATE-----\n" + body + b"\n-----END CERTIFICATE-----"
    assert load_pem_bundle(text) == (ROOT.certificate,)
