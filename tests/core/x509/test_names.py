"""Distinguished names: the vectors for `distinguishedNameMatch`, and what no input may do."""

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from holdfast.x509.names import DistinguishedNameError, parse_dn, read_name

SUBJECT = read_name(
    x509.Name(
        [
            x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COUNTRY_NAME, "GB")]),
            x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Ácme, Inc")]),
            x509.RelativeDistinguishedName(
                [
                    x509.NameAttribute(NameOID.COMMON_NAME, "Client  One"),
                    x509.NameAttribute(NameOID.SERIAL_NUMBER, "42", _ASN1Type.PrintableString),
                ]
            ),
        ]
    ).public_bytes()
)


@pytest.mark.parametrize("text", [
    "CN=Client  One+2.5.4.5=42,O=\\C3\\81cme\\, Inc,C=GB",
    'cn = client one + serialNumber = 42 , o = "ácme, INC" , c = gb',
    "2.5.4.3=CLIENT ONE+OID.2.5.4.5=#13023432,O=A\u0301cme\\2C Inc,C=GB",
    "serialNumber=42+CN=Client One,O=Ácme\\, Inc,C=GB",
])  # fmt: skip
def test_m14_spelling_does_not_matter(text: str) -> None:
    assert SUBJECT.matches(parse_dn(text))
    assert parse_dn(text).canonical == SUBJECT.canonical


@pytest.mark.parametrize("text", [
    "C=GB,O=Ácme\\, Inc,CN=Client One+serialNumber=42",
    "CN=Client One,O=Ácme\\, Inc,C=GB",
    "CN=Client One,serialNumber=42,O=Ácme\\, Inc,C=GB",
    "CN=Client One+serialNumber=42,O=Ácme\\, Inc,C=GB,DC=x",
    "CN=Client One+serialNumber=42,O=Ácme\\, Inc",
    "CN=Client Oneр+serialNumber=42,O=Ácme\\, Inc,C=GB",
    "CN=Client One+serialNumber=42+CN=Client One,O=Ácme\\, Inc,C=GB",
])  # fmt: skip
def test_m14_anything_else_does(text: str) -> None:
    assert not SUBJECT.matches(parse_dn(text))


def test_a_reversed_name_is_recognised() -> None:
    assert SUBJECT.matches(parse_dn("C=GB,O=Ácme\\, Inc,CN=Client One+serialNumber=42").reversed())


@pytest.mark.parametrize("text", [
    "CN=a,", "/C=GB/O=A", "", "  ", "CN=#be", "CN=\ud800", "CN=a+", "CN=", "=a", "XX=a", "CN=a,,O=b", "CN=#0c0161ff",
    'CN="a', 'CN="a"b', "CN=a\\", "CN=\\zz", "CN=\\ff", "CN=a<b", "+CN=a", "CN", "CN=\0", "CN=" + "a" * 5000,
    ",".join(["CN=a"] * 65),
    "CN=a\ue000", "CN=ad\u200bmin", "CN=ad\u00admin", "CN=a\\00b", "CN=ａdmin", "CN=a\u00a0b", "DC=ä", "CN=\\20\\E2\\80\\8B",
])  # fmt: skip
def test_m27_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(DistinguishedNameError):
        parse_dn(text)


@pytest.mark.parametrize(("one", "other"), [
    ("CN=admin", "CN=ad\u00admin"), ("CN=strasse", "CN=straße"), ("CN=client one", "CN=client\u200b one"), ("CN=a", "CN=ａ"),
])  # fmt: skip
def test_a_certificate_with_invisible_or_look_alike_characters_equals_nobody(one: str, other: str) -> None:
    pairs = [x509.NameAttribute(NameOID.COMMON_NAME, other.removeprefix("CN="))]
    assert not read_name(x509.Name(pairs).public_bytes()).matches(parse_dn(one))


letters = st.text(st.characters(codec="utf-8", categories=("Lu", "Ll", "Nd"), max_codepoint=0x24F), min_size=1, max_size=12)


@given(st.lists(st.lists(letters, min_size=1, max_size=3), min_size=1, max_size=5))
def test_a_printed_name_matches_itself_and_not_its_reverse(rdns: list[list[str]]) -> None:
    text = ",".join("+".join(f"CN={value}" for value in rdn) for rdn in rdns)
    try:
        name = parse_dn(text)
    except DistinguishedNameError:
        return  # a character with a compatibility form
    assert name.matches(parse_dn(name.text))
    assert name.matches(parse_dn(name.canonical))
    assert name.matches(name.reversed()) == (name.canonical == name.reversed().canonical)


@given(st.text(max_size=60))
def test_no_text_makes_the_parser_raise_anything_else(text: str) -> None:
    for candidate in (text, "CN=" + text, "CN=#" + text):
        try:
            parse_dn(candidate)
        except DistinguishedNameError:
            continue
