"""A world of values for `plan`: builders of what can be observed, and what each action makes of it.

`carry_out` is to the plan what the ports are to the executor; `converge` plans and carries out until nothing is left.
"""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.registry.records import Endpoints, StoredClient
from holdfast_operator.reconcile.actions import (
    FINALIZER,
    Action,
    AddFinalizer,
    ApplyCertificate,
    DeleteCertificate,
    DeleteClient,
    Plan,
    PutClient,
    ReleaseClient,
    RemoveFinalizer,
    RenewCertificate,
)
from holdfast_operator.reconcile.observed import Observed, RegistrySeen
from holdfast_operator.reconcile.plan import plan
from holdfast_operator.reconcile.ports import Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.core.x509.authority import NOW, Authority

ROOT = Authority.root("CN=workloads")
FOREIGN = Authority.root("CN=foreign")
SPIFFE = "spiffe://cluster.local/ns/shop/sa/orders"
ENDPOINTS = Endpoints(
    issuer="https://as.test", token_endpoint="https://m.as.test/t", introspection_endpoint="https://m.as.test/i"
)
ISSUER: Object = {"metadata": {"name": "workloads"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}


def oauth_client(*, metadata: Object | None = None, status: Object | None = None, **spec: Any) -> Object:
    """`orders` of `shop`, with a certificate of the ClusterIssuer `workloads` unless the spec says otherwise."""
    wanted = {"certificate": {"issuerRef": {"name": "workloads"}}, **spec}
    return {
        "apiVersion": "holdfast.dev/v1alpha1",
        "kind": "OAuthClient",
        "metadata": {
            "namespace": "shop",
            "name": "orders",
            "uid": "uid-1",
            "generation": 1,
            "resourceVersion": "1",
            **(metadata or {}),
        },
        "spec": {k: v for k, v in wanted.items() if v is not None},
        **({"status": status} if status else {}),
    }


def mtls_policy(name: str, *, status: Object | None = None, **spec: Any) -> Object:
    return {"metadata": {"name": name, "generation": 1}, "spec": spec, **({"status": status} if status else {})}


def issued_certificate(obj: Object, revision: int = 1) -> Object:
    """The Certificate as cert-manager leaves it once it has issued."""
    generation = 1
    ready = {"type": "Ready", "status": "True", "observedGeneration": generation, "message": "up to date"}
    return {
        **obj,
        "metadata": {**obj["metadata"], "generation": generation, "uid": "certificate-1"},
        "status": {
            "conditions": [ready],
            "revision": revision,
            "renewalTime": (NOW + timedelta(days=20)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    }


def certificate_request(
    authority: Authority = ROOT, *, revision: int = 1, ca: bytes | None = None, pem: bytes | None = None, **names: Any
) -> Object:
    """The request that `issued_certificate` came from; `names` as for `Authority.issue`."""
    leaf = authority.issue(**(names or {"uris": [SPIFFE]}))
    return {
        "metadata": {
            "name": f"orders-{revision}",
            "annotations": {
                "cert-manager.io/certificate-name": "orders",
                "cert-manager.io/certificate-revision": str(revision),
            },
        },
        "spec": {"issuerRef": {"name": "workloads", "kind": "ClusterIssuer"}},
        "status": {
            "certificate": base64.b64encode(leaf.chain_pem if pem is None else pem).decode(),
            "ca": base64.b64encode(authority.pem if ca is None else ca).decode(),
        },
    }


def config_map(name: str = "partner-ca", **data: str) -> Object:
    return {"metadata": {"name": name}, "data": data}


def observed(client: Object | None = None, **changes: Any) -> Observed:
    """A world with the issuer and an empty registry."""
    values: dict[str, Any] = {
        "client": client or oauth_client(),
        "now": NOW,
        "settings": ReconcileSettings(),
        "registry": RegistrySeen(endpoints=ENDPOINTS, stored=None),
        "issuer": ISSUER,
    }
    return Observed(**(values | changes))


def stored_client(metadata: ClientMetadata, *, revision: int = 1, last_token_at: datetime | None = None) -> StoredClient:
    return StoredClient(
        metadata=metadata,
        digest=metadata.digest,
        revision=revision,
        updated_at=NOW.replace(tzinfo=UTC),
        last_token_at=last_token_at,
    )


def carry_out(world: Observed, action: Action) -> Observed:
    """What the world looks like after an action that succeeded."""
    match action:
        case AddFinalizer():
            return with_client(world, metadata={"finalizers": [FINALIZER]})
        case RemoveFinalizer():
            return with_client(world, metadata={"finalizers": []})
        case ApplyCertificate(certificate):
            return replace(world, certificates=(certificate,))
        case RenewCertificate(renewed):
            live = next(c for c in world.certificates if c["metadata"]["name"] == renewed["metadata"]["name"])
            others = [c for c in live.get("status", {}).get("conditions", []) if c["type"] != "Issuing"]
            status = {**live.get("status", {}), "conditions": [*others, *renewed["status"]["conditions"]]}
            return replace(world, certificates=({**live, "status": status},))
        case DeleteCertificate(name, _):
            return replace(world, certificates=tuple(c for c in world.certificates if c["metadata"]["name"] != name))
        case PutClient(metadata, _, _):
            return with_stored(world, stored_client(metadata))
        case DeleteClient():
            return with_stored(world, None)
        case ReleaseClient():
            return with_stored(world, orphaned(world))


def orphaned(world: Observed) -> StoredClient:
    """What the registry has once its object is gone."""
    assert isinstance(world.registry, RegistrySeen)
    assert world.registry.stored is not None
    metadata = world.registry.stored.metadata
    return stored_client(replace(metadata, owner=replace(metadata.owner, uid="")))


def with_client(world: Observed, *, metadata: Object | None = None, **members: Any) -> Observed:
    client = {**world.client, **members}
    return replace(world, client={**client, "metadata": {**client["metadata"], **(metadata or {})}})


def with_stored(world: Observed, stored: StoredClient | None) -> Observed:
    assert isinstance(world.registry, RegistrySeen)
    return replace(world, registry=replace(world.registry, stored=stored))


def issue(world: Observed, **names: Any) -> Observed:
    """cert-manager issues what was applied."""
    (certificate,) = world.certificates
    return replace(world, certificates=(issued_certificate(certificate),), requests=(certificate_request(**names),))


def converge(world: Observed) -> tuple[Observed, Plan, list[Action]]:
    """Plan and carry out until no action is left; the status is written as the last plan says."""
    done: list[Action] = []
    for _ in range(8):
        planned = plan(world)
        if not planned.actions:
            status = planned.status
            return (world if status is None else with_client(world, status=status)), planned, done
        done.append(planned.actions[0])
        world = carry_out(world, planned.actions[0])
    raise AssertionError(f"eight actions and still not done: {done}")


def registered_world(client: Object | None = None, **changes: Any) -> Observed:
    """A client all the way: certificate issued, registered, status written."""
    world, _, _ = converge(observed(client, **changes))
    if world.client["spec"].get("certificate"):
        world, _, _ = converge(issue(world))
    return world


def condition_of(status: Object | None, kind: str) -> tuple[str, str]:
    """Status and reason."""
    assert status is not None, "nothing was written"
    found = {c["type"]: c for c in status["conditions"]}
    return found[kind]["status"], found[kind]["reason"]


def message_of(status: Object | None, kind: str) -> str:
    assert status is not None, "nothing was written"
    return str({c["type"]: c for c in status["conditions"]}[kind]["message"])


def types_of(status: Object | None) -> set[str]:
    assert status is not None, "nothing was written"
    return {str(c["type"]) for c in status["conditions"]}
