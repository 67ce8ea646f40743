"""A request that is not sent when whoever makes it may not write any more, looked at when its bytes are about to leave.

A process may stand still for minutes between any two of its steps (a frozen node, SIGSTOP), and another leads meanwhile:
what was decided before must not be written then. Owns that one look. Must not know who leads. Neighbour: `kubernetes_api`.
"""

from collections.abc import Callable

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import Connection

READS = frozenset({"GET", "HEAD", "OPTIONS"})
LEASES = "/apis/coordination.k8s.io/"
"""Replaced under its resourceVersion, by whoever contends."""


def request_class(may_write: Callable[[], bool]) -> type[aiohttp.ClientRequest]:
    """Of an aiohttp session."""

    class GuardedRequest(aiohttp.ClientRequest):
        """The headers wait in a buffer for the body, so that nothing has been sent when it is refused."""

        async def write_bytes(
            self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None
        ) -> None:
            reads = self.method in READS or self.url.path.startswith(LEASES)
            if reads or may_write():
                await super().write_bytes(writer, conn, content_length)
            elif conn.protocol is not None:
                refused = f"{self.method} {self.url.path} was not sent: the Lease is not ours any more"
                conn.protocol.set_exception(aiohttp.ClientConnectionError(refused))

    return GuardedRequest
