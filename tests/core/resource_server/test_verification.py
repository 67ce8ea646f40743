"""The check of an access token: what passes, and each thing that must not."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm

from holdfast.resource_server import Expected, InsufficientScope, InvalidToken, KeySet, KeySetError, verify
from holdfast.x509.certificate import Certificate
from tests.core.resource_server.issuer import AUDIENCE, ISSUER, NOW, Issuer
from tests.core.x509.authority import Authority

ROOT = Authority.root()
KEY = ec.generate_private_key(ec.SECP256R1())
MINE = ROOT.issue("CN=orders", key=KEY).certificate
RENEWED = ROOT.issue("CN=orders", key=KEY).certificate
ISSUED_BY = Issuer()
EXPECTED = Expected(issuer=ISSUER, audience=AUDIENCE, scopes=("orders.read",))


def judge(token: str, certificate: Certificate | None = MINE, expected: Expected = EXPECTED, after: float = 0) -> None:
    verify(token, certificate, keys=ISSUED_BY.keys(), expected=expected, at=NOW + timedelta(seconds=after))


def test_a_bound_token_with_its_certificate_gives_the_claims() -> None:
    claims = verify(ISSUED_BY.token(MINE), MINE, keys=ISSUED_BY.keys(), expected=EXPECTED, at=NOW)

    assert claims.client_id == "shop.orders"
    assert claims.cnf is not None
    assert claims.cnf.x5t_s256 == MINE.x5t_s256


def test_one_of_several_audiences_suffices_and_the_media_type_may_be_written_out() -> None:
    judge(ISSUED_BY.token(MINE, claims={"aud": ["https://x.example", AUDIENCE]}, header={"typ": "application/at+jwt"}))


def with_claims(**claims: Any) -> str:
    return ISSUED_BY.token(MINE, claims=claims)


def with_header(**header: Any) -> str:
    return ISSUED_BY.token(MINE, header=header)


def unsigned() -> str:
    head, body, _ = ISSUED_BY.token(MINE).split(".")
    return f"{_segment({'alg': 'none', 'typ': 'at+jwt', 'kid': 'one'})}.{body}.{head}"


def hmac_with_the_public_key() -> str:
    """The oldest confusion: the public key as an HMAC secret (RFC 8725 section 2.1)."""
    secret = ISSUED_BY.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _, body, _ = ISSUED_BY.token(MINE).split(".")
    head = _segment({"alg": "HS256", "typ": "at+jwt", "kid": "one"})
    mac = hmac.new(secret, f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def with_a_key_from_within() -> str:
    other = Issuer("one")
    return other.token(MINE, header={"jwk": other.jwk(), "jku": "https://evil.example/jwks"})


def _segment(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


BAD: dict[str, Callable[[], str]] = {
    "J-05 iss": lambda: with_claims(iss="https://as.example/"),
    "J-05 aud": lambda: with_claims(aud="https://orders.shop.svc.evil"),
    "J-05 no aud": lambda: with_claims(aud=None),
    "J-05 typ JWT": lambda: with_header(typ="JWT"),
    "J-06 typ of a client assertion": lambda: with_header(typ="client-authentication+jwt"),
    "J-05 no typ": lambda: with_header(typ=None),
    "J-05 unknown kid": lambda: with_header(kid="two"),
    "J-05 no kid": lambda: with_header(kid=None),
    "J-05 crit": lambda: with_header(crit=["exp"], exp=1),
    "J-01 alg none": unsigned,
    "J-01 alg HS256": hmac_with_the_public_key,
    "J-07 jwk and jku": with_a_key_from_within,
    "J-02 no exp": lambda: with_claims(exp=None),
    "J-02 no jti": lambda: with_claims(jti=None),
    "J-02 no client_id": lambda: with_claims(client_id=None),
    "exp is text": lambda: with_claims(exp="never"),
    "exp is huge": lambda: with_claims(exp=1e308),
    "iat in the future": lambda: with_claims(iat=int(NOW.timestamp()) + 60),
    "nbf in the future": lambda: with_claims(nbf=int(NOW.timestamp()) + 60),
    "nbf is text": lambda: with_claims(nbf="now"),
    "M-54 cnf empty": lambda: with_claims(cnf={}),
    "M-54 cnf list": lambda: with_claims(cnf=[MINE.x5t_s256]),
    "M-54 cnf text": lambda: with_claims(cnf=MINE.x5t_s256),
    "M-54 cnf of another kind": lambda: with_claims(cnf={"jkt": "x" * 43}),
    "M-57 cnf with x5t only": lambda: with_claims(cnf={"x5t": "x" * 27}),
    "M-53 no cnf": lambda: with_claims(cnf=None),
    "foreign signature": lambda: Issuer("one").token(MINE),
    "the claims of another": lambda: ".".join(
        (ISSUED_BY.token(MINE).split(".")[0], with_claims(sub="x").split(".")[1], ISSUED_BY.token(MINE).split(".")[2])
    ),
    "two parts": lambda: ISSUED_BY.token(MINE).rpartition(".")[0],
    "odd characters": lambda: ISSUED_BY.token(MINE) + "!",
    "too long": lambda: with_claims(scope="x" * 20_000),
    "claims are a list": lambda: jwt.PyJWS().encode(b"[]", ISSUED_BY.key, "ES256", {"typ": "at+jwt", "kid": "one"}),
    "claims are no JSON": lambda: jwt.PyJWS().encode(b"{", ISSUED_BY.key, "ES256", {"typ": "at+jwt", "kid": "one"}),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_token_is_refused(case: str) -> None:
    """Each row is one thing that makes a token none (J-01, J-02, J-05, J-06, J-07, M-53, M-54, M-57)."""
    token = BAD[case]()
    with pytest.raises(InvalidToken) as refused:
        judge(token)
    assert refused.value.detail
    assert "not valid for this request" in refused.value.description, "the public text is the same for every cause"


def test_m51_a_bound_token_without_a_certificate_is_refused() -> None:
    """The binding is checked whatever else is right (M-51)."""
    with pytest.raises(InvalidToken, match="no client certificate"):
        judge(ISSUED_BY.token(MINE), None)


def test_m52_a_renewed_certificate_of_the_same_key_and_subject_is_another_one() -> None:
    """Same key, same subject, other certificate (M-52, M-74)."""
    with pytest.raises(InvalidToken, match="another certificate"):
        judge(ISSUED_BY.token(MINE), RENEWED)


def test_an_unbound_token_passes_only_where_binding_is_not_required() -> None:
    """Binding may be optional; a confirmation that is there is held to all the same (M-53, M-54)."""
    relaxed = Expected(issuer=ISSUER, audience=AUDIENCE, require_binding=False)
    judge(with_claims(cnf=None), None, relaxed)
    with pytest.raises(InvalidToken):
        judge(ISSUED_BY.token(MINE), None, relaxed)
    with pytest.raises(InvalidToken):
        judge(with_claims(cnf={}), MINE, relaxed)


@pytest.mark.parametrize(("after", "good"), [(0, True), (299, True), (329, True), (330, False), (-29, True), (-31, False)])
def test_times_hold_within_the_leeway(after: int, good: bool) -> None:
    if good:
        return judge(ISSUED_BY.token(MINE), after=after)
    with pytest.raises(InvalidToken):
        judge(ISSUED_BY.token(MINE), after=after)
    return None


@pytest.mark.parametrize("scope", ["orders.list", None, "orders.readall", "ORDERS.READ"])
def test_a_missing_scope_is_told_apart_and_names_what_is_required(scope: str | None) -> None:
    with pytest.raises(InsufficientScope) as refused:
        judge(with_claims(scope=scope))
    assert refused.value.required == ("orders.read",)
    assert 'scope="orders.read"' in refused.value.challenge


def test_a_bad_binding_is_told_before_a_missing_scope() -> None:
    with pytest.raises(InvalidToken):
        judge(with_claims(scope=None), RENEWED)


def test_an_algorithm_outside_the_callers_list_is_refused() -> None:
    with pytest.raises(InvalidToken, match="alg"):
        judge(ISSUED_BY.token(MINE), expected=Expected(issuer=ISSUER, audience=AUDIENCE, algorithms=("PS256",)))


@given(st.text(max_size=60) | st.from_regex(r"\A[A-Za-z0-9_-]{1,40}\.[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}\Z"))
def test_no_text_makes_the_check_raise_anything_else(token: str) -> None:
    with pytest.raises(InvalidToken):
        judge(token)


@given(st.dictionaries(st.sampled_from(["typ", "kid", "alg", "crit", "b64", "zip"]), st.none() | st.integers() | st.text()))
def test_no_header_makes_the_check_raise_anything_else(header: dict[str, Any]) -> None:
    _, body, signature = ISSUED_BY.token(MINE).split(".")
    with pytest.raises(InvalidToken):
        judge(f"{_segment(header)}.{body}.{signature}")


RSA_KEY, ED_KEY = rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()


@pytest.mark.parametrize(("alg", "key", "jwk"), [
    ("RS256", RSA_KEY, RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True)),
    ("PS256", RSA_KEY, RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True)),
    ("EdDSA", ED_KEY, OKPAlgorithm.to_jwk(ED_KEY.public_key(), as_dict=True)),
], ids=["RS256", "PS256", "EdDSA"])  # fmt: skip
def test_other_asymmetric_algorithms_verify(alg: str, key: Any, jwk: dict[str, Any]) -> None:
    jwk = {name: value for name, value in jwk.items() if name not in ("key_ops", "alg", "d")}
    keys = KeySet.from_json(json.dumps({"keys": [{**jwk, "kid": "one"}]}))
    verify(ISSUED_BY.token(MINE, key=key, alg=alg), MINE, keys=keys, expected=EXPECTED, at=NOW)


def test_a_key_that_names_its_algorithm_is_used_with_no_other() -> None:
    jwk = {**RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True), "kid": "one", "alg": "PS256"}
    keys = KeySet.from_json(json.dumps({"keys": [jwk]}))
    with pytest.raises(InvalidToken, match="alg"):
        verify(ISSUED_BY.token(MINE, key=RSA_KEY, alg="RS256"), MINE, keys=keys, expected=EXPECTED, at=NOW)


GOOD_JWK = ISSUED_BY.jwk()


@pytest.mark.parametrize("jwk", [
    {"kty": "oct", "k": "c2VjcmV0", "kid": "x"},
    {**GOOD_JWK, "kid": None},
    {**GOOD_JWK, "use": "enc"},
    {**GOOD_JWK, "key_ops": ["sign"]},
    {**GOOD_JWK, "key_ops": 5},
    {**GOOD_JWK, "d": "AAAA"},
    {**GOOD_JWK, "crv": "P-384"},
    {**GOOD_JWK, "crv": ["P-256"]},
    {**GOOD_JWK, "alg": "HS256"},
    {**GOOD_JWK, "alg": "RS256"},
    {**GOOD_JWK, "x": "AAAA"},
    {**GOOD_JWK, "x": 7},
    {"kty": "EC", "kid": "x"},
    {**RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True), "kid": "x"},
    "text", None, [],
])  # fmt: skip
def test_a_key_that_cannot_verify_is_left_out_and_named_while_others_stay(jwk: Any) -> None:
    keys = KeySet.from_json(json.dumps({"keys": [jwk, {**GOOD_JWK, "kid": "good"}]}))

    assert set(keys.keys) == {"good"}
    assert len(keys.ignored) == 1
    with pytest.raises(KeySetError):
        KeySet.from_json(json.dumps({"keys": [jwk]}))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys": {}}', "[" * 100_000, "\xff", json.dumps({"keys": [1] * 101})])
def test_what_is_no_key_set_is_refused(text: str) -> None:
    with pytest.raises(KeySetError):
        KeySet.from_json(text)
