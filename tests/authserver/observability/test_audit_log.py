"""The audit log: what a line holds, and that rotation and trouble lose nothing that could be written."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from holdfast.clock import system_clock
from holdfast.oauth.refusal import Refusal
from holdfast_authserver.audit import AuditLog, AuditLogError
from tests.authserver.running import POLICY, RunningServer, client, running


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


async def test_a_line_tells_enough_to_explain_the_decision(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        await server.put(client(anchors=[server.ca]))
        certificate = server.certificate()
        issued = await server.token(certificate)
        refused = await server.token(server.certificate("shop.cart"))
    told = {line["decision"]: line for line in lines(server.audit_log)}

    good, bad = told[issued.headers["holdfast-decision"]], told[refused.headers["holdfast-decision"]]
    assert good["event"] == "token.issued"
    assert bad["event"] == "token.refused"
    for line in (good, bad):
        assert line["client_id"] == "shop.orders"
        assert line["method"] == "tls_client_auth"
        assert line["policy"] == POLICY.hash
        assert line["revision"] > 0
        assert line["remote"] == "127.0.0.1"
    assert good["thumbprint"] == certificate.certificate.x5t_s256
    assert bad["error"] == "invalid_client"
    assert bad["reason"] in set(Refusal)
    assert "sa/cart" in bad["detail"]


async def test_the_peers_address_can_be_left_out(tmp_path: Path) -> None:
    async with running(tmp_path, audit_remote_address=False) as server:
        await server.token(server.certificate())

    assert [line for line in lines(server.audit_log) if "remote" in line] == []


@pytest.mark.parametrize("reopened", [False, True])
async def test_a_log_that_was_moved_away_is_begun_anew(tmp_path: Path, reopened: bool) -> None:
    file = tmp_path / "audit.log"
    log = AuditLog(str(file), system_clock)
    log.record("first", "1")
    log.flush()

    file.rename(tmp_path / "audit.log.1")
    if reopened:  # as SIGHUP has it
        log.reopen()
        assert file.exists()
    log.record("second", "2")
    log.close()

    assert [line["event"] for line in lines(tmp_path / "audit.log.1")] == ["first"]
    assert [line["event"] for line in lines(file)] == ["second"]


async def test_a_log_that_was_copied_and_emptied_is_gone_on_with(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    log = AuditLog(str(file), system_clock)
    log.record("first", "1")
    log.flush()

    os.truncate(file, 0)
    log.record("second", "2")
    log.close()

    assert [line["event"] for line in lines(file)] == ["second"]


async def test_a_folder_that_is_gone_costs_lines_and_no_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = AuditLog(str(folder / "audit.log"), system_clock)
    (folder / "audit.log").unlink()
    folder.rmdir()

    log.record("first", "1")
    log.record("second", "2")
    log.flush()
    log.reopen()
    log.close()

    assert log.lost == 2
    assert "2 lines could not be written" in caplog.text


async def test_several_writers_of_one_file_write_whole_lines(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    logs = [AuditLog(str(file), system_clock) for _ in range(4)]
    for number in range(200):
        for log in logs:
            log.record("event", str(number), detail="x" * 200)
    await asyncio.gather(*(asyncio.to_thread(log.close) for log in logs))

    assert len(lines(file)) == 800


def test_a_log_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(AuditLogError, match=r"no/audit\.log"):
        AuditLog(str(tmp_path / "no" / "audit.log"), system_clock)


async def test_whatever_was_sent_a_line_stays_a_line(server: RunningServer) -> None:
    await server.token(server.certificate(), 'a\n{"event":"token.issued"}\r\u2028b\x00')
    await asyncio.sleep(0)
    server.server.reopen_audit_log()  # writes what is waiting

    assert len(lines(server.audit_log)) == 1
    assert server.audit_log.read_text("utf-8").isascii()
