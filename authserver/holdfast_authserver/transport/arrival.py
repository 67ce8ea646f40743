"""A connection on its way from being accepted to HTTP: is there a place for it, then its handshake.

The event loops tell nobody of a TLS connection until its handshake is over, and half-open ones have to count. So the
server's socket is a plain one to them; this is the first protocol of each connection, and puts the event loop's own TLS
protocol in its place. Leans on the constructors of those two classes, which tests/authserver/transport guards; the other
way, accepting and `loop.connect_accepted_socket`, costs a sixth of a handshake. Neighbours: `listener` owns the set of
arrivals, `admission` counts places.
"""

import asyncio
import ssl
from asyncio import sslproto
from collections.abc import Callable
from typing import Any

import uvloop.loop

from holdfast_authserver.transport.admission import Admission, Slot
from holdfast_authserver.transport.limits import ConnectionLimits


class Arrival(asyncio.Protocol):
    """One connection. `make_protocol`: of HTTP, given the connection's place. `under_way`: those in a handshake."""

    def __init__(
        self,
        admission: Admission,
        context: ssl.SSLContext | None,
        limits: ConnectionLimits,
        make_protocol: Callable[[Slot], Any],
        under_way: "set[Arrival]",
    ) -> None:
        self._admission = admission
        self._context = context
        self._limits = limits
        self._make_protocol = make_protocol
        self._under_way = under_way

    def connection_made(self, transport: Any) -> None:
        """Hand the connection on, or hang up."""
        self.transport = transport
        peer = transport.get_extra_info("peername")
        slot = self._admission.enter(str(peer[0]) if isinstance(peer, tuple) else None)
        if slot is None:
            transport.abort()
            return
        protocol = self._make_protocol(slot)
        following = protocol if self._context is None else self._tls(protocol, slot)
        transport.set_protocol(following)
        following.connection_made(transport)

    def _tls(self, protocol: Any, slot: Slot) -> Any:
        loop = asyncio.get_running_loop()
        over = loop.create_future()
        self._under_way.add(self)

        def handshake_is_over(_: Any) -> None:
            self._under_way.discard(self)
            over.exception()  # `transport.handshake` has counted it
            if protocol.transport is None:  # it never came to HTTP
                slot.leave()

        over.add_done_callback(handshake_is_over)
        return _tls_protocol(loop)(
            loop,
            protocol,
            self._context,
            over,
            server_side=True,
            ssl_handshake_timeout=self._limits.handshake,
            ssl_shutdown_timeout=self._limits.tls_goodbye,
        )


def _tls_protocol(loop: asyncio.AbstractEventLoop) -> Any:
    """The class; untyped, since no type is published for either."""
    return vars(uvloop.loop)["SSLProtocol"] if isinstance(loop, uvloop.Loop) else sslproto.SSLProtocol
