"""What the application of a listener does with a defect of an endpoint: one dull answer, the story in the log."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from holdfast.clock import system_clock
from holdfast_authserver.audit import AuditLog
from holdfast_authserver.endpoints.answer import Answer
from holdfast_authserver.endpoints.decisions import Decisions
from holdfast_authserver.endpoints.received import Received
from holdfast_authserver.endpoints.refusal_lines import RefusalLines
from holdfast_authserver.endpoints.surface import Route, Surface
from holdfast_authserver.metrics import Metrics
from tests.authserver.observability.snapshots import NOBODY


async def _broken(received: Received) -> Answer:
    raise KeyError("a secret of the server")


async def test_a_defect_is_a_dull_500_and_is_told_in_the_log_under_the_same_id(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    audit = AuditLog(str(tmp_path / "audit.log"), system_clock)
    decisions = Decisions(audit, Metrics(), lambda: NOBODY)
    lines = RefusalLines(audit, lambda _: False, system_clock, most=0)
    surface = Surface({"/broken": Route("broken", reads=True, handle=_broken)}, decisions, lines, Metrics())
    scope = {"type": "http", "method": "GET", "raw_path": b"/broken", "query_string": b"", "headers": []}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    with caplog.at_level(logging.ERROR):
        await surface(scope, receive, send)
    audit.close()

    headers = dict(sent[0]["headers"])
    assert sent[0]["status"] == 500
    assert json.loads(sent[1]["body"]) == {"error": "server_error", "error_description": "the server failed"}
    assert headers[b"holdfast-decision"].decode() in caplog.text
