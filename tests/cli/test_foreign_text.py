"""What a server or a token says reaches the terminal as text: no charset breaks the command, no character steers it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from holdfast_cli.main import main
from holdfast_cli.terminal import visible
from tests.cli.foreign_server import GRANTED, answer, foreign_server

TOKEN = answer(b"200 OK", GRANTED, b"content-type: application/json")


def call(folder: Path, get: bytes) -> Result:
    with foreign_server(folder, post=TOKEN, get=get) as server:
        return CliRunner().invoke(main, server.token_arguments("--call", f"{server.url}/api"))


@pytest.mark.parametrize("charset", ["rot13", "hex", "uu", "utf-16", "unicode_escape", "idna", "none-such", "zlib"])
def test_an_answer_is_passed_on_as_it_came_whatever_charset_it_claims(tmp_path: Path, charset: str) -> None:
    body = b"hello \\ud800 \xff"

    result = call(tmp_path, answer(b"200 OK", body, f"content-type: text/plain; charset={charset}".encode()))

    assert (result.exit_code, result.exception) == (0, None)
    assert result.stdout_bytes == body + b"\n"


def test_reason_phrase_and_challenge_cannot_steer_the_terminal(tmp_path: Path) -> None:
    result = call(tmp_path, answer(b"401 No\tway", b"", b'www-authenticate: Bearer error="\xc2\x9b31m\xe2\x80\xae"'))

    assert result.exit_code == 1
    assert result.stderr.splitlines() == ["401 No\\tway", 'WWW-Authenticate: Bearer error="\\x9b31m\\u202e"']


def test_an_error_description_cannot_steer_the_terminal(tmp_path: Path) -> None:
    body = json.dumps({"error": "invalid_client", "error_description": "\x1b[2Jhello\r\nexit 0 \ud800"}).encode()

    with foreign_server(tmp_path, post=answer(b"401 Unauthorized", body)) as server:
        result = CliRunner().invoke(main, server.token_arguments())

    assert result.exit_code == 1
    assert result.stderr == "holdfast token: invalid_client (401): \\x1b[2Jhello exit 0 \\ud800\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain", "plain"), ("Müller, 東京", "Müller, 東京"), ("a\x1b[0m\x7f\x9b", "a\\x1b[0m\\x7f\\x9b"), ("a\nb", "a\\nb"),
     ("\u202egnp", "\\u202egnp"), ("\ud800", "\\ud800")],
)  # fmt: skip
def test_only_what_is_printable_is_printed(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_body_on_a_terminal_keeps_its_lines() -> None:
    assert visible("a\n\tb\x1b", keep="\n\t") == "a\n\tb\\x1b"
