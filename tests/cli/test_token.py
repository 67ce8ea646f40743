"""`holdfast token` gets a bound token from a real server, and calls with it."""

import json
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
from click.testing import CliRunner, Result

from holdfast.x509.certificate import Certificate
from holdfast_cli.main import main
from tests.cli.dev_process import DevProcess, client, dev


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevProcess]:
    with dev(tmp_path_factory.mktemp("dev"), a=client(), b=client("other")) as running:
        assert running.is_ready("orders"), running.said
        yield running


def token(process: DevProcess, *arguments: str, of: str = "orders", client_id: str = "shop.orders") -> Result:
    found = process.client(of)
    assert found is not None
    files = ["--cert", found["cert_file"], "--key", found["key_file"], "--ca", process.ready["ca_file"]]
    return CliRunner().invoke(main, ["token", *files, "--client-id", client_id, *arguments])


def test_a_token_is_printed_and_is_bound_to_the_certificate(process: DevProcess) -> None:
    result = token(process, "--issuer", process.ready["issuer"])

    found = process.client()
    assert found is not None
    assert result.exit_code == 0, result.stderr
    claims = jwt.decode(result.stdout.strip(), options={"verify_signature": False})
    assert claims["cnf"]["x5t#S256"] == Certificate.from_pem(Path(found["cert_file"]).read_bytes()).x5t_s256


def test_the_whole_answer_is_json(process: DevProcess) -> None:
    result = token(process, "--token-endpoint", process.ready["mtls_token_endpoint"], "--json", "--scope", "orders.read")

    assert json.loads(result.stdout)["scope"] == "orders.read"


def test_a_refusal_is_the_servers_code_and_exit_code_1(process: DevProcess) -> None:
    result = token(process, "--issuer", process.ready["issuer"], of="other")

    assert result.exit_code == 1
    assert result.stderr.startswith("holdfast token: invalid_client (401)")
    assert len(result.stderr.splitlines()) == 1


def test_a_resource_that_is_not_allowed_is_refused(process: DevProcess) -> None:
    result = token(process, "--issuer", process.ready["issuer"], "--resource", "https://elsewhere.test")

    assert result.exit_code == 1
    assert "invalid_target" in result.stderr


def test_a_call_shows_what_the_api_answers(process: DevProcess) -> None:
    """Any https URL will do: the server's own metadata answers 200, its token endpoint refuses a GET."""
    result = token(process, "--issuer", process.ready["issuer"], "--call", process.ready["metadata_url"])
    refused = token(process, "--issuer", process.ready["issuer"], "--call", process.ready["mtls_token_endpoint"])

    assert (result.exit_code, json.loads(result.stdout)["issuer"]) == (0, process.ready["issuer"])
    assert refused.exit_code == 1
    assert refused.stderr.startswith("405 ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "expected exactly one of --issuer and --token-endpoint"),
        (("--issuer", "https://a", "--token-endpoint", "https://b"), "expected exactly one of"),
        (("--issuer", "http://a"), "expected an https URL, found 'http://a'"),
        (("--issuer", "https://127.0.0.1:1"), "https://127.0.0.1:1/.well-known/oauth-authorization-server: "),
        (("--token-endpoint", "https://[::1"), "--token-endpoint: expected an https URL, found 'https://[::1': Invalid"),
        (("--issuer", "https://h::1"), "--issuer: expected an https URL, found 'https://h::1': Invalid port"),
        (("--issuer", "https://h:99999"), "--issuer: expected an https URL, found 'https://h:99999': Port out of range"),
        (("--issuer", "https://a..b"), "--issuer: expected an https URL, found 'https://a..b': "),
        (("--issuer", f"https://{'a' * 64}.test"), "--issuer: expected an https URL, found "),
        (("--issuer", "https://"), "--issuer: expected an https URL with a host"),
        (("--issuer", "https://h/?q"), "--issuer: expected an issuer without query and fragment"),
        (("--issuer", "https://h/#f"), "--issuer: expected an issuer without query and fragment"),
        (("--issuer", "https://127.0.0.1:1", "--call", "https://[::1"), "--call: expected an https URL"),
        (("--issuer", "https://127.0.0.1:1", "--key", "/no/key"), "/no/key: No such file or directory"),
        (("--issuer", "https://127.0.0.1:1", "--ca", "/no/ca"), "/no/ca: No such file or directory"),
        (("--issuer", "https://127.0.0.1:1", "--call", "http://a"), "--call: expected an https URL, found 'http://a'"),
    ],
)
def test_what_cannot_be_asked_is_one_line_and_exit_code_2(
    process: DevProcess, arguments: tuple[str, ...], said: str
) -> None:
    result = token(process, *arguments)

    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_metadata_of_another_issuer_is_not_followed(process: DevProcess) -> None:
    localhost = process.ready["issuer"].replace("127.0.0.1", "localhost")

    result = token(process, "--issuer", localhost)

    assert result.exit_code == 2
    assert f"expected issuer '{localhost}', found '{process.ready['issuer']}'" in result.stderr


def test_a_server_of_another_ca_is_not_trusted(process: DevProcess) -> None:
    found = process.client()
    assert found is not None

    result = token(process, "--issuer", process.ready["issuer"], "--ca", found["chain_file"])

    assert result.exit_code == 2
    assert "certificate verify failed" in result.stderr.lower()
