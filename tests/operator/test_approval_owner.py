"""From a CertificateRequest to the client behind it: by uid at every step, in a folder and at a real API server."""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from holdfast_operator.approval.claim import NoClaim
from holdfast_operator.approval.holders import Holders
from holdfast_operator.approval.judge import Claim
from holdfast_operator.approval.owner import Owners
from holdfast_operator.converge.policy_config_maps import PolicyConfigMaps
from holdfast_operator.reconcile.ports import Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.operator.certificate_requests import certificate_request
from tests.operator.cluster_backends import FolderPlace, Place, plane_place
from tests.operator.small_house import MovedClock


@pytest.fixture(params=["folder", pytest.param("api-server", marks=pytest.mark.controlplane)])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "folder":
        yield FolderPlace(tmp_path)
        return
    plane, namespace = request.getfixturevalue("plane"), request.getfixturevalue("namespace")
    async with plane_place(plane, namespace) as found:
        yield found


async def made(place: Place) -> tuple[Object, Object]:
    """A client, and the Certificate that it controls."""
    metadata = {"namespace": place.namespace, "name": "orders"}
    spec = {"certificate": {"issuerRef": {"name": "guarded"}}}
    await place.declare({"apiVersion": "holdfast.dev/v1alpha1", "kind": "OAuthClient", "metadata": metadata, "spec": spec})
    client = await place.cluster.get(Kind.OAUTH_CLIENT, place.namespace, "orders")
    assert client is not None
    certificate = await place.cluster.apply(
        Kind.CERTIFICATE,
        {
            "apiVersion": "cert-manager.io/v1",
            "kind": "Certificate",
            "metadata": {**metadata, "ownerReferences": [reference(client)]},
            "spec": {
                "secretName": "orders-mtls",
                "issuerRef": {"name": "guarded", "kind": "ClusterIssuer", "group": "cert-manager.io"},
                "uris": [f"spiffe://cluster.local/ns/{place.namespace}/sa/orders"],
            },
        },
    )
    return client, certificate


def reference(owner: Object, **changes: object) -> Object:
    named = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"]}
    return {**named, "uid": owner["metadata"]["uid"], "controller": True, **changes}


async def behind(
    place: Place, *owners: Object, issuer: str = "guarded", rivals: Iterable[Object] = ()
) -> Claim | NoClaim | None:
    config_maps = PolicyConfigMaps(place.cluster, MovedClock(), 60)
    holders = Holders({issuer})
    for rival in rivals:
        holders.observe(rival)
    found = Owners(place.cluster, config_maps, holders, ReconcileSettings())
    return await found.claim_behind(certificate_request(namespace=place.namespace, owners=owners), issuer)


async def test_finds_the_client_whose_certificate_asked(place: Place) -> None:
    _, certificate = await made(place)
    found = await behind(place, reference(certificate))

    assert isinstance(found, Claim)
    assert found.spiffe_id == f"spiffe://cluster.local/ns/{place.namespace}/sa/orders"


async def test_a_client_that_asks_another_issuer_claims_nothing_of_this_one(place: Place) -> None:
    _, certificate = await made(place)

    assert isinstance(await behind(place, reference(certificate), issuer="workloads"), NoClaim)


async def test_an_owner_that_is_not_what_it_was_is_none(place: Place) -> None:
    client, certificate = await made(place)
    wrong = [
        reference(certificate, uid="of-an-earlier-one"),
        reference(certificate, name="another"),
        reference(certificate, controller=False),
        reference(certificate, apiVersion="example.com/v1"),
        reference(client),
    ]

    assert [await behind(place, owner) for owner in wrong] == [None] * len(wrong)
    assert await behind(place) is None


async def test_a_certificate_that_names_a_deleted_client_as_its_owner_claims_nothing(place: Place) -> None:
    client, certificate = await made(place)
    await place.cluster.apply(
        Kind.CERTIFICATE,
        {
            **{k: certificate[k] for k in ("apiVersion", "kind", "spec")},
            "metadata": {
                "namespace": place.namespace,
                "name": "orders",
                "ownerReferences": [reference(client, uid="of-the-deleted-one")],
            },
        },
    )

    assert await behind(place, reference(certificate)) is None


async def test_a_rival_that_is_gone_holds_nothing_though_nobody_said_so(place: Place) -> None:
    ghost = {
        "metadata": {"namespace": "another", "name": "ghost", "creationTimestamp": "2020-01-01T00:00:00Z"},
        "spec": {
            "certificate": {"issuerRef": {"name": "guarded"}},
            "authentication": {"subject": {"uri": f"spiffe://cluster.local/ns/{place.namespace}/sa/orders"}},
        },
    }
    _, certificate = await made(place)

    assert isinstance(await behind(place, reference(certificate), rivals=[ghost]), Claim)
