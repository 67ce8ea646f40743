"""Keys that somebody registers, and keys that were fetched (RFC 7517)."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from holdfast.oauth.certificate_key import certificate_key
from holdfast.oauth.jwks import Jwk, JwkError, jwk_set_to_json, parse_jwk_set, read_jwk_set
from tests.core.x509.authority import Authority


def _jwk(key: Any, **members: Any) -> dict[str, Any]:
    algorithm = {"RSAPrivateKey": "PS256", "Ed25519PrivateKey": "EdDSA"}.get(type(key).__name__.lstrip("_"), "ES256")
    encode = jwt.get_algorithm_by_name(algorithm)
    return {**encode.to_jwk(key.public_key(), as_dict=True), **members}


EC = ec.generate_private_key(ec.SECP256R1())
GOOD = _jwk(EC, kid="one")


@pytest.fixture(scope="module")
def certified() -> dict[str, Any]:
    """A key with its certificate."""
    issued = Authority.root().issue(dns=["orders"])
    key = issued.certificate.parsed.public_key()
    members = jwt.get_algorithm_by_name("ES256").to_jwk(key, as_dict=True)
    return {**members, "x5c": [base64.b64encode(issued.certificate.der).decode()]}


@pytest.mark.parametrize(
    ("key", "algorithms"),
    [
        (EC, ("ES256",)),
        (ed25519.Ed25519PrivateKey.generate(), ("EdDSA",)),
        (rsa.generate_private_key(65537, 2048), ("PS256", "RS256")),
    ],
)
def test_a_key_verifies_with_what_its_type_and_curve_allow(key: Any, algorithms: tuple[str, ...]) -> None:
    jwk = Jwk.from_json(_jwk(key))

    assert jwk.algorithms == algorithms
    assert jwk.key.public_numbers() == key.public_key().public_numbers() if hasattr(key, "curve") else jwk.key


def test_a_named_algorithm_narrows_what_a_key_verifies() -> None:
    assert Jwk.from_json(_jwk(rsa.generate_private_key(65537, 2048), alg="PS256")).algorithms == ("PS256",)


def test_a_set_is_written_and_read_back_the_same(certified: dict[str, Any]) -> None:
    keys = parse_jwk_set({"keys": [GOOD, certified]})

    assert parse_jwk_set(jwk_set_to_json(keys)) == keys
    assert keys[1].certificate is not None


@pytest.mark.parametrize(("changes", "named"), [
    ({"kty": "oct", "k": "c2VjcmV0"}, "private member k"),
    ({"d": "AAAA"}, "private member d"),
    ({"alg": "HS256"}, "HS256"),
    ({"crv": "P-999"}, "P-999"),
    ({"x": "!!"}, "no public key"),
    ({"kid": 7}, "kid"),
    ({"x5c": []}, "x5c"),
    ({"x5c": "text"}, "x5c"),
    ({"x5c": ["-----BEGIN CERTIFICATE-----"]}, "standard base64"),
    ({"x5c": ["_-__"]}, "standard base64"),
    ({"x5c": ["AAAA"]}, "x5c[0]"),
])  # fmt: skip
def test_a_key_that_cannot_be_used_is_refused_by_member(changes: dict[str, Any], named: str) -> None:
    """PEM armour, base64url and what is no certificate are refused where keys come by value (M-37)."""
    with pytest.raises(JwkError, match=r"keys\[1\]") as refused:
        parse_jwk_set({"keys": [GOOD, {**GOOD, **changes}]})

    assert named in str(refused.value)


def test_a_certificate_for_another_key_is_refused(certified: dict[str, Any]) -> None:
    """The certificate's public key has to equal the key's own members (M-37)."""
    with pytest.raises(JwkError, match="found one for another"):
        parse_jwk_set({"keys": [{**GOOD, "x5c": certified["x5c"]}]})


def test_a_small_rsa_key_is_refused() -> None:
    with pytest.raises(JwkError, match="at least 2048 bits, found 1024"):
        Jwk.from_json(_jwk(rsa.generate_private_key(65537, 1024)))


def test_one_odd_key_of_a_fetched_set_makes_no_other_useless() -> None:
    """By reference a key that cannot be used is skipped and reported (M-37)."""
    keys, problems = read_jwk_set({"keys": [{"kty": "oct"}, GOOD, 7]})

    assert [key.kid for key in keys] == ["one"]
    assert [problem[:7] for problem in problems] == ["keys[0]", "keys[2]"]


@pytest.mark.parametrize("value", [None, [], {}, {"keys": {}}, {"keys": [GOOD] * 101}, "text"])
def test_what_is_no_set_is_refused(value: object) -> None:
    for read in (parse_jwk_set, read_jwk_set):
        with pytest.raises(JwkError, match="a list keys"):
            read(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*GOOD, "x5c", "use"]), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*GOOD, "alg", "use", "key_ops", "x5c", "n", "e", "exp"]), JSON, max_size=8))
def test_no_members_break_the_reader(members: dict[str, Any]) -> None:
    """Whatever a key consists of, it is a key or a JwkError (E-01)."""
    for value in (members, {**GOOD, **members}):
        try:
            jwk = Jwk.from_json(value)
        except JwkError:
            continue
        assert json.loads(jwk.text) == jwk.to_json()


@pytest.mark.parametrize("end", [1_800_000_000, 1_800_000_000.5])
def test_a_key_counts_until_its_exp(end: float) -> None:
    key, moment = Jwk.from_json({**GOOD, "exp": end}), datetime.fromtimestamp(end, UTC)

    assert key.expires_at == moment
    assert key.counts_at(moment - timedelta(microseconds=1))
    assert not key.counts_at(moment)
    assert Jwk.from_json(GOOD).counts_at(moment)


@pytest.mark.parametrize("end", ["tomorrow", True, [], 1e300, -1e300])
def test_an_exp_that_is_no_time_is_refused(end: object) -> None:
    with pytest.raises(JwkError, match="exp: expected seconds since 1970"):
        Jwk.from_json({**GOOD, "exp": end})


KEYS = [
    pytest.param(ec.generate_private_key(ec.SECP256R1()), "ES256", id="P-256"),
    pytest.param(ec.generate_private_key(ec.SECP384R1()), "ES384", id="P-384"),
    pytest.param(ec.generate_private_key(ec.SECP521R1()), "ES512", id="P-521"),
    pytest.param(rsa.generate_private_key(65537, 2048), "PS256", id="RSA"),
    pytest.param(ed25519.Ed25519PrivateKey.generate(), "EdDSA", id="Ed25519"),
]


@pytest.mark.parametrize(("key", "algorithm"), KEYS)
def test_a_certificate_becomes_a_key_that_carries_it(key: Any, algorithm: str) -> None:
    issued = Authority.root().issue("CN=me", key=key)

    jwk = certificate_key(issued.certificate, exp=1_800_000_000)

    assert (jwk.certificate, jwk.kid) == (issued.certificate, issued.certificate.x5t_s256)
    assert algorithm in jwk.algorithms
    assert parse_jwk_set(jwk_set_to_json((jwk,))) == (jwk,)


def test_a_certificate_with_a_key_that_no_jwk_has_a_form_for_is_refused() -> None:
    issued = Authority.root().issue("CN=me", key=ed448.Ed448PrivateKey.generate())  # type: ignore[arg-type]

    with pytest.raises(JwkError, match="expected a certificate with an EC, RSA or Ed25519 key, found"):
        certificate_key(issued.certificate)
