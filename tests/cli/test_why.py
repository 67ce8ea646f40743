"""`holdfast why` says what the server says, and shows rule, expected and seen for it."""

import asyncio
import base64
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec

from holdfast.oauth.jwks import parse_jwk_set
from holdfast.policy.model import MTLS_METHODS
from holdfast_cli.main import main
from tests.authserver.running import POLICY, RunningServer, client, running
from tests.core.x509.authority import Authority, Issued

BY_ASSERTION = replace(POLICY, allowed_methods=frozenset({*MTLS_METHODS, "private_key_jwt"}))


async def why(*arguments: object) -> Result:
    """In a thread: the command has an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, main, ["why", *map(str, arguments)])


async def why_certificate(server: RunningServer, certificate: Issued, client_id: str, *more: object) -> Result:
    file = server.folder / "shown.crt"
    file.write_bytes(certificate.cert_pem)
    url = f"sqlite+aiosqlite:///{server.folder / 'registry.db'}"
    return await why("--cert", file, "--client", client_id, "--database-url", url, *more)


async def test_the_command_and_the_server_agree_on_every_certificate(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        await server.put(client(anchors=[server.ca]))
        await server.put(client("shop.late", anchors=[server.ca], suspended=True))
        shown = {
            "its own": (server.certificate(), "shop.orders"),
            "another's": (server.certificate("shop.cart"), "shop.orders"),
            "of a foreign CA": (
                Authority.root("CN=Other").issue(uris=["spiffe://cluster.local/ns/shop/sa/orders"]),
                "shop.orders",
            ),
            "of a suspended client": (server.certificate("shop.late"), "shop.late"),
            "of nobody": (server.certificate(), "no.body"),
        }
        for case, (certificate, client_id) in shown.items():
            answered = await server.token(certificate, client_id)
            said = await why_certificate(server, certificate, client_id)

            assert said.exit_code == (0 if answered.status_code == 200 else 1), (case, said.output)


async def test_the_rule_that_refuses_is_shown_with_what_it_expects_and_sees(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        await server.put(client(anchors=[server.ca]))
        said = await why_certificate(server, server.certificate("shop.cart"), "shop.orders", "--json")

    told = json.loads(said.stdout)
    refusing = [step for step in told["steps"] if step["ok"] is False]
    assert told["verdict"] == "refused"
    assert [step["rule"] for step in refusing] == ["subject"]
    assert "sa/orders" in refusing[0]["expected"]
    assert "sa/cart" in refusing[0]["seen"]


async def test_the_moment_can_be_chosen(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        await server.put(client(anchors=[server.ca]))
        certificate = server.certificate()
        later = certificate.certificate.not_after + timedelta(days=1)

        assert (await why_certificate(server, certificate, "shop.orders")).exit_code == 0
        assert (await why_certificate(server, certificate, "shop.orders", "--at", later.isoformat())).exit_code == 1


async def test_a_self_signed_client_is_compared_by_its_whole_certificate(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        mine, other = (server.ca.issue("CN=self", uris=[]) for _ in range(2))
        keys = parse_jwk_set({"keys": [_jwk(mine)]})
        changes = {"token_endpoint_auth_method": "self_signed_tls_client_auth", "subject": None, "trust_anchors": ()}
        await server.put(client("shop.self", anchors=[], jwks=keys, **changes))

        assert (await why_certificate(server, mine, "shop.self")).exit_code == 0
        said = await why_certificate(server, other, "shop.self")

    assert said.exit_code == 1
    assert mine.certificate.x5t_s256 in said.stdout
    assert other.certificate.x5t_s256 in said.stdout


async def test_of_a_client_with_assertions_it_says_that_a_certificate_does_not_tell(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        keys = parse_jwk_set({"keys": [_jwk(server.certificate())]})
        changes = {"token_endpoint_auth_method": "private_key_jwt", "subject": None, "trust_anchors": ()}
        await server.put(client("shop.jwt", anchors=[], jwks=keys, **changes), BY_ASSERTION)
        said = await why_certificate(server, server.certificate(), "shop.jwt")

    assert said.exit_code == 2, said.output
    assert "client assertion" in said.stdout


async def test_a_decision_is_told_in_words_with_its_facts(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        await server.put(client(anchors=[server.ca]))
        issued, refused = await server.token(server.certificate()), await server.token(server.certificate(), "no.body")
    log = ["--audit-log", server.audit_log]

    good = await why(issued.headers["holdfast-decision"], *log)
    bad = await why(refused.headers["holdfast-decision"], *log)

    assert (good.exit_code, bad.exit_code) == (0, 1)
    assert good.stdout.startswith("A token was issued.")
    assert bad.stdout.startswith("A token was refused. No client of this id is registered.")
    assert "no.body" in bad.stdout
    assert server.certificate().certificate.x5t_s256 not in bad.stdout


async def test_a_decision_that_is_not_there_cannot_be_told(tmp_path: Path) -> None:
    (tmp_path / "audit.log").write_text('{"decision":"0011","event":"x"}\nnot json 00112233\n')

    said = await why("00112233", "--audit-log", tmp_path / "audit.log")

    assert said.exit_code == 2
    assert "holds no decision 00112233" in said.stderr


async def test_what_a_stranger_wrote_does_not_move_the_cursor(tmp_path: Path) -> None:
    line = {"decision": "00", "event": "token.refused", "client_id": "a\x1b[2J\u202eb", "reason": "a new word"}
    (tmp_path / "audit.log").write_text(json.dumps(line) + "\n")

    said = await why("00", "--audit-log", tmp_path / "audit.log")

    assert said.exit_code == 1
    assert "\x1b" not in said.stdout
    assert "\\x1b[2J\\u202eb" in said.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("00", "--cert", "x.crt", "--client", "a"),
        ("--cert", "x.crt"),
        ("--cert", "absent.crt", "--client", "a"),
        ("00", "--audit-log", "absent.log"),
        ("--cert", __file__, "--client", "a"),
    ],
)
async def test_what_cannot_be_asked_is_one_line(arguments: tuple[str, ...]) -> None:
    said = await why(*arguments)

    assert said.exit_code == 2
    assert said.stdout == ""
    assert len(said.stderr.splitlines()) == 1


async def test_a_registry_that_is_not_there_is_named_and_not_made(tmp_path: Path) -> None:
    certificate = Authority.root().issue()
    (tmp_path / "shown.crt").write_bytes(certificate.cert_pem)

    said = await why("--cert", tmp_path / "shown.crt", "--client", "a", "--data", tmp_path / "data")

    assert said.exit_code == 2
    assert "registry.db: there is no such file" in said.stderr
    assert not (tmp_path / "data").exists()


def _jwk(issued: Issued) -> dict[str, object]:
    key = issued.certificate.parsed.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    numbers = key.public_numbers()
    x, y = (base64.urlsafe_b64encode(n.to_bytes(32, "big")).rstrip(b"=").decode() for n in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y, "x5c": [base64.b64encode(issued.certificate.der).decode()]}
