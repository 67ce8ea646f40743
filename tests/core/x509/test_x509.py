"""Path validation, subject rules, thumbprints: what is accepted, and each thing that must not be."""

import base64
import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.x509.certificate import Certificate, CertificateError, PeerCertificate, load_pem_bundle
from holdfast.x509.chain import PathError, PathRules, check_trust_anchor, verify_path
from holdfast.x509.patterns import parse_subject_pattern, subject_allowed
from holdfast.x509.subject import SubjectKind, SubjectMismatch, SubjectRuleError, parse_subject_rule, verify_subject
from holdfast.x509.thumbprint import thumbprints_equal
from tests.core.x509.authority import DAY, NOW, Authority, Issued, key_pem, new_key

APPENDIX_A = (
    "MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAxODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsG"
    "A1UEAwwEbXRsczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ/Au08/coZwxS7LfA"
    "4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwIDSQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA"
    "5x2eXZOVbUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY="
)
ROOT = Authority.root()
LEAF = ROOT.issue("CN=orders,O=Acme", uris=["spiffe://cluster.local/ns/shop/sa/orders"])


def judge(peer: PeerCertificate, *anchors: Authority, at: dt.datetime = NOW, required: bool = True) -> None:
    verify_path(peer, [a.certificate for a in anchors], at=at, rules=PathRules(require_client_auth_usage=required))


def test_m55_the_certificate_of_rfc_8705_appendix_a_has_its_published_thumbprint() -> None:
    certificate = Certificate.from_der(base64.b64decode(APPENDIX_A))
    assert certificate.x5t_s256 == "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
    assert certificate.subject.text == "CN=mtls"


def test_m57_two_empty_thumbprints_are_not_equal() -> None:
    assert not thumbprints_equal("", "")
    assert thumbprints_equal("a", "a")


def test_m11_a_leaf_of_the_anchor_is_accepted_and_the_window_is_the_narrowest() -> None:
    path = verify_path(LEAF.peer, [ROOT.certificate], at=NOW)
    assert path.certificates == (LEAF.certificate, ROOT.certificate)
    assert path.valid_until == LEAF.certificate.not_after
    assert path.valid_from == LEAF.certificate.not_before


def test_m11_intermediates_come_from_what_the_client_sent() -> None:
    leaf = ROOT.intermediate().issue("CN=x", uris=["urn:x"])
    judge(leaf.peer, ROOT)
    with pytest.raises(PathError):
        judge(PeerCertificate(leaf.certificate), ROOT)


def test_an_intermediate_may_be_the_anchor_and_then_its_siblings_are_outside() -> None:
    mine, sibling = ROOT.intermediate("CN=mine"), ROOT.intermediate("CN=sibling")
    judge(mine.issue("CN=x", uris=["urn:x"]).peer, mine)
    with pytest.raises(PathError):
        judge(sibling.issue("CN=x", uris=["urn:x"]).peer, mine)


def bad_paths() -> dict[str, tuple[Issued, list[Authority]]]:
    twin = Authority.root()
    constrained = Authority.root(constraints=x509.NameConstraints([x509.DNSName("shop.example")], None))
    named = Authority.root(
        constraints=x509.NameConstraints([x509.DirectoryName(x509.Name.from_rfc4514_string("O=A"))], None)
    )
    flat = ROOT.intermediate("CN=flat", path_length=0)
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    uris = ["urn:x"]
    return {
        "M-11 foreign CA": (Authority.root("CN=Other").issue("CN=x", uris=uris), [ROOT]),
        "M-81 same DN, other key": (twin.issue("CN=x", uris=uris), [ROOT]),
        "M-17 expired": (ROOT.issue("CN=x", uris=uris, not_before=NOW - 3 * DAY, not_after=NOW - DAY), [ROOT]),
        "M-17 not yet valid": (ROOT.issue("CN=x", uris=uris, not_before=NOW + DAY), [ROOT]),
        "M-17 expired issuer": ((old := Authority.root(not_after=NOW - DAY)).issue("CN=x", uris=uris), [old]),
        "M-18 serverAuth only": (ROOT.issue("CN=x", uris=uris, usages=[ExtendedKeyUsageOID.SERVER_AUTH]), [ROOT]),
        "M-18 anyExtendedKeyUsage only": (
            ROOT.issue("CN=x", uris=uris, usages=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), [ROOT]),
        "M-18 none": (ROOT.issue("CN=x", uris=uris, client_auth=False), [ROOT]),
        "M-19 no digitalSignature": (ROOT.issue("CN=x", uris=uris, digital_signature=False), [ROOT]),
        "M-20 a CA": (ROOT.issue("CN=x", uris=uris, ca=True), [ROOT]),
        "M-21 path length": (flat.intermediate("CN=deeper").issue("CN=x", uris=uris), [ROOT]),
        "M-21 DNS constraint": (constrained.issue("CN=x", dns=["web.example"]), [constrained]),
        "M-21 directory name constraint": (named.issue("CN=x,O=B", dns=["a.example"]), [named]),
        "M-21 unknown critical extension": (ROOT.issue("CN=x", uris=uris, extra=[(unknown, True)]), [ROOT]),
        "M-24 RSA 1024": (ROOT.issue("CN=x", uris=uris, key=rsa.generate_private_key(65537, 1024)), [ROOT]),
        "M-24 P-192": (ROOT.issue("CN=x", uris=uris, key=ec.generate_private_key(ec.SECP192R1())), [ROOT]),
        "M-44 the anchor is itself a leaf": (
            (a := Authority(LEAF.certificate, LEAF.key)).issue("CN=x", uris=uris), [a]),
        "no anchors at all": (LEAF, []),
    }  # fmt: skip


BAD_PATHS = bad_paths()


@pytest.mark.parametrize("case", BAD_PATHS)
def test_a_bad_path_is_refused(case: str) -> None:
    leaf, anchors = BAD_PATHS[case]
    with pytest.raises(PathError) as refused:
        judge(leaf.peer, *anchors)
    assert refused.value.reason


def test_m18_a_leaf_without_extended_usage_is_accepted_where_policy_does_not_ask_for_it() -> None:
    judge(ROOT.issue("CN=x", uris=["urn:x"], client_auth=False).peer, ROOT, required=False)


@pytest.mark.parametrize(
    "key", [rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()], ids=["rsa", "ed25519"]
)
def test_rsa_and_ed25519_leaves_are_accepted(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> None:
    judge(ROOT.issue("CN=x", uris=["urn:x"], key=key).peer, ROOT)


def test_what_private_cas_leave_out_is_no_reason_to_refuse() -> None:
    bare = Authority.root(usage=False)
    judge(bare.issue("CN=only a dn", aki=False).peer, bare)


def test_ed25519_cas_are_refused_when_they_are_loaded() -> None:
    with pytest.raises(PathError, match="Ed25519"):
        check_trust_anchor(Authority.root(key=ed25519.Ed25519PrivateKey.generate()).certificate)


def test_a_leaf_is_refused_as_an_anchor() -> None:
    with pytest.raises(PathError, match="not a CA"):
        check_trust_anchor(LEAF.certificate)
    check_trust_anchor(ROOT.certificate)


def test_m12_only_the_leaf_is_compared() -> None:
    peer = PeerCertificate(ROOT.issue("CN=thief", uris=["urn:thief"]).certificate, (LEAF.certificate,))
    with pytest.raises(SubjectMismatch):
        verify_subject(peer.leaf, parse_subject_rule(SubjectKind.DN, "CN=orders,O=Acme"))


KINDS = {
    SubjectKind.DNS: ("orders.example", {"dns": ["ORDERS.example"]}),
    SubjectKind.URI: ("spiffe://cluster.local/a", {"uris": ["spiffe://cluster.local/a"]}),
    SubjectKind.IP: ("10.1.2.3", {"ips": ["10.1.2.3"]}),
    SubjectKind.EMAIL: ("Orders@EXAMPLE.org", {"emails": ["Orders@example.ORG"]}),
}


@pytest.mark.parametrize("rule", KINDS)
@pytest.mark.parametrize("has", KINDS)
def test_m15_only_entries_of_the_rules_kind_count(rule: SubjectKind, has: SubjectKind) -> None:
    certificate = ROOT.issue("CN=orders.example", **KINDS[has][1]).certificate  # type: ignore[arg-type]
    parsed = parse_subject_rule(rule, KINDS[rule][0])
    if rule is has:
        return verify_subject(certificate, parsed)
    with pytest.raises(SubjectMismatch):
        verify_subject(certificate, parsed)
    return None


@pytest.mark.parametrize(("kind", "value", "entries"), [
    (SubjectKind.DNS, "orders.example", {"dns": ["*.example"]}),
    (SubjectKind.DNS, "orders.example", {"dns": ["orders.example.evil"]}),
    (SubjectKind.URI, "spiffe://cluster.local/a", {"uris": ["spiffe://cluster.local/A"]}),
    (SubjectKind.URI, "spiffe://cluster.local/a", {"uris": ["spiffe://cluster.local/a/b"]}),
    (SubjectKind.IP, "10.1.2.3", {"ips": ["10.1.2.0/24"]}),
    (SubjectKind.IP, "10.1.2.3", {"ips": ["::ffff:10.1.2.3"]}),
    (SubjectKind.EMAIL, "orders@example.org", {"emails": ["Orders@example.org"]}),
])  # fmt: skip
def test_m13_nearly_equal_is_not_equal(kind: SubjectKind, value: str, entries: dict[str, list[str]]) -> None:
    certificate = ROOT.issue("CN=x", **entries).certificate  # type: ignore[arg-type]
    with pytest.raises(SubjectMismatch):
        verify_subject(certificate, parse_subject_rule(kind, value))


def test_ipv6_is_compared_as_octets_and_one_equal_entry_suffices() -> None:
    certificate = ROOT.issue("CN=x", ips=["10.0.0.1", "2001:db8::1"]).certificate
    verify_subject(certificate, parse_subject_rule(SubjectKind.IP, "2001:0DB8:0:0::1"))


@pytest.mark.parametrize(("kind", "value"), [
    (SubjectKind.DNS, "*.example"), (SubjectKind.DNS, "a.example."), (SubjectKind.DNS, "10.0.0.1"),
    (SubjectKind.DNS, "a..b"), (SubjectKind.DNS, "a b"), (SubjectKind.DNS, "a" * 254), (SubjectKind.DNS, "\0"),
    (SubjectKind.URI, "/relative"), (SubjectKind.URI, "urn:a b"), (SubjectKind.URI, "urn:\n"), (SubjectKind.URI, "http://ä/"),
    (SubjectKind.URI, "spiffe://u@h/a"), (SubjectKind.URI, "spiffe:///a"), (SubjectKind.URI, "spiffe://h/a/../b"),
    (SubjectKind.URI, "http://[x/"),
    (SubjectKind.IP, "10.0.0.0/8"), (SubjectKind.IP, "fe80::1%eth0"), (SubjectKind.IP, "010.0.0.1"),
    (SubjectKind.IP, "[::1]"), (SubjectKind.IP, "10.0.0.1:80"),
    (SubjectKind.EMAIL, "a"), (SubjectKind.EMAIL, "a@b, c@d"), (SubjectKind.EMAIL, "A <a@b.c>"),
    (SubjectKind.EMAIL, "ä@b.c"),
    (SubjectKind.DN, ""), (SubjectKind.DN, "/C=GB/O=A"),
])  # fmt: skip
def test_m28_to_m31_a_value_that_is_none_of_its_kind_is_refused(kind: SubjectKind, value: str) -> None:
    with pytest.raises(SubjectRuleError):
        parse_subject_rule(kind, value)


def test_m33_the_registered_spelling_is_kept() -> None:
    rule = parse_subject_rule(SubjectKind.DNS, "Orders.Example")
    assert (rule.value, rule.canonical) == ("Orders.Example", "orders.example")


@given(st.sampled_from(list(SubjectKind)), st.text(max_size=80))
def test_no_text_makes_a_rule_raise_anything_else(kind: SubjectKind, value: str) -> None:
    try:
        rule = parse_subject_rule(kind, value)
    except SubjectRuleError:
        return
    assert parse_subject_rule(kind, rule.canonical).canonical == rule.canonical


@given(st.binary(max_size=400))
def test_no_bytes_make_a_certificate_raise_anything_else(data: bytes) -> None:
    with pytest.raises(CertificateError):
        Certificate.from_der(data)
    with pytest.raises(CertificateError):
        load_pem_bundle(data)


@settings(max_examples=300)
@given(st.integers(0, len(LEAF.certificate.der) - 1), st.integers(0, 255))
def test_a_certificate_with_one_changed_byte_is_unreadable_or_leads_nowhere_or_says_the_same(at: int, byte: int) -> None:
    der = bytearray(LEAF.certificate.der)
    if der[at] == byte:
        return
    der[at] = byte
    try:
        changed = Certificate.from_der(bytes(der))
        judge(PeerCertificate(changed), ROOT)
    except (CertificateError, PathError):
        return
    # Another spelling of a boolean, say: the CA signed what it means, and a token bound to it is bound to these bytes.
    assert changed.spki_sha256 == LEAF.certificate.spki_sha256
    assert (changed.subject, changed.uris) == (LEAF.certificate.subject, LEAF.certificate.uris)
    assert changed.x5t_s256 != LEAF.certificate.x5t_s256


def test_m82_invalid_utf_8_in_a_name_matches_nothing_and_raises_nothing() -> None:
    der = LEAF.certificate.der.replace(b"orders\x31", b"ord\xffrs\x31", 1)
    certificate = Certificate.from_der(der.replace(b"\x0c\x06orders", b"\x0c\x06ord\xffrs", 1))
    with pytest.raises(SubjectMismatch):
        verify_subject(certificate, parse_subject_rule(SubjectKind.DN, "CN=orders,O=Acme"))


def test_m82_trailing_bytes_are_refused() -> None:
    with pytest.raises(CertificateError):
        Certificate.from_der(LEAF.certificate.der + b"\0")


def test_a_bundle_with_a_private_key_is_refused_and_says_so() -> None:
    with pytest.raises(CertificateError, match="PRIVATE KEY"):
        load_pem_bundle(ROOT.pem + key_pem(new_key()))


def test_a_dn_that_is_written_in_reverse_is_refused_and_diagnosed() -> None:
    with pytest.raises(SubjectMismatch, match="reversed") as refused:
        verify_subject(LEAF.certificate, parse_subject_rule(SubjectKind.DN, "O=Acme,CN=orders"))
    assert len(refused.value.reasons) == 2


@pytest.mark.parametrize(("kind", "value", "pattern", "allowed"), [
    (SubjectKind.URI, "spiffe://td/ns/a/sa/x", "spiffe://td/ns/a/sa/*", True),
    (SubjectKind.URI, "spiffe://td/ns/a/sa/x/y", "spiffe://td/ns/a/sa/*", False),
    (SubjectKind.URI, "spiffe://td/ns/b/sa/x", "spiffe://td/ns/a/sa/*", False),
    (SubjectKind.DNS, "a.shop.example", "*.shop.example", True),
    (SubjectKind.DNS, "a.b.shop.example", "*.shop.example", False),
    (SubjectKind.DNS, "shop.example", "*.shop.example", False),
    (SubjectKind.IP, "10.1.2.3", "10.0.0.0/8", True),
    (SubjectKind.IP, "11.1.2.3", "10.0.0.0/8", False),
    (SubjectKind.IP, "::1", "10.0.0.0/8", False),
    (SubjectKind.EMAIL, "a@example.org", "*@example.org", True),
    (SubjectKind.EMAIL, "a@evil.org", "*@example.org", False),
    (SubjectKind.DN, "CN=x,OU=b,O=acme", "OU=B,O=Acme", True),
    (SubjectKind.DN, "CN=x,O=Acme,OU=B", "OU=B,O=Acme", False),
    (SubjectKind.DNS, "a.example", "a.example", True),
    (SubjectKind.URI, "urn:x", "urn:x", True),
])  # fmt: skip
def test_a_pattern_allows_what_it_covers_and_nothing_beside(
    kind: SubjectKind, value: str, pattern: str, allowed: bool
) -> None:
    assert subject_allowed(parse_subject_rule(kind, value), parse_subject_pattern(kind, pattern)) is allowed


@pytest.mark.parametrize(("kind", "pattern"), [
    (SubjectKind.URI, "spiffe://*/ns/a"), (SubjectKind.URI, "*"), (SubjectKind.DNS, "a*.example"),
    (SubjectKind.EMAIL, "a@*"),
    (SubjectKind.IP, "10.0.0.1/8"), (SubjectKind.DN, "*"), (SubjectKind.URI, "spiffe://td/a*"),
])  # fmt: skip
def test_a_pattern_that_is_wider_than_a_segment_is_refused(kind: SubjectKind, pattern: str) -> None:
    with pytest.raises(SubjectRuleError):
        parse_subject_pattern(kind, pattern)


def test_x509_name_oid_constants_agree_with_ours() -> None:
    name = x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, "42"), x509.NameAttribute(NameOID.COMMON_NAME, "a")])
    assert ROOT.issue(name).certificate.subject.text == "CN=a,2.5.4.5=42"
