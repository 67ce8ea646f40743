"""Calls that are made at the same time as one call: while one is under way, those that come meanwhile wait for the next.

Nobody waits for company: the first call goes out at once. Owns who sends and who waits. Must not know what is sent.
Neighbour: `fenced_registry` groups its writes with it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")

Send = Callable[[Sequence[Q]], Awaitable[Sequence[A | Exception]]]
"""Answers for each; raises what is true of all."""
Together = Callable[[Sequence[Q], Q], bool]
"""Whether one more may go with those."""


class Grouped(Generic[Q, A]):
    """Belongs to one event loop."""

    def __init__(self, send: Send[Q, A], together: Together[Q], most: int) -> None:
        self._send, self._together, self._most = send, together, most
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._turn = asyncio.Lock()

    async def ask(self, question: Q) -> A:
        """The answer to this one. Raises its own error, or what the call raised."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        try:
            async with self._turn:
                while not answer.done():
                    await self._send_some()
        finally:
            if not answer.done():
                answer.cancel()
        return answer.result()

    async def _send_some(self) -> None:
        group = self._take()
        try:
            answers = await self._send([question for question, _ in group])
        except Exception as error:
            for _, answer in group:
                _settle(answer, error)
        except BaseException:
            self._waiting[:0] = group  # who sent was cancelled: the others go with the next
            raise
        else:
            for (_, answer), found in zip(group, answers, strict=True):
                _settle(answer, found)

    def _take(self) -> list[tuple[Q, "asyncio.Future[A]"]]:
        """Those that may go together, without those whose asker has gone."""
        group: list[tuple[Q, asyncio.Future[A]]] = []
        left: list[tuple[Q, asyncio.Future[A]]] = []
        for entry in self._waiting:
            if entry[1].done():
                continue
            fits = len(group) < self._most and self._together([question for question, _ in group], entry[0])
            (group if fits else left).append(entry)
        self._waiting = left
        return group


def _settle(answer: "asyncio.Future[A]", found: A | Exception) -> None:
    if answer.done():
        return
    if isinstance(found, Exception):
        answer.set_exception(found)
        answer.exception()  # its asker may have been cancelled: not worth a warning
    else:
        answer.set_result(found)
