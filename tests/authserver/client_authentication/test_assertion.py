"""Reading an assertion, whatever stands in its place."""

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.oauth.errors import InvalidClient
from holdfast_authserver.client_authentication.assertion import check_claims, claimed_subject, read_assertion

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ISSUER = "https://as.example"
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_HEADERS = st.fixed_dictionaries({}, optional=dict.fromkeys(("alg", "kid", "typ", "crit", "jwk"), _JSON))
_CLAIMS = st.fixed_dictionaries({}, optional=dict.fromkeys(("iss", "sub", "aud", "exp", "nbf", "iat", "jti"), _JSON))


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{0,40}(\.[A-Za-z0-9_-]{0,40}){1,3}", fullmatch=True))
def test_e01_no_text_is_more_than_a_refusal(text: str) -> None:
    """(E-01, A-02)"""
    with pytest.raises(InvalidClient, match="assertion: "):
        claimed_subject(text)


@given(_HEADERS, _CLAIMS)
def test_e01_no_json_in_an_assertion_is_more_than_a_refusal(header: dict[str, object], claims: dict[str, object]) -> None:
    """(E-01, A-04)"""
    try:
        read = read_assertion(f"{_part(header)}.{_part(claims)}.AA")
        once = check_claims(read.claims, client_id="shop.orders", issuer=ISSUER, at=NOW)
    except InvalidClient:
        return
    raise AssertionError(f"{claims} were taken for those of an assertion: {once}")


@given(st.floats(0.5, 329) | st.integers(1, 330), st.floats(-1e6, 30) | st.integers(-(10**6), 30))
def test_a04_whatever_is_within_the_bounds_passes(exp: float, iat: float) -> None:
    """Fractions of a second too (A-04)."""
    now = NOW.timestamp()
    claims = {"iss": "c", "sub": "c", "aud": ISSUER, "exp": now + exp, "iat": now + iat, "jti": "1"}
    once = check_claims(claims, client_id="c", issuer=ISSUER, at=NOW)

    assert once.jti == "1"
    assert once.expires > NOW


def test_a_signature_has_one_encoding_only() -> None:
    """Another text with the same bytes would be another assertion to whoever compares texts (A-05)."""
    good = f"{_part({'alg': 'ES256'})}.{_part({'sub': 'c'})}."

    assert read_assertion(good + "AA").signature == b"\0"
    with pytest.raises(InvalidClient):
        read_assertion(good + "AB")
