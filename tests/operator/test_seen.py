"""What the operator shows of itself: metrics with labels from closed lists, and logs that a machine can read."""

import io
import json
import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from holdfast.registry.port import RefusalReason, RegistrationRefused, RegistryUnavailable, StaleTerm
from holdfast_operator.converge.outcome import Outcome
from holdfast_operator.engine.engine import Engine
from holdfast_operator.engine.failures import Failure, failure_of
from holdfast_operator.engine.index import Index
from holdfast_operator.logs import JsonLines
from holdfast_operator.metrics import Metrics
from holdfast_operator.reconcile.ports import ClusterUnavailable, Conflict, Key, Kind, Object, Rejected
from tests.core.x509.authority import DAY, NOW
from tests.operator.simulated import oauth_client, registered_world
from tests.operator.small_house import House, house, manifest
from tests.operator.test_engine import ORDERS, SETTINGS, Script, client
from tests.operator.virtual_time import run

Samples = dict[tuple[str, ...], float]


def shown(metrics: Metrics, name: str) -> Samples:
    """Values of a metric by its labels' values, in the order of the labels' names."""
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
        if sample.name == name
    }


def watching(*clients: Object) -> tuple[Index, Metrics]:
    index, metrics = Index(), Metrics()
    metrics.show(index.standing, lambda: NOW)
    for obj in clients:
        index.observe(Kind.OAUTH_CLIENT, obj)
    return index, metrics


def named(name: str, status: Object | None = None) -> Object:
    return oauth_client(metadata={"name": name}, status=status)


def ending(name: str, after: timedelta, secret: str = "") -> Object:
    certificate = {"notAfter": (NOW + after).strftime("%Y-%m-%dT%H:%M:%SZ"), **({"secretName": secret} if secret else {})}
    return named(name, {"certificate": certificate})


def test_clients_are_counted_by_condition_and_each_change_and_deletion_counts() -> None:
    ready = registered_world().client["status"]
    index, metrics = watching(named("a", ready), named("b", ready), named("c"))
    assert shown(metrics, "holdfast_operator_clients")["Ready", "Ready", "True"] == 2

    broken = {"conditions": [{"type": "Ready", "status": "False", "reason": "IssuerNotFound"}]}
    index.observe(Kind.OAUTH_CLIENT, named("a", broken))
    index.observe(Kind.OAUTH_CLIENT, named("b"), deleted=True)

    assert shown(metrics, "holdfast_operator_clients") == {("Ready", "IssuerNotFound", "False"): 1}


@pytest.mark.parametrize(
    "status",
    [
        {"conditions": [{"type": "Ready", "status": "True", "reason": "x" * 1000}]},
        {"conditions": [{"type": "Mine", "status": "True", "reason": "Ready"}]},
        {"conditions": [{"type": "Ready", "status": "Perhaps", "reason": "Ready"}]},
        {"conditions": {"type": "Ready"}},
        {"conditions": ["Ready"], "certificate": {"notAfter": "tomorrow"}},
        {"certificate": {"notAfter": 7}},
    ],
    ids=["reason", "type", "status", "no list", "texts", "a number"],
)
def test_nobody_makes_series_by_writing_into_a_status(status: Object) -> None:
    _, metrics = watching(named("a", status))

    assert shown(metrics, "holdfast_operator_clients") == {}
    assert shown(metrics, "holdfast_operator_certificate_days_left") == {}


def test_the_first_end_and_those_of_the_week_are_told_by_who_renews() -> None:
    _, metrics = watching(
        ending("a", 3 * DAY),
        ending("b", 90 * DAY),
        ending("c", DAY, secret="c-mtls"),
        ending("d", 6.9 * DAY, secret="d-mtls"),
    )

    assert shown(metrics, "holdfast_operator_certificate_days_left") == {("cert-manager",): 1.0, ("nobody",): 3.0}
    assert shown(metrics, "holdfast_operator_certificates_ending") == {("cert-manager",): 2.0, ("nobody",): 1.0}


FAILURES: list[tuple[Exception, Failure]] = [
    (StaleTerm("older"), Failure.STALE_TERM),
    (Conflict("changed"), Failure.CONFLICT),
    (ClusterUnavailable("away"), Failure.CLUSTER_UNAVAILABLE),
    (Rejected("422"), Failure.CLUSTER_REFUSED),
    (RegistryUnavailable("away"), Failure.REGISTRY_UNAVAILABLE),
    (RegistrationRefused(RefusalReason.SUBJECT_TAKEN, "no"), Failure.REGISTRY_REFUSED),
    (TimeoutError(), Failure.TIMEOUT),
    (KeyError("x"), Failure.DEFECT),
]


def test_every_failure_has_a_case_here() -> None:
    assert {word for _, word in FAILURES} == set(Failure)


@pytest.mark.parametrize(("error", "word"), FAILURES, ids=[word for _, word in FAILURES])
def test_a_pass_that_fails_is_counted_by_its_reason(error: Exception, word: Failure) -> None:
    assert failure_of(error) is word

    async def main() -> list[tuple[Key, str]]:
        told: list[tuple[Key, str]] = []
        script = Script()
        script.listing.objects = {Kind.OAUTH_CLIENT: [client(ORDERS)]}

        def fail(key: Key) -> Outcome:
            script.answer = lambda again: Outcome()
            raise error

        script.answer = fail
        engine = Engine(script, SETTINGS, jitter=lambda low, high: 1.0, on_failure=lambda *why: told.append(why))
        await engine.start()
        await engine.settled()
        await engine.stop()
        return told

    assert run(main) == [(ORDERS, word)]


def test_a_registry_that_is_away_is_counted_although_the_pass_ends_well() -> None:
    async def main() -> list[str]:
        told: list[str] = []
        script = Script()
        script.listing.objects = {Kind.OAUTH_CLIENT: [client(ORDERS)]}
        script.answer = lambda key: Outcome(retry=True)
        engine = Engine(script, SETTINGS, jitter=lambda low, high: 1.0, on_failure=lambda key, why: told.append(why))
        await engine.start()
        await engine.settled()
        await engine.stop()
        return told

    assert run(main) == [Failure.REGISTRY_UNAVAILABLE]


def test_failures_are_shown_by_kind_and_reason() -> None:
    metrics = Metrics()
    metrics.failed(ORDERS, Failure.CONFLICT)

    assert shown(metrics, "holdfast_operator_pass_errors_total") == {("OAuthClient", "conflict"): 1.0}


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the operator's loggers say, as its process writes it."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("holdfast_operator")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield said
    logger.removeHandler(handler)
    logger.setLevel(level)


def read(said: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.getvalue().splitlines()]


async def test_a_line_tells_object_generation_and_decision_once_for_each_change(tmp_path: Path, lines: io.StringIO) -> None:
    async with house(tmp_path) as home:
        await home.write("orders.yaml", manifest(suspend=True))
        await home.settle()
        before = len(read(lines))
        await home.settle()
        about = [line for line in read(lines) if line.get("object") == "OAuthClient/shop/orders"]

        assert len(read(lines)) == before
        assert about[-1]["decision"] == "Ready=True Suspended"
        assert about[-1]["generation"] == (await _live(home))["metadata"]["generation"]
        assert {"time", "level", "logger", "message"} <= set(about[-1])


async def _live(home: House) -> Object:
    found = await home.cluster.get(Kind.OAUTH_CLIENT, "shop", "orders")
    assert found is not None
    return found


def test_a_message_with_line_breaks_and_an_error_is_one_line(lines: io.StringIO) -> None:
    log = logging.getLogger("holdfast_operator.test")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        log.exception("it says:\n%s", "\u2028{}")

    (line,) = read(lines)
    assert line["message"] == "it says:\n\u2028{}"
    assert line["level"] == "error"
    assert line["error"].endswith("ValueError: two\nlines")
    assert lines.getvalue().isascii()


def test_every_metric_of_the_operator_is_explained_to_who_watches_it() -> None:
    root = Path(__file__).parents[2]
    sources = [path.read_text() for path in (root / "operator" / "holdfast_operator").rglob("*.py")]
    pages = "".join(path.read_text() for path in (root / "docs").glob("*.md"))

    names = {name for text in sources for name in re.findall(r'"(holdfast_operator_\w+)"', text)}

    assert len(names) > 10
    assert {name for name in names if name not in pages} == set()
