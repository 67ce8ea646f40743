"""What policies allow of keys, grants, trust anchors and of certificates that are to be issued."""

from dataclasses import replace
from typing import Any

import pytest

from holdfast.oauth.client_metadata import ClientMetadata, TrustAnchor
from holdfast.policy.certificate import default_bits, default_duration, evaluate_duration, evaluate_key
from holdfast.policy.decision import DenialReason
from holdfast.policy.evaluate import allowed_anchors, evaluate_client
from holdfast.policy.model import Policy
from tests.registry_conformance.registrations import a_client, a_policy, an_anchor

OWN = an_anchor("own")
OTHER = an_anchor("other")
KEYED: dict[str, Any] = {"token_endpoint_auth_method": "private_key_jwt", "subject": None, "trust_anchors": ()}
ASSERTIONS = Policy(name="a", allowed_methods=frozenset({"private_key_jwt", "self_signed_tls_client_auth"}))


def _named(*anchors: TrustAnchor) -> frozenset[str]:
    return frozenset(anchor.name for anchor in anchors)


@pytest.mark.parametrize(("changes", "policies", "reason", "words"), [
    (KEYED, [ASSERTIONS], DenialReason.KEYS_MISSING, ["jwks", "private_key_jwt"]),
    ({**KEYED, "token_endpoint_auth_method": "self_signed_tls_client_auth"}, [], DenialReason.KEYS_MISSING, ["jwksUri"]),
    ({"grant_types": ("client_credentials",)}, [Policy(name="p", allowed_grant_types=frozenset())],
     DenialReason.GRANT_TYPE_NOT_ALLOWED, ["spec.grantTypes", "none", "client_credentials"]),
    ({"scopes": ("a.read", "b")}, [Policy(name="p", allowed_scopes=frozenset({"a.*"}))],
     DenialReason.SCOPE_NOT_ALLOWED, ["spec.scopes", "a.*", "found b"]),
    ({"scopes": ("a",)}, [Policy(name="p", allowed_scopes=frozenset({"*"})), Policy(name="q", allowed_scopes=frozenset())],
     DenialReason.SCOPE_NOT_ALLOWED, ["none", "found a"]),
    ({"trust_anchors": (OWN,)}, [Policy(name="p", allowed_anchors=_named(OTHER))],
     DenialReason.TRUST_ANCHOR_NOT_ALLOWED, ["trustAnchors", OWN.name]),
    ({"trust_anchors": (OWN, OTHER)}, [Policy(name="p", allowed_anchors=_named(OTHER)),
                                       Policy(name="q", allowed_anchors=_named(OWN))],
     DenialReason.TRUST_ANCHOR_NOT_ALLOWED, ["every policy"]),
])  # fmt: skip
def test_a_denial_says_what_every_policy_would_take(
    changes: dict[str, Any], policies: list[Policy], reason: DenialReason, words: list[str]
) -> None:
    decision = evaluate_client(replace(a_client(), **changes), a_policy(*policies))

    assert decision.reason is reason
    assert all(word in decision.message for word in words), decision.message


@pytest.mark.parametrize("client", [
    replace(a_client(), **KEYED, jwks_uri="https://orders.example/jwks"),
    replace(a_client(), trust_anchors=(OWN, OTHER), scopes=("orders.read", "all")),
])  # fmt: skip
def test_what_every_policy_lists_is_allowed(client: ClientMetadata) -> None:
    policy = Policy(
        name="p",
        allowed_methods=frozenset({"private_key_jwt", "tls_client_auth"}),
        allowed_anchors=_named(OTHER, OTHER),
        allowed_scopes=frozenset({"orders.*", "all"}),
        allowed_grant_types=frozenset({"client_credentials"}),
    )

    assert evaluate_client(replace(client, grant_types=("client_credentials",)), a_policy(policy)).allowed


def test_anchors_that_a_policy_does_not_name_are_left_out() -> None:
    assert allowed_anchors((OWN, OTHER), a_policy()) == (OWN, OTHER)
    assert allowed_anchors((OWN, OTHER), a_policy(Policy(name="p", allowed_anchors=_named(OTHER)))) == (OTHER,)


def test_an_explicit_duration_beyond_the_maximum_is_refused_and_a_default_gives_way() -> None:
    policy = a_policy(Policy(name="p", max_certificate_duration=3600))

    assert evaluate_duration(3601, policy).reason is DenialReason.DURATION_TOO_LONG
    assert evaluate_duration(3600, policy).allowed
    assert evaluate_duration(None, policy).allowed
    assert (default_duration(86400, policy), default_duration(86400, a_policy())) == (3600, 86400)


@pytest.mark.parametrize(("algorithm", "bits", "allowed"), [
    ("ECDSA", None, True), ("ECDSA", 256, False), ("ECDSA", 384, True), ("RSA", None, False), ("RSA", 4096, False),
])  # fmt: skip
def test_a_key_that_the_server_would_refuse_is_not_asked_for(algorithm: str, bits: int | None, allowed: bool) -> None:
    policy = a_policy(Policy(name="p", min_ec_bits=384, min_rsa_bits=8192))

    assert evaluate_key(algorithm, bits, policy).allowed is allowed
    assert default_bits("ECDSA", policy) == 384
