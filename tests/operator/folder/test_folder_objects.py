"""The object store behaves as an API server does, for all that a reconcile can see."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from holdfast_operator.adapters.folder.merge import merge
from holdfast_operator.adapters.folder.objects import ObjectStore
from holdfast_operator.reconcile.ports import ClusterError, Conflict, Key, Kind, Object, Rejected

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = Key(Kind.OAUTH_CLIENT, "shop", "orders")


def new_store(folder: Path) -> ObjectStore:
    return ObjectStore(folder, lambda: NOW)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    store = new_store(tmp_path)
    store.declare(
        Key(Kind.NAMESPACE, "", "shop"), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}, None
    )
    return store


def client(**spec: Any) -> Object:
    meta = {"name": "orders", "namespace": "shop"}
    return {"apiVersion": "holdfast.dev/v1alpha1", "kind": "OAuthClient", "metadata": meta, "spec": spec}


def certificate(**members: Any) -> Object:
    meta = {"name": "orders", "namespace": "shop", **members.pop("metadata", {})}
    return {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": meta, **members}


def live(store: ObjectStore, key: Key = KEY) -> Object:
    found = store.get(key)
    assert found is not None
    return found


def test_a_changed_spec_makes_a_new_generation_and_a_status_does_not(store: ObjectStore) -> None:
    store.declare(KEY, client(a=1), "f.yaml")
    store.declare(KEY, client(a=2), "f.yaml")
    store.apply_status(Kind.OAUTH_CLIENT, {**client(), "status": {"x": 1}})

    assert live(store)["metadata"]["generation"] == 2
    assert live(store)["status"] == {"x": 1}


def test_the_same_again_writes_nothing(store: ObjectStore) -> None:
    store.declare(KEY, client(a=1), "f.yaml")
    seen: list[Kind] = []
    store.subscribe(lambda kind, _, __: seen.append(kind))
    before = live(store)

    store.declare(KEY, client(a=1), "moved.yaml")

    assert live(store) == before
    assert not seen
    assert store.origins()[KEY] == "moved.yaml"


def test_a_declaration_keeps_status_and_finalizers(store: ObjectStore) -> None:
    store.declare(KEY, client(a=1), "f.yaml")
    store.set_finalizers(Kind.OAUTH_CLIENT, live(store), ["holdfast.dev/registration"])
    store.apply_status(Kind.OAUTH_CLIENT, {**client(), "status": {"x": 1}})

    store.declare(KEY, client(a=2), "f.yaml")

    assert live(store)["metadata"]["finalizers"] == ["holdfast.dev/registration"]
    assert live(store)["status"] == {"x": 1}


def test_a_finalizer_holds_a_deleted_object_until_it_is_taken_off(store: ObjectStore) -> None:
    store.declare(KEY, client(), "f.yaml")
    store.set_finalizers(Kind.OAUTH_CLIENT, live(store), ["x"])
    store.delete(KEY)
    assert live(store)["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:00Z"

    assert store.set_finalizers(Kind.OAUTH_CLIENT, live(store), []) is None
    assert store.get(KEY) is None


def test_what_only_a_deleted_object_owned_goes_with_it(store: ObjectStore) -> None:
    store.declare(KEY, client(), "f.yaml")
    reference = {"uid": live(store)["metadata"]["uid"], "kind": "OAuthClient", "name": "orders"}
    store.apply(Kind.CERTIFICATE, certificate(metadata={"ownerReferences": [reference]}))

    store.delete(KEY)

    assert store.list(Kind.CERTIFICATE) == []


def test_an_apply_takes_back_what_it_set_before_and_leaves_the_rest(store: ObjectStore) -> None:
    store.apply(Kind.CERTIFICATE, certificate(spec={"a": 1, "b": {"c": 1}}))
    store.apply_status(Kind.CERTIFICATE, certificate(status={"revision": 1}))

    applied = store.apply(Kind.CERTIFICATE, certificate(spec={"a": 2}))

    assert applied["spec"] == {"a": 2}
    assert applied["status"] == {"revision": 1}
    assert applied["metadata"]["generation"] == 2


def test_a_write_to_another_uid_or_version_is_a_conflict(store: ObjectStore) -> None:
    store.declare(KEY, client(a=1), "f.yaml")
    read = live(store)
    store.declare(KEY, client(a=2), "f.yaml")

    with pytest.raises(Conflict, match="resourceVersion"):
        store.set_finalizers(Kind.OAUTH_CLIENT, read, ["x"])
    with pytest.raises(Conflict, match="uid"):
        store.apply_status(Kind.OAUTH_CLIENT, {"metadata": {**client()["metadata"], "uid": "other"}, "status": {}})


def test_the_status_of_an_object_that_is_gone_is_a_conflict(store: ObjectStore) -> None:
    with pytest.raises(Conflict, match="found none"):
        store.apply_status(Kind.OAUTH_CLIENT, {**client(), "status": {}})


def test_an_apply_into_a_namespace_that_does_not_exist_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="namespace 'shop' does not exist"):
        new_store(tmp_path).apply(Kind.CERTIFICATE, certificate(spec={}))


def test_a_second_store_on_the_same_folder_goes_on_where_the_first_ended(store: ObjectStore, tmp_path: Path) -> None:
    store.declare(KEY, client(a=1), "f.yaml")
    store.apply(Kind.CERTIFICATE, certificate(spec={"a": 1, "b": 1}))

    second = new_store(tmp_path)

    assert second.get(KEY) == store.get(KEY)
    assert second.origins() == {KEY: "f.yaml"}
    assert second.apply(Kind.CERTIFICATE, certificate(spec={"a": 1}))["spec"] == {"a": 1}
    newest = max(int(live(second, k)["metadata"]["resourceVersion"]) for k in (KEY, Key(Kind.CERTIFICATE, "shop", "orders")))
    assert newest > int(live(store)["metadata"]["resourceVersion"])


def test_a_damaged_object_file_is_named(store: ObjectStore, tmp_path: Path) -> None:
    [path] = (tmp_path / "namespaces").glob("*.json")
    path.write_text("{")

    with pytest.raises(ClusterError, match=str(path)):
        new_store(tmp_path)


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (
            lambda text: text.replace('"kind": "OAuthClient"', '"kind": "MTLSPolicy"'),
            "expected a holdfast.dev/v1alpha1 O",
        ),
        (lambda text: text.replace('"spec": {}', '"spec": 5'), "spec: expected an object"),
        (lambda text: text.replace('"spec": {}', f'"spec": {{"a": {DEEP}}}'), "nested too deeply"),
        (lambda text: text.replace('"spec": {}', '"status": 5'), "status: expected an object"),
        (lambda text: text.replace('"spec": {}', '"status": {"conditions": [5]}'), "conditions: expected an object"),
        (lambda text: text.replace('"namespace"', '"nmspace"'), "namespace: expected a string"),
        (lambda text: text.replace('"uid"', '"did"'), "uid: expected a string"),
        (lambda text: text.replace('"uid": "', '"uid": "../'), "uid: expected "),
        (lambda text: text.replace('"resourceVersion": "', '"resourceVersion": "x'), "resourceVersion: expected a number"),
        (lambda text: "[]", "expected an object"),
        (lambda text: "{}", "object: expected an object"),
    ],
)
def test_an_object_file_that_is_not_as_written_is_named(
    store: ObjectStore, tmp_path: Path, harm: Callable[[str], str], said: str
) -> None:
    store.declare(KEY, client(), "a.yaml")
    [path] = (tmp_path / "oauthclients").glob("*.json")
    path.write_text(harm(path.read_text()))

    with pytest.raises(ClusterError, match=str(path)) as refused:
        new_store(tmp_path)

    assert said in str(refused.value)
    assert len(str(refused.value)) < 1000


def test_an_object_with_the_longest_name_is_kept(store: ObjectStore, tmp_path: Path) -> None:
    key = Key(Kind.CONFIG_MAP, "shop", "a" * 253)
    store.declare(key, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": key.name, "namespace": "shop"}}, "f")

    assert new_store(tmp_path).get(key) is not None


def test_labels_select_with_all_of_them(store: ObjectStore) -> None:
    store.apply(Kind.CERTIFICATE, certificate(metadata={"labels": {"a": "1", "b": "2"}}, spec={}))

    assert len(store.list(Kind.CERTIFICATE, "shop", {"a": "1"})) == 1
    assert store.list(Kind.CERTIFICATE, "shop", {"a": "1", "b": "3"}) == []
    assert store.list(Kind.CERTIFICATE, "other") == []


@pytest.mark.parametrize(
    ("live_obj", "before", "intent", "expected"),
    [
        ({"a": 1}, {}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1, "b": 2}, {"b": 2}, {}, {"a": 1}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 1}}, {}, {"a": {"y": 2}}),
        ({"a": {"x": 1}}, {"a": {"x": 1}}, {}, {}),
        ({"a": [1, 2]}, {"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": 1}, {"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, {"a": {"d": 3}}, {"a": {"c": 2, "d": 3}}),
    ],
)
def test_merge(live_obj: Object, before: Object, intent: Object, expected: Object) -> None:
    assert merge(live_obj, before, intent) == expected
