"""Objects that another version of the definitions let in: each says so itself, and none is in anybody else's way.

The API server keeps what was stored when the schema was another; the folder of `holdfast dev` may hold anything.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_operator.admission.judge import judge_client
from holdfast_operator.admission.world import world_of
from holdfast_operator.converge.outcome import Outcome
from holdfast_operator.engine import engine as engine_module
from holdfast_operator.engine.engine import Engine, EngineSettings
from holdfast_operator.engine.index import Index
from holdfast_operator.engine.queue import Backoff
from holdfast_operator.reconcile.actions import DeleteClient, RemoveFinalizer
from holdfast_operator.reconcile.census import Census
from holdfast_operator.reconcile.observed import RegistrySeen
from holdfast_operator.reconcile.plan import plan
from holdfast_operator.reconcile.policies import in_force
from holdfast_operator.reconcile.ports import ClusterError, Key, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.core.x509.authority import NOW
from tests.operator.simulated import (
    condition_of,
    converge,
    message_of,
    mtls_policy,
    oauth_client,
    observed,
    registered_world,
    types_of,
    with_client,
)
from tests.operator.test_engine import Script, client, now
from tests.operator.virtual_time import run

OTHER_SCHEMAS: list[tuple[str, Any, str]] = [
    ("a newer method", {"authentication": {"method": "attest_jwt_client_auth"}}, "spec.authentication.method"),
    ("an older token format", {"tokens": {"format": "jwt"}}, "spec.tokens.format"),
    ("a newer grant", {"grantTypes": ["authorization_code"]}, "spec.grantTypes[0]"),
    ("a newer deletion policy", {"deletionPolicy": "Retain"}, "spec.deletionPolicy"),
    ("a list that was one text", {"scopes": "orders.read"}, "spec.scopes"),
    ("a text that was a number", {"tokens": {"lifetime": 300}}, "spec.tokens.lifetime"),
    ("an object that was a name", {"certificate": {"issuerRef": "workloads"}}, "spec.certificate.issuerRef"),
    ("a name that is an object", {"serviceAccountName": {"name": "orders"}}, "spec.serviceAccountName"),
    ("anchors by name", {"authentication": {"trustAnchors": ["partner-ca"]}}, "spec.authentication.trustAnchors[0]"),
    ("a spec that is a list", [], "spec"),
    ("no spec", None, "spec"),
]
each_schema = pytest.mark.parametrize(
    ("spec", "field"), [row[1:] for row in OTHER_SCHEMAS], ids=[r[0] for r in OTHER_SCHEMAS]
)


def unparsable(spec: Any, name: str = "orders") -> Object:
    """A client with that in its spec, beside what is good."""
    obj = oauth_client(metadata={"name": name})
    return {**obj, "spec": {**obj["spec"], **spec} if isinstance(spec, dict) else spec}


@each_schema
def test_an_object_of_another_schema_says_which_field_is_not_understood(spec: Any, field: str) -> None:
    status = converge(observed(unparsable(spec)))[0].client["status"]

    assert condition_of(status, "Accepted") == ("False", "InvalidSpec")
    assert condition_of(status, "Ready") == ("False", "InvalidSpec")
    assert field in message_of(status, "Accepted")
    assert "Stalled" in types_of(status)


@each_schema
def test_it_costs_one_pass_and_one_status(spec: Any, field: str) -> None:
    world, planned, done = converge(observed(unparsable(spec)))

    assert (planned.requeue_after, planned.retry, done) == (None, False, [])
    again = plan(world)
    assert (again.status, again.events, again.actions, again.requeue_after) == (None, (), (), None)


@each_schema
def test_a_client_that_was_registered_before_goes_on_and_can_be_deleted(spec: Any, field: str) -> None:
    world, _, done = converge(with_client(registered_world(), spec=unparsable(spec)["spec"]))
    assert isinstance(world.registry, RegistrySeen)
    assert (world.registry.stored is not None, done) == (True, [])

    deleted = with_client(world, metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    assert plan(deleted).actions == (DeleteClient("shop.orders", "uid-1"), RemoveFinalizer())


def test_a_field_that_only_a_newer_schema_knows_is_left_alone() -> None:
    """An older operator beside a newer definition: what it does not know it does not refuse."""
    status = converge(observed(unparsable({"quota": {"perMinute": 10}})))[0].client["status"]

    assert condition_of(status, "Accepted") == ("True", "Accepted")


def test_a_policy_of_another_schema_denies_whom_it_matches_and_says_why() -> None:
    newer = mtls_policy("newer", mode="Simulate", tokens={"maxLifetime": "1m"})
    found = in_force(newer)

    assert found.problem is not None
    assert (found.problem.reason, found.policy) == ("InvalidSpec", None)
    assert "mode" in found.problem.message
    status = converge(observed(policies=(newer,)))[0].client["status"]
    assert condition_of(status, "Accepted") == ("False", "PolicyNotAccepted")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "kind", "uri", "keys"]), inner, max_size=3)
    ),
    max_leaves=5,
)
FIELDS = ("authentication", "certificate", "tokens", "resourceServer", "resources", "scopes", "grantTypes", "suspend")


@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4) | JSON)
def test_whatever_was_stored_nothing_that_takes_it_in_ever_raises(stored: Any) -> None:
    obj = {**oauth_client(), "spec": stored}
    policy = {**mtls_policy("odd"), "spec": stored}

    plan(observed(obj))
    plan(observed(policies=(policy,)))
    Index("holdfast").observe(Kind.OAUTH_CLIENT, obj)
    Index("holdfast").observe(Kind.MTLS_POLICY, policy)
    Census(ReconcileSettings()).take(obj)
    in_force(policy)
    judge_client(obj, world_of([obj], ReconcileSettings(), NOW))


GOOD = [Key(Kind.OAUTH_CLIENT, "shop", f"good-{number}") for number in range(20)]
BROKEN = [Key(Kind.OAUTH_CLIENT, "shop", f"broken-{number}") for number in range(1000)]
Defect = Callable[[], Exception]
PASS = 0.01
"""Seconds that a pass of the script takes."""


def waited(broken: list[Key], defect: Defect | None) -> tuple[float, int]:
    """How long a change of a good client waits for its pass, at worst of twenty over ten minutes, and how many passes they
    had; while the broken ones fail with `defect`, or (None) are told what is wrong with them."""

    async def main() -> tuple[float, int]:
        script = Script()
        script.listing.objects = {Kind.OAUTH_CLIENT: [client(key) for key in (*broken, *GOOD)]}
        failing = frozenset(broken)

        def answer(key: Key) -> Outcome:
            if key in failing and defect is not None:
                raise defect()
            return Outcome()

        script.answer = answer
        engine = Engine(script, SETTINGS, jitter=lambda low, high: high)
        await engine.start()
        await asyncio.sleep(60)
        worst, before = 0.0, len(script.passes)
        for number, key in enumerate(GOOD, 1):
            engine.on_change(Kind.OAUTH_CLIENT, client(key, scopes=[f"s{number}"]))
            changed = now()
            await asyncio.sleep(30.05)  # now here, now there between two attempts of the others
            worst = max(worst, next(at for at, found in script.passes[before:] if found == key and at >= changed) - changed)
        await engine.stop()
        return worst, sum(key in GOOD for _, key in script.passes[before:])

    return run(main)


SETTINGS = EngineSettings(workers=4, resync=86400, backoff=Backoff(base=1, cap=30))


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A line with its traceback for each of some ten thousand failures tells nothing here."""
    caplog.set_level(logging.CRITICAL, logger=engine_module.__name__)


DEFECTS: dict[str, Defect | None] = {
    "told what is wrong": None,
    "failing in a way nobody foresaw": lambda: RuntimeError("no such member"),
    "refused by the API server": lambda: ClusterError("422: the status does not fit"),
}


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS)
def test_a_thousand_broken_objects_do_not_slow_the_good_ones(defect: Defect | None) -> None:
    alone, alone_passes = waited([], None)
    among, among_passes = waited(BROKEN, defect)

    assert among_passes == alone_passes == len(GOOD)
    assert among <= alone + PASS


def test_an_object_that_fails_for_ever_is_tried_ever_more_rarely() -> None:
    async def main() -> int:
        script = Script()
        script.listing.objects = {Kind.OAUTH_CLIENT: [client(key) for key in BROKEN]}

        def answer(key: Key) -> Outcome:
            raise RuntimeError("nobody foresaw that")

        script.answer = answer
        engine = Engine(script, SETTINGS, jitter=lambda low, high: high)
        await engine.start()
        await asyncio.sleep(600)
        await engine.stop()
        return len(script.passes)

    tries = run(main) / len(BROKEN)

    assert 20 <= tries <= 26  # six while the pauses grow, then two a minute
