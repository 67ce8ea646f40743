"""The parsers of certificate headers other than RFC 9440's: good values, values that attack, values that mean nothing."""

import base64
import hashlib
import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_authserver.transport.forwarded.formats import Format, FormatName, make_format
from holdfast_authserver.transport.forwarded.malformed_field import MalformedField
from tests.authserver.transport.forwarding import ENCODERS, envoy_pem, xfcc_element
from tests.core.x509.authority import Authority, Issued

INTERMEDIATE = Authority.root().intermediate()
GOOD = INTERMEDIATE.issue("CN=good")
VICTIM = INTERMEDIATE.issue("CN=victim")
HASH = hashlib.sha256(GOOD.certificate.der).hexdigest()
XFCC = make_format(FormatName.XFCC)
NGINX = make_format(FormatName.NGINX_ESCAPED_PEM)
TRAEFIK = make_format(FormatName.TRAEFIK_PEM)
ALB = make_format(FormatName.ALB_LEAF)
FORMATS = {name.value: make_format(name) for name in FormatName}
CERT = f'Cert="{envoy_pem([GOOD.certificate])}"'
STOLEN = f'Hash={hashlib.sha256(VICTIM.certificate.der).hexdigest()};Cert="{envoy_pem([VICTIM.certificate])}"'


def _without_digests(value: str) -> str:
    """A name for a case: certificates are made anew in each process, and its workers have to agree on names."""
    return re.sub("[0-9A-Fa-f]{64}", "…", value)[:30]


def ders(form: Format, *values: str, fields: tuple[str, ...] | None = None) -> tuple[bytes, ...]:
    headers = zip(fields or form.fields, values, strict=False)
    selected = form.select([(name.encode(), value.encode("latin-1")) for name, value in headers])
    chain = form.chain(selected.values)
    return () if chain is None else chain.ders


def whole(issued: Issued) -> tuple[bytes, ...]:
    return tuple(c.der for c in (issued.certificate, *issued.chain))


@pytest.mark.parametrize("name", FORMATS)
def test_what_a_terminator_sends_comes_back_as_the_certificates_of_the_peer(name: str) -> None:
    form = FORMATS[name]
    headers = [(field.lower().encode(), value.encode()) for field, value in ENCODERS[name](GOOD)]

    chain = form.chain(form.select(headers).values)

    assert chain is not None
    has_chain = name not in ("NginxEscapedPEM", "ALBLeaf")
    assert chain.ders == (whole(GOOD) if has_chain else whole(GOOD)[:1])


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("value", [None, "", " \t"])
def test_an_absent_or_empty_field_is_no_certificate(name: str, value: str | None) -> None:
    """No format reads a certificate out of nothing (C-05)."""
    assert ders(FORMATS[name], *([] if value is None else [value])) == ()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "value", ["%", "::", ":QQ==:", "QQ==", "SUCCESS", "CN=good", "-", "null", "\xff", "Cert=", ",", ";"]
)
def test_a_value_of_another_kind_is_malformed(name: str, value: str) -> None:
    """Not one of them is guessed at (C-01)."""
    with pytest.raises(MalformedField):
        ders(FORMATS[name], value)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("other", FORMATS)
def test_no_format_reads_the_value_of_another(name: str, other: str) -> None:
    """The one that is configured, and never a second (C-06)."""
    if {name, other} == {"NginxEscapedPEM", "ALBLeaf"}:
        return  # the same encoding in fields of other names
    value = ENCODERS[other](GOOD)[0][1]
    if name != other:
        with pytest.raises(MalformedField):
            ders(FORMATS[name], value)


@pytest.mark.parametrize("name", FORMATS)
def test_two_fields_of_the_leaf_are_malformed(name: str) -> None:
    """Which of them the terminator wrote cannot be known (C-06)."""
    (field, value), *_ = ENCODERS[name](GOOD)

    with pytest.raises(MalformedField, match="expected one field"):
        ders(FORMATS[name], value, value, fields=(field.lower(), field.lower()))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("style", ["underscores", "one underscore"])
def test_a_twin_with_underscores_is_ignored_and_told(name: str, style: str) -> None:
    """Some servers make the same name of both, this one does not (C-06)."""
    form = FORMATS[name]
    (field, value), *_ = ENCODERS[name](GOOD)
    twin = field.lower().replace("-", "_", -1 if style == "underscores" else 1)

    selected = form.select([(twin.encode(), value.encode())])

    assert selected.values == {}
    assert selected.ignored == [f"{twin}: expected the name {field.lower()}"]


@pytest.mark.parametrize("option", ["{}", "close, {}", "{} , keep-alive", "Keep-Alive,,{}"])
@pytest.mark.parametrize("name", FORMATS)
def test_a_field_that_the_connection_header_names_is_ignored(name: str, option: str) -> None:
    """It is for one hop by the caller's own word, so that it gives nobody a certificate (C-06)."""
    (field, value), *_ = ENCODERS[name](GOOD)
    headers = [(field.lower().encode(), value.encode()), (b"connection", option.format(field).encode())]

    for order in (headers, headers[::-1]):
        selected = FORMATS[name].select(order)
        assert selected.values == {}
        assert "Connection header" in selected.ignored[0]


def test_xfcc_takes_the_element_of_the_outermost_trusted_proxy() -> None:
    two = make_format(FormatName.XFCC, hops=2)
    inner = xfcc_element(Authority.root().issue("CN=outer proxy"))

    assert ders(two, f"{xfcc_element(GOOD)},{inner}") == whole(GOOD)
    assert ders(two, inner) == (), "the outer proxy saw no certificate"


def test_xfcc_with_more_elements_than_proxies_is_malformed() -> None:
    """What a caller sent, or wrote into the names of its own certificate, never passes for an element (C-06)."""
    for value in (f"{STOLEN},{xfcc_element(GOOD)}", f"{xfcc_element(GOOD)},{STOLEN}", f"{CERT};URI=spiffe://a,{STOLEN}"):
        with pytest.raises(MalformedField, match="expected at most 1 elements"):
            ders(XFCC, value)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (f"Hash={HASH}", "expected Cert"),
        (f"By=spiffe://a;Hash={HASH};Subject=\"CN=good\";URI=", "expected Cert"),
        (f"Hash={'0' * 64};{CERT}", "Hash is not that of Cert"),
        (f"{CERT};Hash=", "Hash is not that of Cert"),
        (f"{CERT};{CERT}", "cert stands twice"),
        (f"{CERT};cert=x", "cert stands twice"),
        (f"Hash={HASH};{CERT};URI=x;Hash={HASH}", "hash stands twice"),
        (f"Hash={HASH};URI=x;{STOLEN.partition(';')[2]}", "Hash is not that of Cert"),
        (f'{CERT};Chain="{envoy_pem([VICTIM.certificate])}"', "expected Chain to begin with Cert"),
        (f'Cert="{envoy_pem([GOOD.certificate, VICTIM.certificate])}"', "expected one certificate"),
        (f"{CERT}garbage", "expected a separator"),
        (CERT[:-1], "expected"),
        (f"{CERT};", "expected key=value"),
        (f"{CERT},", "expected key=value"),
        (f'{CERT};Subject="CN=a"b"', "expected a separator"),
        (",".join(["a="] * 2000), "expected at most"),
    ],
    ids=_without_digests,
)  # fmt: skip
def test_an_xfcc_element_that_does_not_agree_with_itself_is_malformed(value: str, complaint: str) -> None:
    """Every key that means something stands once, and all of them mean one certificate (C-06)."""
    with pytest.raises(MalformedField, match=complaint):
        ders(XFCC, value)


@pytest.mark.parametrize(
    "extra",
    [
        'Subject="CN=a, O=b; C=c"',
        r'Subject="CN=\"good\", O=x\\"',
        "URI=spiffe://a;URI=spiffe://b;DNS=a.example;DNS=b.example;By=x;By=y",
        "URI=",
        'Future="1"',
        f"HASH={HASH.upper()}",
    ],
    ids=_without_digests,
)
def test_what_xfcc_says_beside_the_certificate_is_read_over(extra: str) -> None:
    """Names and subjects come from the certificate alone; what a proxy says of them counts for nothing (C-07)."""
    assert ders(XFCC, f"{extra};{CERT}") == whole(GOOD)[:1] == ders(XFCC, f"{CERT};{extra}")


@given(st.lists(st.tuples(st.sampled_from(["By", "Subject", "URI", "DNS"]), st.text(
    st.characters(min_codepoint=32, max_codepoint=126), max_size=20)), max_size=6))  # fmt: skip
def test_quoted_values_never_leave_their_quotes(pairs: list[tuple[str, str]]) -> None:
    escaped = [(key, value.replace("\\", "\\\\").replace('"', '\\"')) for key, value in pairs]
    text = ";".join([f'{key}="{value}"' for key, value in escaped] + [CERT])

    assert ders(XFCC, text) == whole(GOOD)[:1]


def test_a_plus_sign_stands_for_itself() -> None:
    """A form decoder would make a space of it, and another certificate or none of the whole."""
    issued = next(i for i in iter(lambda: INTERMEDIATE.issue("CN=plus"), None) if b"+" in i.cert_pem)
    [(_, value)] = ENCODERS["ALBLeaf"](issued)

    assert "+" in value
    assert ders(ALB, value) == (issued.certificate.der,)
    assert ders(NGINX, value) == (issued.certificate.der,)


def test_nginx_may_have_a_second_field_for_the_chain_and_other_names() -> None:
    form = make_format(FormatName.NGINX_ESCAPED_PEM, leaf_field="X-Peer-Cert", chain_field="X-Peer-Chain")
    leaf, chain = (quote(b"".join(c.pem for c in cs).decode(), safe="") for cs in ([GOOD.certificate], GOOD.chain))

    assert form.fields == ("x-peer-cert", "x-peer-chain")
    assert ders(form, leaf, chain) == whole(GOOD)
    assert ders(form, leaf) == whole(GOOD)[:1]
    with pytest.raises(MalformedField, match="expected x-peer-cert beside it"):
        ders(form, "", chain)


@pytest.mark.parametrize(
    "value",
    [
        GOOD.cert_pem.decode().replace("\n", " "),
        quote(GOOD.chain_pem.decode(), safe=""),
        quote(GOOD.key_pem.decode(), safe=""),
        quote(GOOD.cert_pem.decode(), safe="")[:-9],
        quote(GOOD.cert_pem.decode(), safe="").replace("%0A", "%0"),
        quote(GOOD.cert_pem.decode().replace("CERTIFICATE", "TRUSTED CERTIFICATE"), safe=""),
        quote(GOOD.cert_pem.decode() + "x", safe=""),
        quote(quote(GOOD.cert_pem.decode(), safe=""), safe=""),
        base64.b64encode(GOOD.certificate.der).decode(),
    ],
    ids=["bare PEM", "two", "a key", "cut off", "half an escape", "another label", "text behind", "escaped twice", "no PEM"],
)
@pytest.mark.parametrize("form", [NGINX, ALB], ids=["nginx", "ALB"])
def test_what_is_no_escaped_pem_of_one_certificate_is_malformed(form: Format, value: str) -> None:
    with pytest.raises(MalformedField):
        ders(form, value)


@pytest.mark.parametrize("change", ["{},", ",{}", "{},,{}", "{} ,{}", "-----BEGIN CERTIFICATE-----{}", "{}%0A"])
def test_what_is_no_list_of_bare_base64_is_malformed(change: str) -> None:
    """Also what Traefik sent up to 2.9.1, with percent-encoding."""
    value = base64.b64encode(GOOD.certificate.der).decode()

    with pytest.raises(MalformedField):
        ders(TRAEFIK, change.replace("{}", value))


_TEXT = st.text(st.characters(max_codepoint=255), max_size=60) | st.text('":,;=%0123ABCert\\ \t', max_size=60)


@pytest.mark.parametrize("name", FORMATS)
@given(values=st.lists(_TEXT, max_size=3), cut=st.integers(0, 3000), mix=_TEXT)
def test_no_value_breaks_a_parser(name: str, values: list[str], cut: int, mix: str) -> None:
    """Certificates, nothing, or MalformedField: never another exception (C-01)."""
    form = FORMATS[name]
    real = ENCODERS[name](GOOD)[0][1]
    for attempt in (values, [real[:cut] + mix + real[cut:]], [mix + real, *values]):
        try:
            found = ders(form, *attempt, fields=form.fields * 3)
        except MalformedField:
            continue
        assert found == () or found[0] == GOOD.certificate.der
