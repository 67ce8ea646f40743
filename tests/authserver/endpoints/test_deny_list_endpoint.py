"""GET /oauth2/deny-list: what enters it, that it is signed only when it changes, and that our library obeys it."""

import asyncio
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.oauth.client_metadata import TokenFormat
from holdfast.oauth.deny_list import TYPE, DenyList, entry
from holdfast.resource_server import (
    DenyListCache,
    DenyListRules,
    Expected,
    InvalidToken,
    JwksCache,
    KeySet,
    TokenVerifier,
)
from holdfast.resource_server.verification import verified_payload
from tests.authserver.running import MovingClock, RunningServer, client, running
from tests.core.x509.authority import Authority, Issued
from tests.rfc8705.expectations import assert_error


async def _get(server: RunningServer, **headers: str) -> httpx.Response:
    async with server.http() as http:
        return await http.get(
            f"{server.issuer}/oauth2/deny-list", headers={k.replace("_", "-"): v for k, v in headers.items()}
        )


async def _read(server: RunningServer) -> DenyList:
    async with server.http() as http:
        keys = KeySet.from_json((await http.get(f"{server.issuer}/oauth2/jwks")).content)
    return DenyList.from_json(json.loads(verified_payload((await _get(server)).text, keys, typ=TYPE, limit=1 << 23)))


async def _token(server: RunningServer, certificate: Issued | None = None) -> str:
    response = await server.token(certificate or server.certificate())
    assert response.status_code == 200, response.text
    return str(response.json()["access_token"])


async def _revoke(server: RunningServer, token: str) -> None:
    async with server.http(server.certificate()) as http:
        data = {"client_id": "shop.orders", "token": token}
        assert (await http.post(server.revocation_endpoint, data=data)).status_code == 200


async def _jti(server: RunningServer, token: str) -> str:
    return str((await server.introspect(server.certificate(), token))["jti"])


async def test_a_revoked_token_is_listed_by_the_hash_of_its_id_until_it_ends(tmp_path: Path) -> None:
    clock = MovingClock()
    async with running(tmp_path, clock=clock) as server:
        await server.put(client(anchors=[server.ca]))
        token = await _token(server)
        jti = await _jti(server, token)
        before = await _read(server)
        await _revoke(server, token)
        after, text = await _read(server), (await _get(server)).text
        clock.move(seconds=301)

        assert entry(jti) not in before.tokens
        assert after.tokens == {entry(jti)}
        assert jti not in text
        assert (await _read(server)).tokens == frozenset()


async def test_suspended_denied_and_departed_clients_are_listed_and_a_denied_certificate(server: RunningServer) -> None:
    for name, changes in (("stopped", {"suspended": True}), ("denied", {"certificate_bound": False}), ("gone", {})):
        await server.put(client(f"shop.{name}", anchors=[server.ca], **changes))
    await server.registry.delete_client("shop.gone", uid="uid-shop.gone", term=server.term)
    thumbprint = server.certificate().certificate.x5t_s256
    await server.registry.put_denied_thumbprints(frozenset({thumbprint}), term=server.term)

    found = await _read(server)

    assert {found.clients[entry(f"shop.{name}")] for name in ("stopped", "denied")} == {None}
    departed = found.clients[entry("shop.gone")]
    assert departed is not None
    assert departed > found.valid_from - 1
    assert found.certificates == {entry(thumbprint)}
    assert (found.iss, found.complete) == (server.issuer, True)


async def test_it_is_the_same_document_until_something_changes_or_it_is_half_its_age(tmp_path: Path) -> None:
    clock = MovingClock()
    async with running(tmp_path, clock=clock) as server:
        await server.put(client(anchors=[server.ca]))
        clock.move(seconds=300 - clock.now.timestamp() % 300)
        first, again = await _get(server), await _get(server)
        clock.move(seconds=299)
        later = await _get(server)
        clock.move(seconds=1)
        renewed = await _get(server)
        other = await _token(server)
        await _revoke(server, other)
        changed = await _get(server)

    assert first.content == again.content == later.content
    assert first.headers["etag"] == later.headers["etag"]
    assert len({r.content for r in (first, renewed, changed)}) == 3
    assert len({r.headers["etag"] for r in (first, renewed, changed)}) == 3


async def test_who_has_it_already_is_told_so(server: RunningServer) -> None:
    first = await _get(server)
    tag = first.headers["etag"]
    same = [await _get(server, if_none_match=value) for value in (tag, tag.removeprefix("W/"), f'"x", {tag}', "*")]
    whole = [await _get(server, if_none_match=value) for value in ('"x"', 'W/""', "no tag")]

    assert (first.status_code, first.headers["content-type"]) == (200, "application/jwt")
    assert first.headers["cache-control"] == "public, max-age=2"
    assert [(r.status_code, r.content, r.headers["etag"]) for r in same] == [(304, b"", tag)] * 4
    assert [r.status_code for r in whole] == [200] * 3


async def test_it_is_read_only(server: RunningServer) -> None:
    async with server.http() as http:
        assert_error(await http.post(f"{server.issuer}/oauth2/deny-list"), 405, "invalid_request")
        assert (await http.head(f"{server.issuer}/oauth2/deny-list")).status_code == 200


async def test_a_registry_that_nobody_has_confirmed_lists_nothing_yet(tmp_path: Path) -> None:
    """It might lack clients that are suspended or denied."""
    async with running(tmp_path, confirm=False, startup_hold=60) as server:
        assert_error(await _get(server), 503, "temporarily_unavailable")


@pytest.mark.parametrize("loss", ["revoked", "suspended", "thumbprint"])
async def test_an_api_that_checks_by_itself_refuses_what_was_revoked(tmp_path: Path, loss: str) -> None:
    """Library and server, over real TLS."""
    async with running(tmp_path) as server:
        await server.put(client(anchors=[server.ca]))
        jwks = JwksCache(f"{server.issuer}/oauth2/jwks", context=server.tls())
        rules = DenyListRules(fresh=timedelta(0), waited=timedelta(0), pause=timedelta(0))
        denied = DenyListCache(f"{server.issuer}/oauth2/deny-list", server.issuer, jwks, rules=rules)
        checks = TokenVerifier(Expected(issuer=server.issuer, audience=server.issuer), jwks, deny_list=denied)
        mine, other = server.certificate(), server.certificate()
        token, spared = await _token(server, mine), await _token(server, other)
        assert (await checks.averify(token, mine.certificate)).client_id == "shop.orders"
        if loss == "revoked":
            await _revoke(server, token)
        elif loss == "suspended":
            await server.put(client(anchors=[server.ca], suspended=True))
        else:
            thumbprints = frozenset({mine.certificate.x5t_s256})
            await server.registry.put_denied_thumbprints(thumbprints, term=server.term)

        with pytest.raises(InvalidToken, match="deny-list"):
            await checks.averify(token, mine.certificate)
        if loss != "suspended":
            assert (await checks.averify(spared, other.certificate)).client_id == "shop.orders"


async def test_a_revoked_opaque_token_is_listed_as_well(server: RunningServer) -> None:
    await server.put(client(anchors=[server.ca], token_format=TokenFormat.OPAQUE))
    token = await _token(server)
    jti = await _jti(server, token)
    await _revoke(server, token)

    assert entry(jti) in (await _read(server)).tokens


async def test_members_are_as_documented(server: RunningServer) -> None:
    members: dict[str, Any] = (await _read(server)).to_json()

    assert set(members) == {"iss", "iat", "exp", "valid_from", "complete", "tokens", "clients", "certificates"}


_INSERT = "INSERT INTO revoked_tokens (jti, expires_at, revision, client_id, issued_at) VALUES (?, ?, ?, ?, ?)"


async def _revoked_before_the_start(folder: Path, clients: list[str], each: int) -> Authority:
    """A registry in which each of these clients has revoked so many tokens, all of which still live; the server's CA."""
    async with running(folder) as server:
        pass
    end = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)
    rows = ((f"{client_id}-{i}", str(end), 1, client_id, 0) for client_id in clients for i in range(each))
    database = sqlite3.connect(folder / "registry.db")
    database.executemany(_INSERT, rows)
    database.commit()
    database.close()
    return server.server_ca


async def test_who_revokes_too_many_tokens_loses_all_and_nobody_else_any(tmp_path: Path) -> None:
    """At introspection, and at an API that follows the deny-list, which stays complete."""
    authority = await _revoked_before_the_start(tmp_path, ["shop.orders"], 10_000)
    async with running(tmp_path, server_ca=authority) as server:
        for client_id in ("shop.orders", "shop.calm"):
            await server.put(client(client_id, anchors=[server.ca]))
        mine, calm = server.certificate(), server.certificate("shop.calm")
        named, unnamed = await _token(server, mine), await _token(server, mine)
        spared = str((await server.token(calm, "shop.calm")).json()["access_token"])
        before = await _read(server)
        await _revoke(server, named)
        async with asyncio.timeout(5):
            while (after := await _read(server)).tokens:
                assert len(after.tokens) == 10_000  # a long list is not made anew at every change
        checks = TokenVerifier(
            Expected(issuer=server.issuer, audience=server.issuer),
            jwks := JwksCache(f"{server.issuer}/oauth2/jwks", context=server.tls()),
            deny_list=DenyListCache(f"{server.issuer}/oauth2/deny-list", server.issuer, jwks),
        )

        assert (len(before.tokens), before.complete) == (10_000, True)
        assert (after.tokens, after.complete) == (frozenset(), True)
        assert (await server.introspect(mine, unnamed)) == {"active": False}
        assert (await server.introspect(calm, spared, "shop.calm"))["active"] is True
        with pytest.raises(InvalidToken, match="lost its tokens"):
            await checks.averify(unnamed, mine.certificate)
        assert (await checks.averify(spared, calm.certificate)).client_id == "shop.calm"
    lines = [json.loads(line) for line in server.audit_log.read_text().splitlines()]
    (told,) = (line for line in lines if line["event"] == "token.revoked")
    assert (told["all_of"], told["issued_before"]) == ("shop.orders", after.clients[entry("shop.orders")])


async def test_a_long_list_is_made_beside_other_requests_and_once_for_all_who_ask(tmp_path: Path) -> None:
    authority = await _revoked_before_the_start(tmp_path, [f"shop.c{i}" for i in range(8)], 10_000)
    async with running(tmp_path, server_ca=authority) as server, server.http() as http:
        asked = [asyncio.create_task(http.get(f"{server.issuer}/oauth2/deny-list")) for _ in range(5)]
        await asyncio.sleep(0)
        assert (await http.get(f"{server.issuer}/oauth2/jwks")).status_code == 200
        assert not any(task.done() for task in asked)
        answers = await asyncio.gather(*asked)

    assert len({answer.content for answer in answers}) == 1
    assert len(answers[0].content) > 80_000 * 25
