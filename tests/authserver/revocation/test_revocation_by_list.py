"""Revocation lists at the token endpoint, over real TLS: from the registry and from files, in each mode of a policy."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from holdfast.policy.model import RevocationMode
from tests.authserver.running import POLICY, MovingClock, RunningServer, client, running, spiffe_id, token_form
from tests.core.x509.authority import DAY, NOW, Authority
from tests.core.x509.lists import HOUR, pem, revocation_list
from tests.rfc8705.expectations import assert_error, assert_failed_authentication

CLIENT_ID = "shop.orders"
URI = spiffe_id(CLIENT_ID)


@asynccontextmanager
async def serving(folder: Path, mode: RevocationMode, **settings: Any) -> AsyncIterator[tuple[RunningServer, MovingClock]]:
    """One server with `shop.orders` under a policy of this mode, and its clock."""
    clock = MovingClock(NOW)
    async with running(folder, clock=clock, **settings) as server:
        await server.put(client(CLIENT_ID, anchors=[server.ca]), replace(POLICY, revocation=mode))
        yield server, clock


async def put(server: RunningServer, *lists: bytes) -> None:
    await server.registry.put_revocation_lists(lists, term=server.term)


def audited(server: RunningServer, event: str) -> list[str]:
    return [line for line in server.audit_log.read_text().splitlines() if f'"{event}"' in line]


def assert_unavailable(response: httpx.Response) -> None:
    assert_error(response, 503, "temporarily_unavailable")
    assert int(response.headers["retry-after"]) > 0


@pytest.mark.parametrize("mode", [RevocationMode.SOFT_FAIL, RevocationMode.HARD_FAIL])
async def test_a_revoked_leaf_is_refused_at_once_on_an_open_connection(tmp_path: Path, mode: RevocationMode) -> None:
    """In both modes, also where a verdict was remembered a moment before (M-22, M-79)."""
    async with serving(tmp_path, mode) as (server, _):
        certificate = server.certificate()
        await put(server, revocation_list(server.ca, this_update=NOW - 2 * HOUR))
        async with server.http(certificate) as http:
            before = await http.post(server.token_endpoint, data=token_form())
            await put(server, revocation_list(server.ca, [certificate.certificate]))
            after = await http.post(server.token_endpoint, data=token_form())

    assert before.status_code == 200
    assert_failed_authentication(after)


async def test_a_revoked_intermediate_refuses_what_it_issued(tmp_path: Path) -> None:
    """Every certificate of the path but the anchor is looked for (M-22)."""
    async with serving(tmp_path, RevocationMode.SOFT_FAIL) as (server, _):
        middle = server.ca.intermediate()
        await put(server, revocation_list(server.ca, [middle.certificate]), revocation_list(middle))

        assert_failed_authentication(await server.token(middle.issue(uris=[URI])))


async def test_where_a_policy_does_not_ask_no_list_has_a_say(tmp_path: Path) -> None:
    """`Disabled` is a stated policy as well (M-22)."""
    async with serving(tmp_path, RevocationMode.DISABLED) as (server, _):
        certificate = server.certificate()
        await put(server, revocation_list(server.ca, [certificate.certificate]))

        assert (await server.token(certificate)).status_code == 200


async def test_soft_fail_lets_an_unknown_standing_pass_and_tells_the_audit_log(tmp_path: Path) -> None:
    """Told with client, thumbprint and the reason, once for a remembered verdict (M-22)."""
    async with serving(tmp_path, RevocationMode.SOFT_FAIL) as (server, _):
        certificate = server.certificate()

        assert [(await server.token(certificate)).status_code for _ in range(3)] == [200, 200, 200]
        await server.server.stop()
        (line,) = audited(server, "revocation.unknown")

    assert CLIENT_ID in line
    assert certificate.certificate.x5t_s256 in line
    assert "there is none" in line


def unusable(ca: Authority) -> list[tuple[str, tuple[bytes, ...]]]:
    partial = x509.IssuingDistributionPoint(None, None, True, False, None, False, False)
    return [
        ("no list at all", ()),
        ("ended", (revocation_list(ca, this_update=NOW - 2 * DAY, next_update=NOW - DAY),)),
        ("not begun", (revocation_list(ca, this_update=NOW + HOUR, next_update=NOW + DAY),)),
        ("of another key of the same name", (revocation_list(Authority.root("CN=Workloads Root")),)),
        ("a part only", (revocation_list(ca, extra=[(partial, True)]),)),
        ("delta", (revocation_list(ca, extra=[(x509.DeltaCRLIndicator(1), True)]),)),
    ]


CA = Authority.root("CN=Workloads Root")


@pytest.mark.parametrize("lists", [u[1] for u in unusable(CA)], ids=[u[0] for u in unusable(CA)])
async def test_hard_fail_without_a_usable_list_is_unavailable(tmp_path: Path, lists: tuple[bytes, ...]) -> None:
    """503 with Retry-After, and a token as soon as a usable list has come (M-22)."""
    async with serving(tmp_path, RevocationMode.HARD_FAIL, ca=CA) as (server, _):
        await put(server, *lists)
        certificate = server.certificate()

        assert_unavailable(await server.token(certificate))
        await put(server, *lists, revocation_list(CA))
        assert (await server.token(certificate)).status_code == 200


async def test_hard_fail_tells_a_stranger_nothing_of_lists(tmp_path: Path) -> None:
    """503 is said to the very client only: for others it is the one text of every failure (M-22, E-02)."""
    async with serving(tmp_path, RevocationMode.HARD_FAIL) as (server, _):
        assert_failed_authentication(await server.token(server.certificate("shop.cart")))
        assert_failed_authentication(await server.token(Authority.root("CN=Other").issue(uris=[URI])))


async def test_a_remembered_verdict_ends_with_the_list_it_was_made_from(tmp_path: Path) -> None:
    """A CRL past its nextUpdate counts as unavailable from that moment on (M-22)."""
    async with serving(tmp_path, RevocationMode.HARD_FAIL) as (server, clock):
        certificate = server.certificate()
        await put(server, revocation_list(server.ca, next_update=NOW + timedelta(minutes=10)))

        async with server.http(certificate) as http:
            assert (await http.post(server.token_endpoint, data=token_form())).status_code == 200
            clock.move(minutes=10, seconds=6)
            assert_unavailable(await http.post(server.token_endpoint, data=token_form()))


async def test_lists_in_files_count_and_are_read_again_when_they_change(tmp_path: Path) -> None:
    """A folder and a file, DER and PEM; what changes counts within two seconds (M-22)."""
    folder, file = tmp_path / "lists", tmp_path / "other.crl"
    folder.mkdir()
    ca = Authority.root("CN=Workloads Root")
    (folder / "ca.crl").write_bytes(revocation_list(ca, this_update=NOW - 2 * HOUR))
    file.write_bytes(pem(revocation_list(Authority.root("CN=Other"))))
    async with serving(tmp_path, RevocationMode.HARD_FAIL, ca=ca, crl_files=(folder, file)) as (server, clock):
        certificate = server.certificate()
        assert (await server.token(certificate)).status_code == 200

        replace_file(folder / "ca.crl", pem(revocation_list(ca, [certificate.certificate])))
        clock.move(seconds=2)

        assert_failed_authentication(await server.token(certificate))


async def test_a_broken_file_is_named_and_takes_neither_the_others_nor_its_last_good_form(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is half written, or no list at all, lets nobody back in (M-22)."""
    folder = tmp_path / "lists"
    folder.mkdir()
    ca = Authority.root("CN=Workloads Root")
    certificate = ca.issue(uris=[URI])
    der = revocation_list(ca, [certificate.certificate])
    (folder / "ca.crl").write_bytes(der)
    (folder / "broken.crl").write_bytes(b"\x30\x82\x01")
    (folder / "..data").mkdir()
    settings: dict[str, Any] = {"ca": ca, "crl_files": (folder, tmp_path / "missing.crl")}
    async with serving(tmp_path, RevocationMode.HARD_FAIL, **settings) as (server, clock):
        with caplog.at_level(logging.ERROR):
            assert_failed_authentication(await server.token(certificate))
            replace_file(folder / "ca.crl", der[:-10])
            clock.move(seconds=20)
            assert_failed_authentication(await server.token(certificate))
            assert (await server.token(ca.issue(uris=[URI]))).status_code == 200

    said = "\n".join(record.getMessage() for record in caplog.records)
    assert "broken.crl" in said
    assert "missing.crl" in said
    assert "ca.crl: not a revocation list we can read: its DER is malformed; its last good form stays" in said


async def test_a_list_of_the_registry_survives_a_restart(tmp_path: Path) -> None:
    """What was revoked is revoked by the next process, too (M-22)."""
    ca = Authority.root("CN=Workloads Root")
    certificate = ca.issue(uris=[URI])
    same: dict[str, Any] = {"ca": ca, "server_ca": Authority.root("CN=Server Root")}
    async with serving(tmp_path, RevocationMode.SOFT_FAIL, **same) as (server, _):
        await put(server, revocation_list(ca, [certificate.certificate]))
    async with running(tmp_path, clock=MovingClock(NOW), **same) as server:
        assert_failed_authentication(await server.token(certificate))


async def test_nothing_is_ever_fetched_for_a_certificate(tmp_path: Path) -> None:
    """URLs of CRLs, issuers and OCSP in certificates of known and unknown CAs stay unasked: no connection comes (M-22)."""
    asked: asyncio.Queue[str] = asyncio.Queue()
    listener = await asyncio.start_server(lambda reader, writer: _note_first_line(reader, writer, asked), "127.0.0.1", 0)
    host, port = listener.sockets[0].getsockname()
    extra = _pointing_at(f"http://{host}:{port}/")
    async with listener, serving(tmp_path, RevocationMode.HARD_FAIL) as (server, _):
        middle = server.ca.intermediate()
        known = middle.issue(uris=[URI], extra=extra)
        for certificate in (known, replace(known, chain=()), Authority.root("CN=Other").issue(uris=[URI], extra=extra)):
            assert (await server.token(certificate)).status_code in (401, 503)
        with socket.create_connection((host, port)) as own:
            own.sendall(b"the watcher sees\n")
            first = await asyncio.wait_for(asked.get(), 10)

    assert (first, asked.qsize()) == ("the watcher sees", 0)


async def _note_first_line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: asyncio.Queue[str]) -> None:
    asked.put_nowait((await reader.readline()).decode("latin-1").strip())
    writer.close()
    await writer.wait_closed()


def _pointing_at(url: str) -> Sequence[tuple[x509.ExtensionType, bool]]:
    where = [x509.UniformResourceIdentifier(url)]
    point = x509.DistributionPoint(full_name=where, relative_name=None, reasons=None, crl_issuer=None)
    kinds = (AuthorityInformationAccessOID.OCSP, AuthorityInformationAccessOID.CA_ISSUERS)
    access = x509.AuthorityInformationAccess([x509.AccessDescription(kind, where[0]) for kind in kinds])
    return [(x509.CRLDistributionPoints([point]), False), (access, False), (x509.FreshestCRL([point]), False)]


def replace_file(path: Path, content: bytes) -> None:
    """As tools do it: a new file under the old name."""
    new = path.with_name(".new")
    new.write_bytes(content)
    os.replace(new, path)
