"""Counting clients for the statuses of policies: all of them are listed, once for all policies that waited for it.

Owns when the listing is made anew, and that a count of many clients lets others have their turn. Neighbours:
`reconcile.census` remembers and judges, `policy_pass` asks.
"""

import asyncio
from collections.abc import Sequence

from holdfast_operator.reconcile.census import Census, Count, Namespaces
from holdfast_operator.reconcile.policies import PolicyInForce
from holdfast_operator.reconcile.ports import ClusterReads, Kind
from holdfast_operator.reconcile.settings import ReconcileSettings

STEP = 50
"""Clients that are looked at without a pause; some milliseconds where each of them is new."""


class Counting:
    """One for all policies of a cluster."""

    def __init__(self, cluster: ClusterReads, settings: ReconcileSettings) -> None:
        self._cluster, self._census = cluster, Census(settings)
        self._busy = asyncio.Lock()
        self._asked = self._covered = 0

    async def count(self, policy: PolicyInForce, policies: Sequence[PolicyInForce], namespaces: Namespaces) -> Count:
        """Whom the policy matches and who breaks it, at a moment after the call. Raises ClusterUnavailable."""
        self._asked += 1
        mine = self._asked
        async with self._busy:
            if self._covered < mine:
                await self._take()
            for step, found in enumerate(self._census.count(policy, policies, namespaces)):
                if found is not None:
                    return found
                if step % STEP == STEP - 1:
                    await asyncio.sleep(0)
        raise AssertionError("a count ends with what was counted")

    def forget(self, policy: str) -> None:
        """The policy is gone."""
        self._census.forget(policy)

    async def _take(self) -> None:
        covers = self._asked
        left = self._census.places
        for step, client in enumerate(await self._cluster.list(Kind.OAUTH_CLIENT)):
            left.discard(self._census.take(client))
            if step % STEP == STEP - 1:
                await asyncio.sleep(0)
        self._census.leave(left)
        self._covered = covers
