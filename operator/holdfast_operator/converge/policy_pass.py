"""One pass over one MTLSPolicy: what policies deny is written, then the policy's status.

Owns the I/O around `plan_policy`. Neighbours: `denials` writes what is denied, `reconciler` calls.
"""

from holdfast.clock import Clock
from holdfast.registry.port import RegistrationRefused, RegistryUnavailable
from holdfast_operator.converge.denials import Denials
from holdfast_operator.converge.namespaces import labels_of_namespaces
from holdfast_operator.converge.outcome import Outcome
from holdfast_operator.converge.policy_config_maps import PolicyConfigMaps
from holdfast_operator.converge.telling import write_status
from holdfast_operator.reconcile.policy_plan import ObservedPolicy, plan_policy
from holdfast_operator.reconcile.ports import Cluster, Kind


class PolicyPass:
    """Everything that makes the status of one policy true."""

    def __init__(self, cluster: Cluster, config_maps: PolicyConfigMaps, denials: Denials, clock: Clock) -> None:
        self._cluster, self._config_maps, self._denials, self._clock = cluster, config_maps, denials, clock

    async def over(self, name: str) -> Outcome:
        """Raises ClusterError, StaleTerm."""
        policy = await self._cluster.get(Kind.MTLS_POLICY, "", name)
        wrote, away = await self._put_denials()
        if policy is None:
            return Outcome(gone=away is None, wrote=wrote, retry=away is not None)
        observed = ObservedPolicy(
            policy=policy,
            namespaces=await labels_of_namespaces(self._cluster),
            clients=tuple(await self._cluster.list(Kind.OAUTH_CLIENT)),
            now=self._clock(),
            config_maps=await self._config_maps.of([policy]),
            denials_pending=str(away or ""),
        )
        wrote = await write_status(self._cluster, Kind.MTLS_POLICY, policy, plan_policy(observed)) or wrote
        return Outcome(wrote=wrote, retry=away is not None, requeue_after=away.retry_after if away else None)

    async def _put_denials(self) -> tuple[bool, RegistryUnavailable | None]:
        """Whether anything was written, or why nothing could be."""
        try:
            return await self._denials.put(), None
        except RegistryUnavailable as error:
            return False, error
        except RegistrationRefused as error:
            return False, RegistryUnavailable(f"the server refuses what policies deny: {error}")
