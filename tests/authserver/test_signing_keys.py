"""The signing key: one for each registry instance, written whole, and strict about what it has signed."""

import base64
import json
from pathlib import Path

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_authserver.signing import SigningKey, SigningKeyError, SigningKeys, base64url
from tests.core.x509.authority import new_key

KEY = SigningKey.of(new_key())


def test_an_instance_keeps_its_key_and_another_has_its_own(tmp_path: Path) -> None:
    keys = SigningKeys(tmp_path / "keys")
    first, second = keys.of_instance("one").kid, keys.of_instance("two").kid

    assert first != second
    assert SigningKeys(tmp_path / "keys").of_instance("one").kid == first


def test_nothing_but_keys_lies_in_the_folder(tmp_path: Path) -> None:
    SigningKeys(tmp_path).of_instance("one")

    assert [file.name for file in tmp_path.iterdir()] == ["signing-one.pem"]


@pytest.mark.parametrize("content", [b"", b"nothing", b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"])
def test_a_broken_key_file_is_named_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "signing-one.pem"
    path.write_bytes(content)

    with pytest.raises(SigningKeyError, match=str(path)):
        SigningKeys(tmp_path).of_instance("one")
    assert path.read_bytes() == content


@pytest.mark.parametrize("instance", ["", "../x", "a/b", "a" * 65])
def test_an_instance_that_is_no_file_name_is_refused(tmp_path: Path, instance: str) -> None:
    with pytest.raises(SigningKeyError):
        SigningKeys(tmp_path).of_instance(instance)


def test_what_was_signed_is_read_back_and_verifies_elsewhere() -> None:
    token = KEY.sign(b'{"a":1}')

    assert KEY.verified_payload(token) == b'{"a":1}'
    assert jwt.decode(token, jwt.PyJWK(KEY.jwk), algorithms=["ES256"]) == {"a": 1}


@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "HS256"}, {"typ": "JWT"}, {"kid": "x"}, {"crit": ["b64"]}])
def test_another_header_is_refused_though_the_key_signed_it(header: dict[str, object]) -> None:
    """J-05, J-06, J-07."""
    own = json.loads(base64.urlsafe_b64decode(KEY.header + b"=="))
    forged = SigningKey(KEY.private, KEY.public, KEY.jwk, KEY.kid, base64url(json.dumps(own | header).encode()))

    assert KEY.verified_payload(forged.sign(b"{}")) is None


def test_another_key_is_refused() -> None:
    assert KEY.verified_payload(SigningKey.of(new_key()).sign(b"{}")) is None


@given(st.text() | st.builds(lambda p, s: f"{KEY.header.decode()}.{p}.{s}", st.text(), st.text()))
def test_no_text_passes_for_a_token(text: str) -> None:
    assert KEY.verified_payload(text) is None
