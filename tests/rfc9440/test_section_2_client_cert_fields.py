"""RFC 9440 section 2 and appendix A: what the two fields hold, by the RFC's own example and by values that break it."""

import base64
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.x509.certificate import load_pem_bundle
from holdfast_authserver.transport.forwarded.formats import Format, FormatName, make_format
from holdfast_authserver.transport.forwarded.malformed_field import MalformedField
from holdfast_authserver.transport.forwarded.structured_fields import byte_sequence, byte_sequences
from tests.core.x509.authority import Authority

LEAF = """
MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaWF0ZSBDQTAe
Fw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalR
hebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0Z
aSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUC
IBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=
"""
INTERMEDIATE = """
MIIB5jCCAYugAwIBAgIBFjAKBggqhkjOPQQDAjBWMQswCQYDVQQGEwJVUzEbMBkGA1UECgwSTGV0J3MgQXV0aGVudGljYXRlMSowKAYDVQQDDCFMZXQncyBB
dXRoZW50aWNhdGUgUm9vdCBBdXRob3JpdHkwHhcNMjAwMTE0MjEzMjMwWhcNMzAwMTExMjEzMjMwWjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUx
GzAZBgNVBAMMEkxBIEludGVybWVkaWF0ZSBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJf+aA54RC5pyLAR5yfXVYmNpgd+CGUTDp2KOGhc0gK91zxh
HesEYkdXkpS2UN8Kati+yHtWCV3kkhCngGyv7RqjZjBkMB0GA1UdDgQWBBRm3WjLa38lbEYCuiCPct0ZaSED2DAfBgNVHSMEGDAWgBTEA2Q6eecKu9g9yb5g
lbkhhVINGDASBgNVHRMBAf8ECDAGAQH/AgEAMA4GA1UdDwEB/wQEAwIBhjAKBggqhkjOPQQDAgNJADBGAiEA5pLvaFwRRkxomIAtDIwg9D7gC1xzxBl4r28E
zmSO1pcCIQCJUShpSXO9HDIQMUgH69fNDEMHXD3RRX5gP7kuu2KGMg==
"""
ROOT = """
MIICBjCCAaygAwIBAgIJAKS0yiqKtlhoMAoGCCqGSM49BAMCMFYxCzAJBgNVBAYTAlVTMRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxKjAoBgNVBAMM
IUxldCdzIEF1dGhlbnRpY2F0ZSBSb290IEF1dGhvcml0eTAeFw0yMDAxMTQyMTI1NDVaFw00MDAxMDkyMTI1NDVaMFYxCzAJBgNVBAYTAlVTMRswGQYDVQQK
DBJMZXQncyBBdXRoZW50aWNhdGUxKjAoBgNVBAMMIUxldCdzIEF1dGhlbnRpY2F0ZSBSb290IEF1dGhvcml0eTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IA
BFoaHU+Z5bPKmGzlYXtCf+E6HYj62fORaHDOrt+yyh3H/rTcs7ynFfGn+gyFsrSP3Ez88rajv+U2NfD0o0uZ4PmjYzBhMB0GA1UdDgQWBBTEA2Q6eecKu9g9
yb5glbkhhVINGDAfBgNVHSMEGDAWgBTEA2Q6eecKu9g9yb5glbkhhVINGDAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwIBhjAKBggqhkjOPQQDAgNI
ADBFAiEAmAeg1ycKHriqHnaD4M/UDBpQRpkmdcRFYGMg1Qyrkx4CIB4ivz3wQcQkGhcsUZ1SOImd/lq1Q0FLf09rGfLQPWDc
"""
RFC9440 = make_format(FormatName.RFC9440)


def one_line(base64_text: str) -> str:
    return base64_text.replace("\n", "")


def item(base64_text: str) -> str:
    return f":{one_line(base64_text)}:"


def armoured(base64_text: str) -> bytes:
    lines = "\n".join(textwrap.wrap(one_line(base64_text), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n".encode()


def ders(form: Format, *headers: tuple[bytes, str]) -> tuple[bytes, ...]:
    chain = form.chain(form.select([(name, value.encode("latin-1")) for name, value in headers]).values)
    return () if chain is None else chain.ders


def test_the_example_of_appendix_a_decodes_to_the_certificates_of_its_figure() -> None:
    """The values of figures 2 and 3 are the certificates of figure 1 (C-10)."""
    expected = [load_pem_bundle(armoured(text))[0].der for text in (LEAF, INTERMEDIATE, ROOT)]

    found = ders(RFC9440, (b"client-cert", item(LEAF)), (b"client-cert-chain", f"{item(INTERMEDIATE)}, {item(ROOT)}"))

    assert list(found) == expected
    assert load_pem_bundle(armoured(LEAF))[0].email_addresses == ("bdc@example.com",)


def test_the_chain_is_optional_and_keeps_the_order_of_tls() -> None:
    """The leaf comes first, whatever the order of the fields; the chain may come in several lines (C-02)."""
    leaf, intermediate, root = (base64.b64decode(text) for text in (LEAF, INTERMEDIATE, ROOT))

    assert ders(RFC9440, (b"client-cert", item(LEAF))) == (leaf,)
    assert ders(RFC9440, (b"client-cert", item(LEAF)), (b"client-cert-chain", "")) == (leaf,)
    assert ders(RFC9440, (b"client-cert-chain", item(INTERMEDIATE)), (b"client-cert", item(LEAF)),
                (b"client-cert-chain", item(ROOT))) == (leaf, intermediate, root)  # fmt: skip


@pytest.mark.parametrize("headers", [(), ((b"client-cert", ""),), ((b"client-cert", "  "), (b"client-cert-chain", ""))])
def test_absent_and_empty_fields_are_no_certificate(headers: tuple[tuple[bytes, str], ...]) -> None:
    """There is no certificate then (C-05)."""
    assert ders(RFC9440, *headers) == ()


BROKEN_LEAVES = {
    "PEM": armoured(LEAF).decode().replace("\n", " "),
    "percent-encoding": item(LEAF).replace("+", "%2B"),
    "no colons": one_line(LEAF),
    "no first colon": f"{one_line(LEAF)}:",
    "no last colon": f":{one_line(LEAF)}",
    "two values": f"{item(LEAF)}, {item(INTERMEDIATE)}",
    "a parameter": f"{item(LEAF)};a=1",
    "a string": f'"{one_line(LEAF)}"',
    "base64url": item(LEAF).replace("+", "-").replace("/", "_"),
    "no padding": f":{one_line(LEAF).rstrip('=')}:",
    "bits behind the end": item(LEAF).replace("yhk=", "yhl="),
    "a space inside": f":{one_line(LEAF)[:40]} {one_line(LEAF)[40:]}:",
    "nothing between colons": "::",
    "no certificate": ":aGVsbG8=:",
    "half a certificate": f":{one_line(LEAF)[:400]}:",
    "no ASCII": f"{item(LEAF)}\xe9",
}


@pytest.mark.parametrize("value", BROKEN_LEAVES.values(), ids=BROKEN_LEAVES.keys())
def test_what_is_no_byte_sequence_of_a_certificate_is_malformed(value: str) -> None:
    """Exactly one byte sequence, and nothing that has to be guessed (C-01)."""
    with pytest.raises(MalformedField):
        ders(RFC9440, (b"client-cert", value))


@pytest.mark.parametrize(
    "headers",
    [
        ((b"client-cert-chain", item(INTERMEDIATE)),),
        ((b"client-cert", ""), (b"client-cert-chain", item(INTERMEDIATE))),
        ((b"client-cert", item(LEAF)), (b"client-cert-chain", f"{item(INTERMEDIATE)} {item(ROOT)}")),
        ((b"client-cert", item(LEAF)), (b"client-cert-chain", f"{item(INTERMEDIATE)},")),
        ((b"client-cert", item(LEAF)), (b"client-cert-chain", f"({item(INTERMEDIATE)})")),
        ((b"client-cert", item(LEAF)), (b"client-cert-chain", one_line(INTERMEDIATE))),
        ((b"client-cert", item(LEAF)), (b"client-cert-chain", f"{item(LEAF)}, {item(INTERMEDIATE)}")),
        ((b"client-cert", item(LEAF)), (b"client-cert-chain", ":aGVsbG8=:")),
    ],
    ids=[
        "alone",
        "leaf empty",
        "no comma",
        "comma at the end",
        "inner list",
        "no colons",
        "with the leaf",
        "no certificate",
    ],
)
def test_a_chain_that_is_no_list_beside_a_leaf_is_malformed(headers: tuple[tuple[bytes, str], ...]) -> None:
    """A list of byte sequences, without the leaf, and meaningless alone (C-02)."""
    with pytest.raises(MalformedField):
        ders(RFC9440, *headers)


def test_the_leaf_twice_is_malformed() -> None:
    """The field may come once, even with the same value (C-06)."""
    with pytest.raises(MalformedField, match="expected one field"):
        ders(RFC9440, (b"client-cert", item(LEAF)), (b"client-cert", item(LEAF)))


@given(st.lists(st.binary(min_size=0, max_size=90), min_size=1, max_size=6), st.sampled_from([",", ", ", " ,\t"]))
def test_any_list_of_byte_sequences_is_read_back(values: list[bytes], comma: str) -> None:
    text = comma.join(f":{base64.b64encode(value).decode()}:" for value in values)

    assert byte_sequences("f", text) == tuple(values)


@given(st.text(alphabet=":,; \tA+/=", max_size=40) | st.text(max_size=40))
def test_no_text_breaks_the_tokenizer(text: str) -> None:
    """Values or MalformedField, and what is read is what was written (C-01)."""
    try:
        value = byte_sequence("f", text)
    except MalformedField:
        return
    assert text == f":{base64.b64encode(value).decode()}:"


def test_a_certificate_of_ours_survives_the_way() -> None:
    issued = Authority.root().intermediate().issue("CN=client")
    values = [f":{base64.b64encode(c.der).decode()}:" for c in (issued.certificate, *issued.chain)]

    found = ders(RFC9440, (b"client-cert", values[0]), (b"client-cert-chain", ",".join(values[1:])))

    assert found == tuple(c.der for c in (issued.certificate, *issued.chain))
