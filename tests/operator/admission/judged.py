"""A cluster of values for the admission's judge: who is registered, which policies there are, and what is asked of it."""

from typing import Any

from holdfast_operator.admission.claimants import Claimants, claimant_of
from holdfast_operator.admission.world import NAME_LABEL, World
from holdfast_operator.reconcile.policies import in_force, pinned_keys
from holdfast_operator.reconcile.ports import Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.core.x509.authority import NOW, Authority
from tests.operator.simulated import config_map, oauth_client

PARTNER = Authority.root("CN=partner")
OTHER = Authority.root("CN=other partner")
REGISTERED: Object = {
    "observedGeneration": 1,
    "registration": {"revision": 4},
    "conditions": [{"type": "Registered", "status": "True"}],
}


def client(name: str = "orders", namespace: str = "shop", *, status: Object | None = None, **spec: Any) -> Object:
    """By the ClusterIssuer `workloads`, unless the spec says otherwise."""
    return oauth_client(metadata={"name": name, "namespace": namespace, "uid": f"{namespace}-{name}"}, status=status, **spec)


def registered(name: str = "orders", namespace: str = "shop", **spec: Any) -> Object:
    """One that the registry has, as it stands."""
    return client(name, namespace, status=REGISTERED, **spec)


def partner(**subject: str) -> Object:
    """A spec's members of a client with a certificate of its own, under the CA in the ConfigMap `partner-ca`."""
    anchors = [{"configMapKeyRef": {"name": "partner-ca", "key": "ca.crt"}}]
    return {"certificate": None, "authentication": {"subject": subject, "trustAnchors": anchors}}


def partner_ca(namespace: str, authority: Authority = PARTNER) -> dict[tuple[str, str], Object | None]:
    """That ConfigMap, as a world has it."""
    return {(namespace, "partner-ca"): config_map(**{"ca.crt": authority.pem.decode()})}


def world(
    *clients: Object,
    policies: tuple[Object, ...] = (),
    config_maps: dict[tuple[str, str], Object | None] | None = None,
    labels: dict[str, str] | None = None,
) -> World:
    """`labels`: of the namespace `shop`."""
    ruling = tuple(in_force(policy, config_maps or {}) for policy in policies)
    return World(
        namespaces={"shop": {NAME_LABEL: "shop", **(labels or {})}},
        policies=ruling,
        claimants=Claimants(claimant_of(c) for c in clients),
        settings=ReconcileSettings(),
        now=NOW,
        config_maps=config_maps or {},
        shared_keys=pinned_keys(ruling),
    )
