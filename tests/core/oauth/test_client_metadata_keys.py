"""Registrations of clients that are known by keys, and of tokens that are no JWT."""

from dataclasses import replace
from typing import Any

import pytest

from holdfast.oauth.client_metadata import (
    ClientMetadata,
    DeletionPolicy,
    InvalidClientMetadata,
    Owner,
    TokenFormat,
    to_json,
)
from holdfast.oauth.client_metadata_reader import from_json
from holdfast.oauth.jwks import parse_jwk_set
from tests.core.oauth.test_jwks import GOOD

CLIENT = ClientMetadata(
    client_id="shop.orders",
    owner=Owner(namespace="shop", name="orders", uid="u", generation=1, service_account="orders"),
    token_endpoint_auth_method="private_key_jwt",
    subject=None,
    trust_anchors=(),
    grant_types=("client_credentials",),
    scopes=(),
    resources=(),
    resource_server=None,
    certificate_bound=True,
    token_lifetime=None,
    suspended=False,
    policy="p",
)


@pytest.mark.parametrize("changes", [
    {},
    {"jwks": parse_jwk_set({"keys": [GOOD]})},
    {"jwks_uri": "https://orders.shop.svc/jwks"},
    {"token_endpoint_auth_signing_alg": "ES256", "introspection_signed_response_alg": "PS256"},
    {"accept_expired_certificate": True, "token_format": TokenFormat.OPAQUE},
    {"deletion_policy": DeletionPolicy.ORPHAN},
])  # fmt: skip
def test_a_registration_is_read_back_as_it_was_written(changes: dict[str, Any]) -> None:
    client = replace(CLIENT, **changes)

    assert from_json(to_json(client)) == client
    assert (client.digest == CLIENT.digest) == (not changes)


@pytest.mark.parametrize(("members", "field"), [
    ({"jwks": {"keys": [GOOD]}, "jwks_uri": "https://a/"}, "jwks_uri"),
    ({"jwks": {"keys": [{"kty": "oct"}]}}, "jwks"),
    ({"jwks": []}, "jwks"),
    ({"jwks_uri": "http://a/"}, "jwks_uri"),
    ({"jwks_uri": 7}, "jwks_uri"),
    ({"token_endpoint_auth_signing_alg": ""}, "token_endpoint_auth_signing_alg"),
    ({"holdfast": {"token_format": "jwt"}}, "holdfast.token_format"),
    ({"holdfast": {"deletion_policy": "orphan"}}, "holdfast.deletion_policy"),
    ({"holdfast": {"accept_expired_certificate": "yes"}}, "holdfast.accept_expired_certificate"),
])  # fmt: skip
def test_what_is_wrong_is_named_by_member(members: dict[str, Any], field: str) -> None:
    """Keys come by value or by reference, never both, and a reference is https (M-35)."""
    value = to_json(CLIENT)
    value["holdfast"] |= members.pop("holdfast", {})

    with pytest.raises(InvalidClientMetadata) as refused:
        from_json({**value, **members})

    assert [problem.field for problem in refused.value.problems] == [field]
