"""Health, readiness and metrics, asked over real HTTP."""

import aiohttp
import pytest

from holdfast_operator.metrics import Metrics
from holdfast_operator.ops import OpsServer
from holdfast_operator.reconcile.ports import Key, Kind


async def asked(path: str, *, healthy: str | None = None, ready: str | None = None) -> tuple[int, str]:
    metrics = Metrics()
    metrics.passed(Key(Kind.OAUTH_CLIENT, "shop", "orders"), 0.02, "done")
    metrics.gauge("holdfast_operator_queue_keys", "Keys that are due.", lambda: 3.0)
    server = OpsServer("127.0.0.1", 0, healthy=lambda: healthy, ready=lambda: ready, metrics=metrics.text)
    await server.start()
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{server.port}{path}") as answer:
            return answer.status, await answer.text()
    finally:
        await server.stop()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_all_well_is_200(path: str) -> None:
    assert await asked(path) == (200, "ok")


async def test_what_is_wrong_is_503_and_said() -> None:
    assert await asked("/healthz", healthy="the watches have ended") == (503, "the watches have ended")
    assert await asked("/readyz", ready="not yet") == (503, "not yet")


async def test_metrics_are_in_the_form_that_prometheus_reads() -> None:
    status, text = await asked("/metrics")

    assert status == 200
    assert 'holdfast_operator_passes_total{kind="OAuthClient",result="done"} 1.0' in text
    assert "holdfast_operator_queue_keys 3.0" in text
