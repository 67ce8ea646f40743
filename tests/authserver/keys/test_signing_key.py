"""One signing key: what it signs others can verify, and it takes nothing for its own but that."""

import json
import pickle
from collections.abc import Mapping

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from holdfast.base64url import to_base64url
from holdfast_authserver.keys.algorithms import ALGORITHMS, Es256, Ps256
from holdfast_authserver.keys.signing_key import SigningKey

KEYS = {algorithm: SigningKey.generate(algorithm) for algorithm in ALGORITHMS}
KEY = KEYS["ES256"]
OTHER = SigningKey.generate("ES256")
_EACH = pytest.mark.parametrize("algorithm", ALGORITHMS)
_PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}  # RFC 7518 section 6


def _forged(header: Mapping[str, object], payload: bytes = b"{}") -> str:
    message = to_base64url(json.dumps(header, separators=(",", ":")).encode()) + b"." + to_base64url(payload)
    return (message + b"." + to_base64url(KEY.pair.sign(message))).decode()


def test_no_algorithm_is_symmetric_or_none() -> None:
    """(J-01)."""
    assert set(ALGORITHMS) == {"ES256", "EdDSA", "PS256", "RS256"}


@_EACH
def test_what_was_signed_is_read_back_and_verifies_elsewhere(algorithm: str) -> None:
    """`typ`, an asymmetric `alg` and `kid` stand in the header (J-01)."""
    key = KEYS[algorithm]
    token = key.sign(b'{"a":1}')

    assert key.verified_payload(token) == b'{"a":1}'
    assert jwt.decode(token, jwt.PyJWK(key.jwk), algorithms=[algorithm]) == {"a": 1}
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "typ": "at+jwt", "kid": key.kid}


@_EACH
def test_the_public_form_holds_nothing_private(algorithm: str) -> None:
    """(S-09)."""
    assert KEYS[algorithm].jwk.keys().isdisjoint(_PRIVATE)
    assert KEYS[algorithm].jwk["alg"] == algorithm


@_EACH
def test_a_kind_of_token_is_not_taken_for_another(algorithm: str) -> None:
    """(J-06)."""
    key = KEYS[algorithm]
    answer = key.sign(b"{}", typ="token-introspection+jwt")

    assert key.verified_payload(answer) is None
    assert key.verified_payload(answer, typ="token-introspection+jwt") == b"{}"


@pytest.mark.parametrize(
    "changes", [{"alg": "none"}, {"alg": "HS256"}, {"typ": "JWT"}, {"kid": "x"}, {"crit": ["b64"]}, {"jwk": KEY.jwk}]
)
def test_another_header_is_refused_though_the_key_signed_it(changes: dict[str, object]) -> None:
    """(J-05, J-06, J-07)."""
    own = {"alg": "ES256", "typ": "at+jwt", "kid": KEY.kid}

    assert KEY.verified_payload(_forged(own)) == b"{}"
    assert KEY.verified_payload(_forged(own | changes)) is None


@_EACH
def test_a_changed_payload_or_signature_is_refused(algorithm: str) -> None:
    key = KEYS[algorithm]
    header, payload, signature = key.sign(b'{"a":1}').split(".")
    other = key.sign(b'{"a":2}').split(".")

    assert key.verified_payload(f"{header}.{other[1]}.{signature}") is None
    assert key.verified_payload(f"{header}.{payload}.{other[2]}") is None
    assert key.verified_payload(f"{header}.{payload}.") is None


def test_another_key_is_refused() -> None:
    assert KEY.verified_payload(OTHER.sign(b"{}")) is None


@given(st.text() | st.builds(lambda p, s: f"{KEY.header().decode()}.{p}.{s}", st.text(), st.text()))
def test_no_text_passes_for_a_token(text: str) -> None:
    assert KEY.verified_payload(text) is None


@pytest.mark.parametrize(
    ("pair", "private", "expected"),
    [
        (Es256, ec.generate_private_key(ec.SECP384R1()), "P-256"),
        (Es256, rsa.generate_private_key(65537, 2048), "P-256"),
        (Ps256, rsa.generate_private_key(65537, 1024), "2048"),
        (ALGORITHMS["EdDSA"], ec.generate_private_key(ec.SECP256R1()), "Ed25519"),
    ],
)
def test_a_key_of_another_kind_is_refused(pair: type[Es256], private: ec.EllipticCurvePrivateKey, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        pair.of(private)


def test_a_key_does_not_leave_its_process_by_accident() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(KEY)
    assert repr(KEY) == f"SigningKey(ES256 {KEY.kid})"
