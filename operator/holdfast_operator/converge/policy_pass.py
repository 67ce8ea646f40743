"""One pass over one MTLSPolicy: what policies deny is written, then the policy's status.

Owns the I/O around `plan_policy`. Neighbours: `denials` writes what is denied, `counting` counts, `reconciler` calls.
"""

from holdfast.clock import Clock
from holdfast.registry.port import RegistrationRefused, RegistryUnavailable
from holdfast_operator.converge.counting import Counting
from holdfast_operator.converge.denials import Denials
from holdfast_operator.converge.drifts import Drifts
from holdfast_operator.converge.namespaces import labels_of_namespaces
from holdfast_operator.converge.outcome import Outcome
from holdfast_operator.converge.policy_config_maps import PolicyConfigMaps
from holdfast_operator.converge.telling import write_status
from holdfast_operator.reconcile.census import Count
from holdfast_operator.reconcile.policies import PolicyInForce, in_force
from holdfast_operator.reconcile.policy_plan import ObservedPolicy, plan_policy
from holdfast_operator.reconcile.ports import Cluster, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings


class PolicyPass:
    """Everything that makes the status of one policy true."""

    def __init__(
        self,
        cluster: Cluster,
        config_maps: PolicyConfigMaps,
        denials: Denials,
        settings: ReconcileSettings,
        clock: Clock,
        drifts: Drifts,
    ) -> None:
        self._cluster, self._config_maps, self._denials, self._clock = cluster, config_maps, denials, clock
        self._drifts = drifts
        self._counting = Counting(cluster, settings)

    async def over(self, name: str) -> Outcome:
        """Raises ClusterError, StaleTerm."""
        policy = await self._cluster.get(Kind.MTLS_POLICY, "", name)
        wrote, away = await self._put_denials()
        if policy is None:
            self._counting.forget(name)
            return Outcome(gone=away is None, wrote=wrote, retry=away is not None)
        found, count = await self._judge(policy)
        observed = ObservedPolicy(
            policy=policy, found=found, count=count, now=self._clock(), denials_pending=str(away or "")
        )
        wrote = await write_status(self._cluster, Kind.MTLS_POLICY, policy, plan_policy(observed), self._drifts) or wrote
        return Outcome(wrote=wrote, retry=away is not None, requeue_after=away.retry_after if away else None)

    async def _judge(self, policy: Object) -> tuple[PolicyInForce, Count]:
        """The policy as it was read, beside all others as they are now."""
        listed = await self._cluster.list(Kind.MTLS_POLICY)
        others = [obj for obj in listed if obj["metadata"]["name"] != policy["metadata"]["name"]]
        config_maps = await self._config_maps.of([policy, *others])
        found = in_force(policy, config_maps)
        policies = [found, *(in_force(obj, config_maps) for obj in others)]
        return found, await self._counting.count(found, policies, await labels_of_namespaces(self._cluster))

    async def _put_denials(self) -> tuple[bool, RegistryUnavailable | None]:
        """Whether anything was written, or why nothing could be."""
        try:
            return await self._denials.put(), None
        except RegistryUnavailable as error:
            return False, error
        except RegistrationRefused as error:
            return False, RegistryUnavailable(f"the server refuses what policies deny: {error}")
