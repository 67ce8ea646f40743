"""A client is registered with the words and types of RFC 8705, or not at all."""

from dataclasses import replace
from typing import Any

import pytest

from holdfast.oauth.client_metadata import InvalidClientMetadata, to_json
from holdfast.oauth.client_metadata_reader import from_json
from holdfast.policy.decision import DenialReason
from holdfast.policy.evaluate import evaluate_client
from tests.authserver.running import POLICY, client
from tests.core.x509.authority import Authority

REGISTERED = client(anchors=[Authority.root()])


@pytest.mark.parametrize(
    "name", ["TLS_CLIENT_AUTH", "tls-client-auth", "self_signed_tls", "Self_Signed_TLS_Client_Auth", ""]
)
def test_a_method_of_another_spelling_is_allowed_by_no_policy(name: str) -> None:
    """The names are those of RFC 8705 alone (M-25, M-34)."""
    decision = evaluate_client(replace(REGISTERED, token_endpoint_auth_method=name), POLICY)

    assert (decision.allowed, decision.reason) == (False, DenialReason.METHOD_NOT_ALLOWED)


@pytest.mark.parametrize("value", ["true", 1, None, []])
def test_bound_tokens_are_wished_for_by_a_boolean(value: Any) -> None:
    """Nothing else counts as one (M-60)."""
    member = "tls_client_certificate_bound_access_tokens"
    with pytest.raises(InvalidClientMetadata) as raised:
        from_json({**to_json(REGISTERED), member: value})

    assert [problem.field for problem in raised.value.problems] == [member]
