"""The deny-list document: what each entry means for a token, and what is no deny-list."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.oauth.claims import AccessTokenClaims, Confirmation
from holdfast.oauth.deny_list import DenyList, DenyListError, entry

THUMBPRINT = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
CLAIMS = AccessTokenClaims(
    iss="https://as.example",
    sub="shop.orders",
    client_id="shop.orders",
    aud=("https://as.example",),
    iat=1000,
    exp=1300,
    jti="one",
    cnf=Confirmation(THUMBPRINT),
)


def listing(**changes: Any) -> DenyList:
    members: dict[str, Any] = {"iss": "https://as.example", "iat": 1100, "exp": 1700, "valid_from": 500,
                               "tokens": frozenset(), "clients": {}, "certificates": frozenset()}  # fmt: skip
    return DenyList(**(members | changes))


@pytest.mark.parametrize(
    ("changes", "denied"),
    [
        ({}, False),
        ({"tokens": frozenset({entry("one")})}, True),
        ({"tokens": frozenset({"one", entry("two")})}, False),
        ({"clients": {entry("shop.orders"): None}}, True),
        ({"clients": {entry("shop.orders"): 1000}}, False),
        ({"clients": {entry("shop.orders"): 1001}}, True),
        ({"clients": {entry("shop.cart"): None}}, False),
        ({"certificates": frozenset({entry(THUMBPRINT)})}, True),
        ({"valid_from": 1000}, False),
        ({"valid_from": 1001}, True),
    ],
)
def test_each_kind_of_entry_denies_what_it_names_and_nothing_else(changes: dict[str, Any], denied: bool) -> None:
    reason = listing(**changes).why_denied(CLAIMS)

    assert (reason is not None) == denied


def test_the_document_is_read_as_it_was_written() -> None:
    document = listing(
        tokens=frozenset({entry("a"), entry("b")}),
        clients={entry("c"): None, entry("d"): 7},
        certificates=frozenset({entry("e")}),
        complete=False,
    )

    assert DenyList.from_json(document.to_json()) == document


def test_an_entry_has_128_bits_and_names_nothing() -> None:
    assert len(entry("shop.orders")) == 22
    assert "shop" not in entry("shop.orders")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("iss", None), ("iat", "now"), ("exp", True), ("exp", 1.5), ("valid_from", 1 << 60), ("tokens", {}), ("tokens", [1]),
        ("clients", []), ("clients", {"x": "y"}), ("clients", {"x": True}), ("certificates", None), ("complete", 1),
    ],
)  # fmt: skip
def test_a_member_of_another_kind_is_refused(member: str, value: Any) -> None:
    with pytest.raises(DenyListError, match=member):
        DenyList.from_json({**listing().to_json(), member: value})


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner), max_leaves=8))
def test_no_json_makes_it_raise_anything_else(value: Any) -> None:
    with pytest.raises(DenyListError):
        DenyList.from_json(value)
