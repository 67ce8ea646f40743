"""What a change is judged against, as one value: namespaces, policies in force, and who claims what.

Owns its shape, and the making of one from a folder of manifests. Pure. Neighbours: `store` makes it from what watches
showed, `judge` reads it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from holdfast_operator.admission.claimants import Claimants, claimant_of
from holdfast_operator.reconcile.policies import PolicyInForce, in_force, pinned_keys
from holdfast_operator.reconcile.ports import Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings

NAME_LABEL = "kubernetes.io/metadata.name"
"""On every namespace, by the API server itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """`namespaces`: labels by name. `config_maps`: by namespace and name, None: not found; absent: it was not read.

    `shared_keys`: SHA-256 of the public keys of anchors that are known to be shared.
    """

    namespaces: Mapping[str, Mapping[str, str]]
    policies: tuple[PolicyInForce, ...]
    claimants: Claimants
    settings: ReconcileSettings
    now: datetime
    config_maps: Mapping[tuple[str, str], Object | None] = field(default_factory=dict)
    shared_keys: frozenset[str] = frozenset()

    def labels_of(self, namespace: str) -> Mapping[str, str]:
        """Its labels; of one that nobody has seen, the one label that it has for certain."""
        return self.namespaces.get(namespace, {NAME_LABEL: namespace})


def world_of(objects: Iterable[Object], settings: ReconcileSettings, now: datetime) -> World:
    """From manifests: what is not among them does not exist, and every client is meant to hold what it claims."""
    found = list(objects)
    config_maps: dict[tuple[str, str], Object | None] = {_place(o): o for o in found if _is(o, Kind.CONFIG_MAP)}
    policies = tuple(in_force(o, config_maps) for o in found if _is(o, Kind.MTLS_POLICY))
    labels = {o["metadata"]["name"]: o["metadata"].get("labels") or {} for o in found if _is(o, Kind.NAMESPACE)}
    return World(
        namespaces={name: {NAME_LABEL: name, **written} for name, written in labels.items()},
        policies=policies,
        claimants=Claimants(claimant_of(o, holds=True) for o in found if _is(o, Kind.OAUTH_CLIENT)),
        settings=settings,
        now=now,
        config_maps=config_maps,
        shared_keys=pinned_keys(policies),
    )


def _is(obj: Object, kind: Kind) -> bool:
    return (obj.get("apiVersion"), obj.get("kind")) == (kind.api_version, kind.kind)


def _place(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("namespace") or "default", obj["metadata"]["name"]
