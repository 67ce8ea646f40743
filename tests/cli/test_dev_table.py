"""What people read of `holdfast dev`: reasons are shown, lists end, and no text of a stranger steers the terminal."""

from dataclasses import replace

import pytest

from holdfast_cli.local.ready_file import content
from holdfast_cli.local.report import Addresses, ClientState, PolicyState, Report
from holdfast_cli.local.table import MOST_LINES, render
from holdfast_cli.terminal import visible

ADDRESSES = Addresses(
    issuer="https://127.0.0.1:1",
    mtls_issuer="https://127.0.0.1:2",
    metadata_url="https://127.0.0.1:1/.well-known/oauth-authorization-server",
    token_endpoint="https://127.0.0.1:1/oauth2/token",
    mtls_token_endpoint="https://127.0.0.1:2/oauth2/token",
    introspection_endpoint="https://127.0.0.1:2/oauth2/introspect",
    ca_file="/data/ca.crt",
    pid=1,
)
REPORT = Report(addresses=ADDRESSES, clients=(), policies=(), problems=(), notes=())
REFUSED = PolicyState(name="broken", accepted=False, matched=0, message="spec.uris[0]: expected a pattern, found '['")


def test_a_policy_that_is_not_accepted_says_why() -> None:
    said = render(replace(REPORT, policies=(REFUSED,)))

    assert "Not accepted:\n  broken: spec.uris[0]: expected a pattern, found '['" in said


def test_a_policy_says_its_mode_and_how_many_break_it() -> None:
    planned = PolicyState(name="planned", accepted=True, matched=3, message="valid", mode="Audit", broken_by=2)

    said = render(replace(REPORT, policies=(planned,)))

    assert "POLICY   MODE   ACCEPTED  MATCHED  VIOLATIONS\nplanned  Audit  yes       3        2" in said


def test_the_ready_file_keeps_the_members_of_a_policy() -> None:
    assert content(replace(REPORT, policies=(REFUSED,)))["policies"] == [{"name": "broken", "accepted": False, "matched": 0}]


def test_a_long_list_ends_with_how_many_more_there_are() -> None:
    said = render(replace(REPORT, problems=tuple(f"problem {n}" for n in range(MOST_LINES + 7))))

    assert f"problem {MOST_LINES - 1}\n  and 7 more\n" in said
    assert f"problem {MOST_LINES}\n" not in said


@pytest.mark.parametrize("bad", ["\x1b[31m", "\n", "\r", "\x00", "\x9b2J", "\u202e", "\u2028", "\udcff", "\u200b"])
def test_what_steers_a_terminal_is_written_as_an_escape(bad: str) -> None:
    client = ClientState(namespace="shop", name=f"a{bad}", client_id=bad, ready=False, reason=bad, message=f"x{bad}y")
    policy = replace(REFUSED, name=bad, message=bad)
    text = f"key {bad}"

    said = render(replace(REPORT, clients=(client,), policies=(policy,), problems=(text,), notes=(text,)))

    assert bad == "\n" or bad not in said
    assert said.encode()
    assert f"x{bad.encode('unicode_escape').decode()}y" in said


def test_letters_of_any_writing_stay_as_they_are() -> None:
    assert visible("Müller, 東京, a b") == "Müller, 東京, a b"
