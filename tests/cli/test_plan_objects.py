"""What a plan makes of single objects: the one that is there with a declared content, and an action in words."""

import pytest

from holdfast_cli.planning.effects import effects
from holdfast_cli.planning.scene import Standing
from holdfast_cli.rehearsal.world import as_stored
from holdfast_operator.reconcile.actions import Action, AddFinalizer, DeleteClient, ReleaseClient, RemoveFinalizer
from holdfast_operator.reconcile.ports import Key, Kind, Object
from tests.operator.simulated import config_map, mtls_policy, observed

_VERSION = {"uid": "uid-1", "resourceVersion": "7", "generation": 3}


def stored(obj: Object) -> Object:
    return {**obj, "metadata": {**obj["metadata"], **_VERSION}}


def written(obj: Object) -> Object:
    """As it stands in a file."""
    return {**obj, "metadata": {m: v for m, v in obj["metadata"].items() if m in ("name", "namespace")}}


@pytest.mark.parametrize(
    ("kind", "live", "declared"),
    [
        (Kind.MTLS_POLICY, mtls_policy("p", tokens={"maxLifetime": "15m"}), mtls_policy("p", tokens={"maxLifetime": "5m"})),
        (Kind.CONFIG_MAP, config_map(**{"ca.crt": "one"}), config_map(**{"ca.crt": "another"})),
    ],
    ids=["a policy", "a ConfigMap"],
)
def test_only_what_stays_as_it_is_keeps_the_version_that_judgements_are_remembered_by(
    kind: Kind, live: Object, declared: Object
) -> None:
    key = Key(kind, live["metadata"].get("namespace", ""), live["metadata"]["name"])

    kept, edited = (as_stored(key, written(obj), stored(live))["metadata"] for obj in (live, declared))

    assert (kept["resourceVersion"], kept["generation"]) == ("7", 3)
    assert ("resourceVersion" in edited, edited["generation"], edited["uid"]) == (False, 4, "uid-1")


@pytest.mark.parametrize(
    ("action", "told"),
    [
        (DeleteClient("shop.orders", "uid-1"), ("registration shop.orders: remove, so that it gets no tokens",)),
        (ReleaseClient("shop.orders", "uid-1"), ("registration shop.orders: let go on as nobody's",)),
        (AddFinalizer(), ()),
        (RemoveFinalizer(), ()),
    ],
    ids=["removed", "released", "held", "let go"],
)
def test_what_becomes_of_a_registration_is_told_and_what_keeps_books_is_not(action: Action, told: tuple[str, ...]) -> None:
    standing = Standing(observed=observed(), actions=(action,), accepted={}, certificate={})

    assert effects(standing) == told
