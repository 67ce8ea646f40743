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

TURN = 0.005
"""Seconds of work after which others have their turn: thousands of clients that are known, some twenty that are new."""


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
            turn = _Turn()
            for found in self._census.count(policy, policies, namespaces):
                if found is not None:
                    return found
                await turn.taken()
        raise AssertionError("a count ends with what was counted")

    def forget(self, policy: str) -> None:
        """The policy is gone."""
        self._census.forget(policy)

    async def _take(self) -> None:
        covers = self._asked
        left = self._census.places
        turn = _Turn()
        for client in await self._cluster.list(Kind.OAUTH_CLIENT):
            left.discard(self._census.take(client))
            await turn.taken()
        self._census.leave(left)
        self._covered = covers


class _Turn:
    """How long this task has been at work without a pause."""

    def __init__(self) -> None:
        self._now = asyncio.get_running_loop().time
        self._began = self._now()

    async def taken(self) -> None:
        """Called after each small piece of work."""
        if self._now() - self._began >= TURN:
            await asyncio.sleep(0)
            self._began = self._now()
