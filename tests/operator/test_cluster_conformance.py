"""What a reconcile relies on holds in both places where objects live: a folder, and a real API server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast_operator.reconcile.actions import FINALIZER
from holdfast_operator.reconcile.ports import Cluster, Conflict, Kind, Object, Rejected
from tests.operator.cluster_backends import FolderPlace, Place, plane_place


@pytest.fixture(params=["folder", pytest.param("api-server", marks=pytest.mark.controlplane)])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "folder":
        yield FolderPlace(tmp_path)
        return
    plane, namespace = request.getfixturevalue("plane"), request.getfixturevalue("namespace")
    async with plane_place(plane, namespace) as found:
        yield found


def client(place: Place, name: str = "orders", **spec: object) -> Object:
    return {
        "apiVersion": "holdfast.dev/v1alpha1",
        "kind": "OAuthClient",
        "metadata": {"namespace": place.namespace, "name": name, "labels": {"tier": name}},
        "spec": {"certificate": {"issuerRef": {"name": "workloads"}}, **spec},
    }


def certificate(place: Place, **spec: object) -> Object:
    wanted = {
        "secretName": "orders-mtls",
        "issuerRef": {"name": "workloads", "kind": "ClusterIssuer", "group": "cert-manager.io"},
        "uris": [f"spiffe://cluster.local/ns/{place.namespace}/sa/orders"],
        "duration": "24h",
        "renewBefore": "8h",
        **spec,
    }
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"namespace": place.namespace, "name": "orders", "labels": {"holdfast.dev/client": "orders"}},
        "spec": wanted,
    }


def status_of(place: Place, **status: object) -> Object:
    return {
        "apiVersion": "holdfast.dev/v1alpha1",
        "kind": "OAuthClient",
        "metadata": {"namespace": place.namespace, "name": "orders"},
        "status": status,
    }


async def existing(place: Place, name: str = "orders") -> Object:
    found = await place.cluster.get(Kind.OAUTH_CLIENT, place.namespace, name)
    assert found is not None
    return found


async def declared(place: Place) -> tuple[Cluster, Object]:
    await place.declare(client(place))
    return place.cluster, await existing(place)


async def test_what_is_not_there_is_none(place: Place) -> None:
    await place.declare(client(place))

    assert await place.cluster.get(Kind.OAUTH_CLIENT, place.namespace, "nobody") is None
    assert await place.cluster.get(Kind.MTLS_POLICY, "", "nobody") is None
    assert await place.cluster.list(Kind.CERTIFICATE, place.namespace) == []


async def test_an_object_is_read_with_defaults_uid_generation_and_version(place: Place) -> None:
    _, found = await declared(place)

    assert (found["kind"], found["apiVersion"]) == ("OAuthClient", "holdfast.dev/v1alpha1")
    assert found["spec"]["certificate"]["issuerRef"]["kind"] == "ClusterIssuer"
    assert found["metadata"]["generation"] == 1
    assert found["metadata"]["uid"]
    assert found["metadata"]["resourceVersion"]


async def test_a_listing_is_of_a_namespace_and_of_labels(place: Place) -> None:
    await place.declare(client(place))
    await place.declare(client(place, "second"))
    cluster = place.cluster

    here = await cluster.list(Kind.OAUTH_CLIENT, place.namespace)
    labelled = await cluster.list(Kind.OAUTH_CLIENT, place.namespace, {"tier": "second"})
    everywhere = await cluster.list(Kind.OAUTH_CLIENT)

    assert sorted(o["metadata"]["name"] for o in here) == ["orders", "second"]
    assert [o["metadata"]["name"] for o in labelled] == ["second"]
    assert {o["metadata"]["uid"] for o in here} <= {o["metadata"]["uid"] for o in everywhere}
    assert {(o["kind"], o["apiVersion"]) for o in here} == {("OAuthClient", "holdfast.dev/v1alpha1")}


async def test_namespaces_can_be_read(place: Place) -> None:
    await place.declare(client(place))

    found = await place.cluster.get(Kind.NAMESPACE, "", place.namespace)

    assert found is not None
    assert place.namespace in [n["metadata"]["name"] for n in await place.cluster.list(Kind.NAMESPACE)]


async def test_an_edit_raises_the_generation(place: Place) -> None:
    await declared(place)

    await place.declare(client(place, scopes=["more"]))

    assert (await existing(place))["metadata"]["generation"] == 2


async def test_an_intent_is_created_then_left_alone_then_changed(place: Place) -> None:
    await place.declare(client(place))
    cluster = place.cluster

    made = await cluster.apply(Kind.CERTIFICATE, certificate(place))
    changed = await cluster.apply(Kind.CERTIFICATE, certificate(place, duration="48h"))

    assert made["metadata"]["uid"] == changed["metadata"]["uid"]
    assert (made["metadata"]["generation"], changed["metadata"]["generation"]) == (1, 2)
    assert changed["spec"]["duration"] == "48h"


async def test_what_an_intent_no_longer_names_is_taken_away(place: Place) -> None:
    await place.declare(client(place))
    await place.cluster.apply(Kind.CERTIFICATE, certificate(place, dnsNames=["orders.test"]))

    changed = await place.cluster.apply(Kind.CERTIFICATE, certificate(place))

    assert "dnsNames" not in changed["spec"]


async def test_a_status_is_replaced_whole_and_changes_no_generation(place: Place) -> None:
    cluster, _ = await declared(place)

    await cluster.apply_status(Kind.OAUTH_CLIENT, status_of(place, clientId="shop.orders", observedGeneration=1))
    written = await cluster.apply_status(Kind.OAUTH_CLIENT, status_of(place, observedGeneration=1))

    assert written["status"] == {"observedGeneration": 1}
    assert written["metadata"]["generation"] == 1
    assert (await existing(place))["status"] == {"observedGeneration": 1}


async def test_the_same_status_again_changes_no_version(place: Place) -> None:
    cluster, _ = await declared(place)
    first = await cluster.apply_status(Kind.OAUTH_CLIENT, status_of(place, observedGeneration=1))

    again = await cluster.apply_status(Kind.OAUTH_CLIENT, status_of(place, observedGeneration=1))

    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_a_status_against_the_schema_is_rejected(place: Place) -> None:
    cluster, _ = await declared(place)

    with pytest.raises(Rejected):
        await cluster.apply_status(Kind.OAUTH_CLIENT, status_of(place, observedGeneration="one"))


async def test_the_status_of_an_object_that_is_gone_is_a_conflict(place: Place) -> None:
    with pytest.raises(Conflict):
        await place.cluster.apply_status(Kind.OAUTH_CLIENT, status_of(place, observedGeneration=1))


async def test_finalizers_are_set_on_the_object_as_it_was_read(place: Place) -> None:
    cluster, found = await declared(place)

    held = await cluster.set_finalizers(Kind.OAUTH_CLIENT, found, [FINALIZER])

    assert held is not None
    assert held["metadata"]["finalizers"] == [FINALIZER]
    assert held["metadata"]["generation"] == 1
    with pytest.raises(Conflict):
        await cluster.set_finalizers(Kind.OAUTH_CLIENT, found, [])


async def test_a_held_object_stays_until_its_finalizer_goes(place: Place) -> None:
    cluster, found = await declared(place)
    await cluster.set_finalizers(Kind.OAUTH_CLIENT, found, [FINALIZER])

    await place.withdraw(client(place))
    held = await existing(place)
    assert held["metadata"]["deletionTimestamp"]

    assert await cluster.set_finalizers(Kind.OAUTH_CLIENT, held, []) is None
    assert await cluster.get(Kind.OAUTH_CLIENT, place.namespace, "orders") is None


async def test_the_finalizers_of_what_is_gone_are_nothing(place: Place) -> None:
    cluster, found = await declared(place)
    await place.withdraw(client(place))

    assert await cluster.set_finalizers(Kind.OAUTH_CLIENT, found, []) is None


async def test_a_deletion_is_of_one_very_object(place: Place) -> None:
    await place.declare(client(place))
    cluster = place.cluster
    made = await cluster.apply(Kind.CERTIFICATE, certificate(place))

    await cluster.delete(Kind.CERTIFICATE, place.namespace, "orders", "another-uid")
    assert await cluster.get(Kind.CERTIFICATE, place.namespace, "orders") is not None

    await cluster.delete(Kind.CERTIFICATE, place.namespace, "orders", made["metadata"]["uid"])
    assert await cluster.get(Kind.CERTIFICATE, place.namespace, "orders") is None
    await cluster.delete(Kind.CERTIFICATE, place.namespace, "orders", made["metadata"]["uid"])


async def test_telling_of_an_event_never_fails(place: Place) -> None:
    cluster, found = await declared(place)

    await cluster.record_event(Kind.OAUTH_CLIENT, found, warning=True, reason="IssuerNotFound", message="x" * 5000)
    gone = {**found, "metadata": {**found["metadata"], "namespace": "no-such-namespace"}}
    await cluster.record_event(Kind.OAUTH_CLIENT, gone, warning=False, reason="Ready", message="")
