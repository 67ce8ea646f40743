"""The admin API's forms: each record is read as it was written, and nothing else is read."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.oauth.client_metadata import Problem
from holdfast.registry import wire
from holdfast.registry.digest import registry_digest
from holdfast.registry.records import ClientSummary, Endpoints, RegistryDescription, StoredClient, TokenSeen
from tests.registry_conformance.registrations import a_client

AT = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
ENDPOINTS = Endpoints(issuer="https://a", token_endpoint="https://b/t", introspection_endpoint="https://b/i")
DESCRIPTION = RegistryDescription(
    instance="i",
    revision=3,
    digest="d",
    term=7,
    confirmed=True,
    endpoints=ENDPOINTS,
    denials="e",
    token_lifetime=120,
    tokens=(TokenSeen("shop.orders", "shop", "orders", AT),),
)
READERS: list[Callable[[object], Any]] = [
    wire.description_from_json,
    wire.stored_client_from_json,
    wire.summaries_from_json,
    wire.error_from_json,
    wire.denied_thumbprints_from_json,
    wire.revocation_lists_from_json,
    wire.term_from_json,
]


def _through(value: dict[str, Any]) -> Any:
    return json.loads(json.dumps(value))


def test_a_description_survives() -> None:
    assert wire.description_from_json(_through(wire.description_to_json(DESCRIPTION))) == DESCRIPTION


def test_a_description_of_an_older_server_denies_nothing_and_has_no_news() -> None:
    value = _through(wire.description_to_json(DESCRIPTION))
    for member in ("denials", "token_lifetime", "tokens"):
        del value[member]

    found = wire.description_from_json(value)

    assert (found.denials, found.token_lifetime, found.tokens) == ("", 300, ())


@pytest.mark.parametrize("tokens", [1, [1], [["a", "b", "c"]], [["a", "b", "c", "yesterday"]]])
def test_news_that_cannot_be_read_are_refused(tokens: object) -> None:
    value = {**_through(wire.description_to_json(DESCRIPTION)), "tokens": tokens}

    with pytest.raises(wire.WireError):
        wire.description_from_json(value)


def test_denials_survive() -> None:
    thumbprints, crls = frozenset({"b", "a"}), (b"\x00\xff", b"")

    assert wire.denied_thumbprints_from_json(_through(wire.denied_thumbprints_to_json(thumbprints))) == thumbprints
    assert wire.revocation_lists_from_json(_through(wire.revocation_lists_to_json(crls))) == crls


@pytest.mark.parametrize("value", ["A", "AAA", "A A=", "AA==\n", "-_8="])
def test_a_crl_that_is_no_base64_is_named_by_its_index(value: str) -> None:
    with pytest.raises(wire.WireError, match=r"crls\[1\]"):
        wire.revocation_lists_from_json({"crls": ["AA==", value]})


@pytest.mark.parametrize("last", [None, AT + timedelta(days=1)])
def test_a_stored_client_survives(last: datetime | None) -> None:
    client = a_client()
    stored = StoredClient(metadata=client, digest=client.digest, revision=5, updated_at=AT, last_token_at=last)

    assert wire.stored_client_from_json(_through(wire.stored_client_to_json(stored))) == stored


@pytest.mark.parametrize("last", [None, AT])
def test_summaries_survive(last: datetime | None) -> None:
    owner = a_client().owner
    found = (ClientSummary(client_id="a", owner=owner, digest="d", policy="p", revision=1, last_token_at=last),) * 2

    assert wire.summaries_from_json(_through(wire.summaries_to_json(found))) == found
    assert wire.summaries_from_json(wire.summaries_to_json([])) == ()


def test_an_error_survives() -> None:
    problems = (Problem("holdfast.policy", "expected a hash"),)

    assert wire.error_from_json(_through(wire.error_to_json(wire.ErrorCode.STALE_TERM, "text", problems))) == (
        "stale_term",
        "text",
        problems,
    )


@pytest.mark.parametrize("read", READERS)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=9), x, max_size=3),
                    max_leaves=8))  # fmt: skip
def test_nothing_else_is_read(read: Callable[[object], Any], value: Any) -> None:
    with pytest.raises(wire.WireError):
        read(value)


@pytest.mark.parametrize("member", ["instance", "revision", "digest", "term", "confirmed", "endpoints"])
def test_a_missing_member_is_named(member: str) -> None:
    value = wire.description_to_json(DESCRIPTION)
    del value[member]

    with pytest.raises(wire.WireError, match=f"registry: .*{member}"):
        wire.description_from_json(value)


def test_a_number_that_is_none_is_named_with_what_was_found() -> None:
    with pytest.raises(wire.WireError, match="term: expected a whole number, found bool"):
        wire.term_from_json({"term": True})


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=5), st.randoms())
def test_the_digest_of_a_registry_does_not_depend_on_order(clients: dict[str, str], random: Any) -> None:
    pairs = list(clients.items())
    random.shuffle(pairs)

    assert registry_digest(pairs) == registry_digest(clients.items())


def test_the_digest_of_a_registry_changes_with_each_client() -> None:
    found = {registry_digest(c) for c in ([], [("a", "1")], [("a", "2")], [("b", "1")], [("a", "1"), ("b", "1")])}

    assert len(found) == 5
