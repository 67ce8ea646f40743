"""Every parser that strangers reach keeps its promises for bytes out of nothing and for bytes near good ones."""

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.targets import SEEDS, TARGETS
from tests.core.x509.authority import Authority

ISSUED = Authority.root("CN=Root").issue("CN=orders,O=Shop", uris=["spiffe://a/b"], dns=["a.example"])
DER = ISSUED.certificate.der
PEM = ISSUED.cert_pem
LONG = base64.b64encode(DER)
GOOD = {
    **SEEDS,
    "certificate": (DER,),
    "pem_bundle": (PEM,),
    "client_cert": (b":" + LONG + b":\n:" + LONG + b":",),
    "xfcc": (b'By=spiffe://a;Cert="' + PEM.replace(b"\n", b"%0A").replace(b" ", b"%20").replace(b"+", b"%2B") + b'"',),
}
MEMBERS = st.sampled_from(["keys", "kty", "kid", "alg", "use", "x5c", "crv", "x", "y", "n", "e", "iss", "sub", "aud", "exp"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(MEMBERS | st.text(max_size=5), inner, max_size=5),
    max_leaves=12,
)
FEEDING = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("name", TARGETS)
@FEEDING
@given(data=st.binary(max_size=300))
def test_no_bytes_break_a_parser(name: str, data: bytes) -> None:
    """Each raises what it says it raises, or nothing (E-01)."""
    TARGETS[name](data)


@pytest.mark.parametrize("name", GOOD)
@FEEDING
@given(data=st.data())
def test_no_change_of_a_good_input_breaks_a_parser(name: str, data: st.DataObject) -> None:
    """A byte replaced, a part left out, a part twice (E-01, M-82)."""
    good = data.draw(st.sampled_from(GOOD[name]))
    begin = data.draw(st.integers(0, len(good) - 1))
    end = data.draw(st.integers(begin, min(len(good), begin + 8)))
    TARGETS[name](good[:begin] + data.draw(st.binary(max_size=8) | st.just(good[begin:end] * 2)) + good[end:])


@FEEDING
@given(value=JSON)
def test_no_json_breaks_the_readers_of_keys(value: object) -> None:
    """Strict and lenient (M-37)."""
    TARGETS["jwk_set"](json.dumps(value).encode())


@FEEDING
@given(header=JSON, claims=JSON)
def test_no_json_breaks_the_readers_of_tokens_and_assertions(header: object, claims: object) -> None:
    """Whatever a JWS is made of (A-01, J-05)."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    for name in ("access_token", "client_assertion"):
        TARGETS[name](b".".join([*parts, b"AAAA"]))


def test_the_good_inputs_are_good() -> None:
    """Else the tests above would stay at the door."""
    from holdfast.x509.certificate import Certificate, load_pem_bundle
    from holdfast_authserver.transport.forwarded.rfc9440 import read_rfc9440
    from holdfast_authserver.transport.forwarded.xfcc import read_xfcc

    assert Certificate.from_der(GOOD["certificate"][0]).der == DER
    assert load_pem_bundle(GOOD["pem_bundle"][0])[0].der == DER
    assert read_rfc9440({"client-cert": GOOD["client_cert"][0].partition(b"\n")[0].decode()}) == (DER,)
    assert read_xfcc({"x-forwarded-client-cert": GOOD["xfcc"][0].decode()}, hops=1)[0] == DER
