"""While we hold the Lease the engine works; otherwise it only listens, so that taking over costs no listing of watches.

Owns the order: Lease, engine and what works beside it; both off, Lease back. Neighbours: `lease`, `engine`; `main` starts
and stops it.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence

from holdfast_operator.engine.engine import Engine
from holdfast_operator.engine.lease import Elector
from holdfast_operator.reconcile.ports import ClusterError

log = logging.getLogger(__name__)

START_AGAIN = 1.0
"""Seconds until the engine is started again after its first listing has failed."""

FIRST_WARM, KEEP_WARM = 3.0, 60.0
"""Seconds until a replica that waits for the Lease fills its stores, and between two looks after that."""


Loop = Callable[[], Coroutine[None, None, None]]
"""Works until it is cancelled."""


class Leadership:
    """`new_term`: called before the engine starts, so that its first write opens a term above all others.

    `warm`: has everything at hand, while another leads. `beside`: what else only the holder of the Lease does.
    """

    def __init__(
        self,
        elector: Elector,
        engine: Engine,
        new_term: Callable[[], None],
        warm: Loop | None = None,
        beside: Sequence[Loop] = (),
    ) -> None:
        self._elector, self._engine, self._new_term = elector, engine, new_term
        self._warm, self._beside = warm, beside

    async def run(self) -> None:
        """Lead whenever possible, until cancelled; then the engine is off and the Lease given back."""
        while True:
            await self._contend()
            try:
                await self._lead()
            finally:
                await self._engine.stop()
                await self._elector.release()

    async def _contend(self) -> None:
        keeping = asyncio.create_task(self._keep_warm())
        try:
            await self._elector.contend()
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _keep_warm(self) -> None:
        pause = FIRST_WARM
        while self._warm is not None:
            await asyncio.sleep(pause)
            try:
                await self._warm()
                pause = KEEP_WARM
            except ClusterError as error:
                log.info("the stores could not be warmed, again in %.0f s: %s", pause, error)

    async def _lead(self) -> None:
        """Until the Lease is lost or a newer writer is at work."""
        self._new_term()
        tasks = [asyncio.create_task(loop()) for loop in (self._work, self._elector.hold, *self._beside)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            try:
                await self._engine.start()
                break
            except ClusterError as error:
                log.warning("the first listing failed, again in %.0f s: %s", START_AGAIN, error)
                await asyncio.sleep(START_AGAIN)
        await self._engine.superseded.wait()
