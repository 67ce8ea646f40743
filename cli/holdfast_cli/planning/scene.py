"""One world, and what the operator would plan for a client in it.

Owns what an observation needs beside the client. Neighbours: `compare` holds two of these side by side; the operator's
`observe` and `plan`; admission's `judge_client`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from holdfast.api.v1alpha1.conditions import ConditionType
from holdfast_cli.rehearsal.registry import ImaginedRegistry
from holdfast_operator.admission.claimants import Claimants
from holdfast_operator.admission.judge import judge_client
from holdfast_operator.admission.objection import Judgement
from holdfast_operator.admission.world import World as AdmissionWorld
from holdfast_operator.converge.observe import observe
from holdfast_operator.converge.policy_config_maps import PolicyConfigMaps
from holdfast_operator.converge.shared_anchors import SharedAnchors
from holdfast_operator.reconcile.actions import Action
from holdfast_operator.reconcile.issued import condition
from holdfast_operator.reconcile.observed import Observed
from holdfast_operator.reconcile.plan import plan
from holdfast_operator.reconcile.policies import in_force, pinned_keys
from holdfast_operator.reconcile.ports import ClusterReads, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings

Condition = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a client would stand: what was seen, what would be done, and the conditions that it would be told."""

    observed: Observed
    actions: tuple[Action, ...]
    accepted: Condition
    certificate: Condition


class Scene:
    """`cluster`: the objects. `now`: the moment of the comparison."""

    def __init__(self, cluster: ClusterReads, settings: ReconcileSettings, now: datetime) -> None:
        self.cluster = cluster
        self._settings, self._now = settings, now
        self._shared = SharedAnchors(cluster, lambda: now, settings.shared_anchors_age)
        self._config_maps = PolicyConfigMaps(cluster, lambda: now, settings.config_map_age)
        self._admission: AdmissionWorld | None = None

    async def stand(self, client: Object, registry: ImaginedRegistry) -> Standing:
        """Raises ClusterUnavailable."""
        observed = await observe(
            client,
            cluster=self.cluster,
            registry=registry,
            shared_anchors=self._shared,
            policy_config_maps=self._config_maps,
            settings=self._settings,
            now=self._now,
        )
        planned = plan(observed)
        told = {"status": planned.status if planned.status is not None else client.get("status") or {}}
        return Standing(
            observed=observed,
            actions=planned.actions,
            accepted=condition(told, ConditionType.ACCEPTED),
            certificate=condition(told, ConditionType.CERTIFICATE_READY),
        )

    async def admit(self, client: Object, claimants: Claimants) -> Judgement:
        """What admission would say of it; `claimants` are the same in every call. Raises ClusterUnavailable."""
        if self._admission is None:
            self._admission = await self._admission_world(claimants)
        return judge_client(client, self._admission)

    async def _admission_world(self, claimants: Claimants) -> AdmissionWorld:
        policies = await self.cluster.list(Kind.MTLS_POLICY)
        sources = await self._config_maps.of(policies)
        forms = tuple(in_force(policy, sources) for policy in policies)
        namespaces = await self.cluster.list(Kind.NAMESPACE)
        return AdmissionWorld(
            namespaces={n["metadata"]["name"]: dict(n["metadata"].get("labels") or {}) for n in namespaces},
            policies=forms,
            claimants=claimants,
            settings=self._settings,
            now=self._now,
            shared_keys=pinned_keys(forms),
        )

    async def policy_sources(self, policy: Object) -> Mapping[tuple[str, str], Object | None]:
        """The ConfigMaps that a policy names. Raises ClusterUnavailable."""
        return await self._config_maps.of([policy])
