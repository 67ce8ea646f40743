"""Claims of RFC 9068 and the confirmation of RFC 8705 section 3.1."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.oauth.claims import AccessTokenClaims, ClaimsError, Confirmation

THUMBPRINT = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
CLAIMS = AccessTokenClaims(
    iss="https://issuer", sub="a", client_id="a", aud=("https://api",), iat=1, exp=2, jti="j", scope=("x", "y"),
    cnf=Confirmation(THUMBPRINT),
)  # fmt: skip


def test_the_json_form_has_the_registered_names() -> None:
    assert CLAIMS.to_json() == {
        "iss": "https://issuer", "sub": "a", "client_id": "a", "aud": "https://api", "iat": 1, "exp": 2, "jti": "j",
        "scope": "x y", "cnf": {"x5t#S256": THUMBPRINT},
    }  # fmt: skip


@pytest.mark.parametrize("claims", [CLAIMS, CLAIMS._replace(aud=("a", "b")), CLAIMS._replace(cnf=None, scope=())])
def test_claims_come_back_as_they_were_written(claims: AccessTokenClaims) -> None:
    assert AccessTokenClaims.from_json(claims.to_json()) == claims


@pytest.mark.parametrize(
    "cnf", [None, {}, [], "x", {"x5t": "A"}, {"x5t#S256": []}, {"x5t#S256": "short"}, {"x5t#S256": THUMBPRINT + "="}]
)
def test_a_confirmation_that_is_not_understood_is_never_unbound(cnf: object) -> None:
    """M-54, M-57."""
    with pytest.raises(ClaimsError, match="cnf"):
        AccessTokenClaims.from_json({**CLAIMS.to_json(), "cnf": cnf})


@pytest.mark.parametrize(
    ("claim", "value"),
    [("iss", None), ("sub", 1), ("aud", []), ("aud", [1]), ("exp", "2"), ("exp", True), ("iat", 1e300), ("scope", [])],
)
def test_a_claim_of_the_wrong_type_is_named(claim: str, value: object) -> None:
    with pytest.raises(ClaimsError, match=claim):
        AccessTokenClaims.from_json({**CLAIMS.to_json(), claim: value})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(CLAIMS.to_json())), inner),
    max_leaves=8,
)


@given(JSON)
def test_no_json_gives_anything_but_claims_or_a_claims_error(value: Any) -> None:
    base = {**CLAIMS.to_json(), **value} if isinstance(value, dict) else value
    with contextlib.suppress(ClaimsError):
        AccessTokenClaims.from_json(base)
