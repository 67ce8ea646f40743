"""The end of an installation: no operator works any more, and no object waits for one.

Owns the order: the Lease is taken from whoever holds it, and not given back, so that no replica puts a finalizer on again
while it is still there; then our finalizer goes from every client. What is registered is left as it is: the server goes with
the installation. Neighbours: `lease` (whose holders stop by themselves), `holdfast_operator.release` (the command).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from holdfast.clock import Clock
from holdfast_operator.converge.concurrency import together
from holdfast_operator.engine.lease import LeaseRecord, LeaseStore, LeaseTimes
from holdfast_operator.reconcile.actions import FINALIZER
from holdfast_operator.reconcile.ports import Cluster, Conflict, Kind, Object

log = logging.getLogger(__name__)

HELD = 120
"""Seconds for which nobody gets the Lease: as long as an uninstallation may take until the operator's pods are gone."""
WIDTH = 16
"""Objects that are let go at a time."""
ATTEMPTS = 20
"""At one object, or at the Lease, which somebody else changes at the same time."""

Sleep = Callable[[float], Awaitable[None]]


async def take_lease(store: LeaseStore, identity: str, clock: Clock, *, sleep: Sleep = asyncio.sleep) -> None:
    """Until whoever held it has certainly noticed. Raises ClusterUnavailable, Conflict."""
    for _ in range(ATTEMPTS):
        current = await store.read()
        try:
            await store.write(_taken(current, identity, clock))
        except Conflict:
            continue  # it was renewed in between
        if current is not None and current.holder not in (None, identity):
            log.info("%s had the Lease: it stops", current.holder)
            await sleep(LeaseTimes().give_up)
        return
    raise Conflict(f"the Lease was changed by somebody else, {ATTEMPTS} times in a row")


def _taken(current: LeaseRecord | None, identity: str, clock: Clock) -> LeaseRecord:
    now = clock()
    return LeaseRecord(
        holder=identity,
        duration=HELD,
        acquired_at=now,
        renewed_at=now,
        transitions=0 if current is None else current.transitions + 1,
        version=None if current is None else current.version,
    )


async def let_go(cluster: Cluster) -> int:
    """Take our finalizer off every client; how many there were. Raises ClusterError."""
    width, gone = asyncio.Semaphore(WIDTH), 0

    async def one(client: Object) -> None:
        async with width:
            await _let_one_go(cluster, client)

    while held := [c for c in await cluster.list(Kind.OAUTH_CLIENT) if _is_held(c)]:
        async with together() as group:
            for client in held:
                group.create_task(one(client))
        gone += len(held)
    return gone


async def _let_one_go(cluster: Cluster, client: Object) -> None:
    namespace, name = client["metadata"]["namespace"], client["metadata"]["name"]
    found: Object | None = client
    for _ in range(ATTEMPTS):
        if found is None or not _is_held(found):
            return
        try:
            others = [f for f in found["metadata"]["finalizers"] if f != FINALIZER]
            await cluster.set_finalizers(Kind.OAUTH_CLIENT, found, others)
            return
        except Conflict:
            found = await cluster.get(Kind.OAUTH_CLIENT, namespace, name)
    raise Conflict(f"OAuthClient {namespace}/{name} was changed by somebody else, {ATTEMPTS} times in a row")


def _is_held(client: Object) -> bool:
    return FINALIZER in (client["metadata"].get("finalizers") or ())
