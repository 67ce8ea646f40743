"""From a review to an answer: what always passes, what a refusal rests on, and what an update is refused for."""

import asyncio
from pathlib import Path

import pytest

from holdfast_operator.admission import review as reviewing
from holdfast_operator.admission.review import is_judged
from holdfast_operator.admission.wire import Answer, MalformedReview, read_review
from holdfast_operator.reconcile.ports import Kind, Object
from tests.operator.admission.reviewed import Injector, manifest, named_namespace, policy, review_of

SHORT = policy(tokens={"maxLifetime": "15m"})
TOO_LONG = manifest(tokens={"lifetime": "30m"})
SAID = "MTLSPolicy baseline: spec.tokens.lifetime: expected at most 900s, found 1800s"


@pytest.fixture
async def injector(tmp_path: Path) -> Injector:
    made = Injector(tmp_path)
    await made.store.list_all()
    return made


def with_metadata(obj: Object, **metadata: object) -> Object:
    return {**obj, "metadata": {**obj["metadata"], **metadata}}


# What is never in the way.


@pytest.mark.parametrize(
    "review",
    [
        review_of(TOO_LONG, old=TOO_LONG),
        review_of(with_metadata(TOO_LONG, finalizers=[]), old=with_metadata(TOO_LONG, finalizers=["holdfast.dev/registry"])),
        review_of(with_metadata(TOO_LONG, labels={"team": "a"}), old=TOO_LONG),
        review_of(TOO_LONG, old=manifest(), subResource="status"),
        review_of(with_metadata(TOO_LONG, deletionTimestamp="2026-01-01T00:00:00Z"), old=manifest()),
        review_of(None, old=TOO_LONG, operation="DELETE"),
        review_of({**TOO_LONG, "kind": "Deployment"}),
    ],
    ids=["nothing changed", "a finalizer goes", "a label", "its status", "on its way out", "deletion", "another kind"],
)
async def test_it_passes_whatever_its_spec_says(review: Object, injector: Injector) -> None:
    await injector.declare(SHORT)
    await injector.store.list_all()

    asked = read_review(review)

    assert not is_judged(asked)
    assert (await reviewing.answer(asked, injector.store)).answer == Answer()


async def test_a_spec_that_a_policy_refuses_does_not_pass(injector: Injector) -> None:
    await injector.declare(SHORT)
    await injector.store.list_all()

    verdict = await injector.asks(TOO_LONG)

    assert (verdict.answer.refusal, verdict.reasons) == (SAID, ("LifetimeTooLong",))


# What a refusal rests on is read again.


async def test_a_policy_that_is_gone_without_an_event_refuses_nobody(injector: Injector) -> None:
    await injector.declare(SHORT)
    await injector.store.list_all()
    await injector.withdraw(SHORT)

    assert (await injector.asks(TOO_LONG)).answer.refusal == ""


async def test_a_policy_that_came_without_an_event_and_allows_more_counts(injector: Injector) -> None:
    await injector.declare(policy("wide", grants={"allowedClientIds": ["fin.*"]}))

    assert (await injector.asks(manifest(clientId="fin.orders"))).answer.refusal == ""


async def test_a_holder_that_is_gone_without_an_event_holds_nothing(injector: Injector) -> None:
    held = manifest(clientId="shop.pay")
    await injector.declare(held)
    await injector.register(held)
    await injector.store.list_all()
    rival = manifest("second", clientId="shop.pay")
    assert "is held by OAuthClient shop/orders" in (await injector.asks(rival)).answer.refusal

    await injector.withdraw(held)

    assert (await injector.asks(rival)).answer == Answer()


async def test_labels_that_a_namespace_lost_without_an_event_select_it_no_more(injector: Injector) -> None:
    await injector.declare(
        named_namespace("shop", tier="gold"),
        policy(namespaceSelector={"matchLabels": {"tier": "gold"}}, tokens={"maxLifetime": "15m"}),
    )
    await injector.store.list_all()
    assert (await injector.asks(TOO_LONG)).answer.refusal == SAID

    await injector.declare(named_namespace("shop"))

    assert (await injector.asks(TOO_LONG)).answer.refusal == ""


async def test_the_labels_of_a_namespace_that_nobody_told_of_are_read(injector: Injector) -> None:
    await injector.declare(policy(namespaceSelector={"matchLabels": {"tier": "gold"}}, tokens={"maxLifetime": "15m"}))
    await injector.store.list_all()
    await injector.declare(named_namespace("new", tier="gold"))

    assert (await injector.asks(manifest(namespace="new", tokens={"lifetime": "30m"}))).answer.refusal == SAID


async def test_an_event_is_enough_for_what_it_shows(injector: Injector) -> None:
    await injector.declare(SHORT)
    for found in await injector.cluster.list(Kind.MTLS_POLICY):
        injector.store.observe(Kind.MTLS_POLICY, found)

    assert (await injector.asks(TOO_LONG)).answer.refusal == SAID


async def test_what_an_event_shows_while_a_listing_is_under_way_is_not_taken_back_by_it(injector: Injector) -> None:
    injector.line.hold(Kind.OAUTH_CLIENT)
    listing = asyncio.create_task(injector.store.list_all())
    await injector.line.asked.wait()

    injector.store.observe(Kind.OAUTH_CLIENT, manifest("new"))  # made after the listing that is still on its way
    injector.line.let_go()
    await listing

    (known,) = injector.store.claimants.keys()
    assert known.name == "new"


# While nobody can be asked.


async def test_what_cannot_be_confirmed_is_a_warning(injector: Injector) -> None:
    await injector.declare(SHORT)
    await injector.store.list_all()
    injector.line.cut = True

    found = (await injector.asks(TOO_LONG)).answer

    assert (found.refusal, found.warnings) == ("", (f"LifetimeTooLong: {SAID}",))


async def test_what_the_object_alone_shows_is_refused_all_the_same(injector: Injector) -> None:
    injector.line.cut = True

    found = (await injector.asks(manifest(authentication={"subject": {"ip": "300.1.1.1"}}))).answer

    assert "ip: expected one IPv4 or IPv6 address" in found.refusal


async def test_a_silent_api_server_does_not_make_the_answer_late(
    injector: Injector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviewing, "READ_LIMIT", 0.05)
    await injector.declare(SHORT)
    await injector.store.list_all()
    injector.line.hold()

    assert (await injector.asks(TOO_LONG)).answer.warnings == (f"LifetimeTooLong: {SAID}",)


PINNED = policy("pinned", certificates={"trustAnchors": [{"configMapKeyRef": {"namespace": "platform", "name": "roots"}}]})


async def test_the_config_map_of_a_policy_that_nobody_answers_for_does_not_make_the_answer_late(
    injector: Injector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviewing, "READ_LIMIT", 0.05)
    await injector.declare(PINNED)
    await injector.store.list_all()
    injector.line.hold(Kind.CONFIG_MAP)

    async with asyncio.timeout(5):
        found = (await injector.asks(manifest())).answer

    assert (found.refusal, [w.split(":")[0] for w in found.warnings]) == (
        "",
        ["ConfigMaps that policies name could not be read in time"],
    )


async def test_meanwhile_policies_count_as_they_did_before_and_refuse_nobody(
    injector: Injector, monkeypatch: pytest.MonkeyPatch
) -> None:
    await injector.declare(PINNED, SHORT)
    await injector.store.list_all()
    before = (await injector.asks(TOO_LONG)).answer
    monkeypatch.setattr(reviewing, "READ_LIMIT", 0.05)
    injector.clock.move(seconds=60)
    injector.line.hold(Kind.CONFIG_MAP)

    async with asyncio.timeout(5):
        found = (await injector.asks(TOO_LONG)).answer

    assert (before.refusal, found.refusal) == (SAID, "")
    assert {f"LifetimeTooLong: {SAID}", *before.warnings} <= set(found.warnings)


async def test_before_the_first_listing_it_says_so_and_refuses_nobody_for_others(tmp_path: Path) -> None:
    injector = Injector(tmp_path)
    injector.line.cut = True

    found = (await injector.asks(manifest(clientId="fin.orders"))).answer

    assert found.refusal == ""
    assert found.warnings[-1].startswith("the injector has not seen the cluster yet")


# An update is refused for what it brings.


async def test_a_client_that_a_policy_has_come_to_refuse_can_be_suspended(injector: Injector) -> None:
    await injector.declare(SHORT)
    await injector.store.list_all()

    suspended = {**TOO_LONG, "spec": {**TOO_LONG["spec"], "suspend": True}}
    found = (await injector.asks(suspended, old=TOO_LONG)).answer

    assert (found.refusal, found.warnings) == ("", (f"LifetimeTooLong: {SAID}",))


async def test_but_not_be_made_worse(injector: Injector) -> None:
    await injector.declare(SHORT)
    await injector.store.list_all()

    worse = {**TOO_LONG, "spec": {**TOO_LONG["spec"], "tokens": {"lifetime": "1h"}}}
    found = (await injector.asks(worse, old=TOO_LONG)).answer

    assert found.refusal == SAID.replace("1800", "3600")


# Policies and what they name.

ROOTS = policy(
    "pins",
    certificates={"trustAnchors": [{"configMapKeyRef": {"namespace": "platform", "name": "roots", "key": "ca.crt"}}]},
)


async def test_a_policy_without_its_configmap_is_refused_and_its_rehearsal_warned_of(injector: Injector) -> None:
    """The rehearsal of an apply that brings both sees only one of them."""
    real = (await injector.asks(ROOTS)).answer
    rehearsed = (await injector.asks(ROOTS, dryRun=True)).answer

    assert "ConfigMap platform/roots" in real.refusal
    assert rehearsed.refusal == ""
    assert rehearsed.warnings == (f"TrustAnchorNotFound: {real.refusal}",)


async def test_a_rehearsal_refuses_what_the_apply_would(injector: Injector) -> None:
    await injector.declare(SHORT)
    await injector.store.list_all()

    assert (await injector.asks(TOO_LONG, dryRun=True)).answer.refusal == SAID


async def test_a_policy_that_is_broken_can_be_changed_elsewhere(injector: Injector) -> None:
    changed = {**ROOTS, "spec": {**ROOTS["spec"], "tokens": {"maxLifetime": "5m"}}}

    found = (await injector.asks(changed, old=ROOTS)).answer

    assert found.refusal == ""
    assert found.warnings[0].startswith("TrustAnchorNotFound: ")


# Form.


def test_a_name_that_is_yet_to_be_made_is_none() -> None:
    obj = {**manifest(), "metadata": {"generateName": "orders-"}}

    asked = read_review(review_of(obj, namespace="shop", name=""))

    assert asked.obj is not None
    assert (asked.obj["metadata"]["namespace"], asked.obj["metadata"]["name"]) == ("shop", "")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([], "AdmissionReview: expected an object, found list"),
        ({"apiVersion": "admission.k8s.io/v1beta1"}, "apiVersion: expected admission.k8s.io/v1"),
        ({"apiVersion": "admission.k8s.io/v1"}, "request: expected an object, found NoneType"),
        (review_of(manifest(), uid=7), "request.uid: expected a text, found 7"),
        (review_of(manifest(), object="x"), "request.object: expected an object, found str"),
        (review_of(manifest(), oldObject={"spec": {}}), "request.oldObject.metadata: expected an object"),
    ],
    ids=["a list", "an old version", "no request", "no uid", "no object", "no metadata"],
)
def test_what_is_no_review_is_said_by_its_member(value: object, says: str) -> None:
    with pytest.raises(MalformedReview, match=says):
        read_review(value)
