"""Denied certificates and CRLs: one set each for the whole registry, united from all policies in force.

Owns the union and when it is written: only where the registry says that it holds another. What cannot be read now is not
taken away: of such a policy the CRLs that were last read stay, and where this process never read them, those that the
registry has. Lists come before the clients that need them and go after them: with `HardFail` and no list nobody is let in.
Neighbours: `reconcile.policies` judges each policy, `fenced_registry` writes.
"""

import asyncio
import logging
from collections.abc import Iterable

from holdfast.policy.model import EffectivePolicy, RevocationMode
from holdfast.policy.resolve import denied_thumbprints
from holdfast.registry.digest import denials_digest
from holdfast.registry.port import RegistrationRefused
from holdfast_operator.converge.drifts import Drifts
from holdfast_operator.converge.fenced_registry import FencedRegistry
from holdfast_operator.converge.policy_config_maps import PolicyConfigMaps
from holdfast_operator.reconcile.drift import Drift, DriftKind
from holdfast_operator.reconcile.policies import PolicyInForce, in_force
from holdfast_operator.reconcile.ports import Cluster, Kind, Object

log = logging.getLogger(__name__)


class Denials:
    """One for each registry writer."""

    def __init__(self, cluster: Cluster, config_maps: PolicyConfigMaps, registry: FencedRegistry, drifts: Drifts) -> None:
        self._cluster, self._config_maps, self._registry, self._drifts = cluster, config_maps, registry, drifts
        self._left: tuple[str, str] | None = None
        """Which registry was left with which denials."""
        self._writing = asyncio.Lock()  # of two at once, the one that read earlier would write later
        self._read: dict[str, tuple[bytes, ...]] = {}
        self._leaving: dict[str, tuple[bytes, ...]] = {}
        self._served: set[str] = set()

    async def before_clients(self, policy: EffectivePolicy | None = None) -> None:
        """Before tokens are given out. A CRL that the server refuses keeps nobody from them: the policy's status tells.

        `policy`: what a client is about to come under; None: whatever there is.
        """
        try:
            await (self.put() if policy is None else self._precede(policy))
        except RegistrationRefused as error:
            _log_refusal(error)

    async def after_clients(self) -> None:
        """Called when no client is left under what policies said before: lists that only they named go."""
        self._leaving.clear()
        try:
            await self.put()
        except RegistrationRefused as error:
            _log_refusal(error)

    async def _precede(self, policy: EffectivePolicy) -> None:
        if policy.revocation is RevocationMode.HARD_FAIL and policy.hash not in self._served:
            await self.put()
            self._served.add(policy.hash)

    async def put(self) -> bool:
        """Make the registry hold what policies come to; whether anything was written.

        Raises ClusterUnavailable, RegistryUnavailable, StaleTerm, RegistrationRefused.
        """
        async with self._writing:
            listed = await self._cluster.list(Kind.MTLS_POLICY)
            config_maps = await self._config_maps.of(listed)
            policies = [in_force(obj, config_maps) for obj in listed]
            thumbprints = denied_thumbprints(p.policy for p in policies if p.policy is not None)
            lists = self._united(policies)
            described = await self._registry.describe()
            held = described.denials
            if lists is None and held:
                log.warning("CRLs stay as the registry has them until those of every policy can be read")
                return await self._registry.put_denied_thumbprints(thumbprints)
            lists = lists or ()
            wanted = (described.instance, denials_digest(thumbprints, lists))
            before, self._left = self._left, wanted
            if held == wanted[1]:
                return False
            self._served.clear()
            await self._registry.put_denials(thumbprints, lists)
            if before == wanted:
                await self._tell(policies, listed)
            return True

    async def _tell(self, policies: Iterable[PolicyInForce], listed: Iterable[Object]) -> None:
        """Somebody else had changed what the registry denies."""
        message = "what the authorization server denies had been changed by another writer: it is what policies say again"
        denying = {p.name for p in policies if p.lists or (p.policy is not None and p.policy.denied_thumbprints)}
        self._drifts.count(DriftKind.DENIALS)
        log.warning(message)
        for obj in (obj for obj in listed if obj["metadata"]["name"] in denying):
            await self._drifts.record(Kind.MTLS_POLICY, obj, Drift(DriftKind.DENIALS, message))

    def _united(self, policies: Iterable[PolicyInForce]) -> tuple[bytes, ...] | None:
        """None: a policy's cannot be read now, and this process never read them."""
        before, self._read = self._read, {p.name: found for p in policies if (found := self._lists(p)) is not None}
        self._leaving |= {name: found for name, found in before.items() if found}
        for name in [name for name, found in self._read.items() if found]:
            self._leaving.pop(name, None)
        if any(p.name not in self._read for p in policies):
            return None
        return tuple(sorted({der for found in (*self._read.values(), *self._leaving.values()) for der in found}))

    def _lists(self, policy: PolicyInForce) -> tuple[bytes, ...] | None:
        if policy.policy is None:
            return ()  # never accepted: it brings nothing, and denies whom it selects
        if not policy.enforced:
            return ()
        return policy.lists if policy.lists is not None else self._read.get(policy.name)


def _log_refusal(error: RegistrationRefused) -> None:
    log.error("the server refuses what policies deny, which their status says as well: %s", error)
