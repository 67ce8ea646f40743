"""Who may write the registry: a certificate that leads to the admin CA and carries the pinned name.

The listener takes any certificate; this is where one is judged. Must not know paths or bodies.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse

from holdfast.clock import Clock
from holdfast.registry.wire import ErrorCode, error_to_json
from holdfast_authserver.transport.pinned_peer import PeerRefused, PinnedPeer
from holdfast_authserver.transport.presented import presented_chain

_LOG = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Refused(Exception):
    """`status`: 401 without a certificate, 403 with one that will not do. The message is for the log."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class AdminIdentity:
    """`ca_file`: PEM, read again when it changes. `san`: a URI where it has a scheme, else a DNS name; compared exactly."""

    def __init__(self, ca_file: Path, san: str, clock: Clock) -> None:
        self._operator = PinnedPeer(ca_file, san, clock, setting="admin_client_ca_file")

    def check(self, scope: Mapping[str, Any]) -> None:
        """Raises Refused."""
        try:
            self._operator.check(presented_chain(scope))
        except PeerRefused as refused:
            raise Refused(401 if refused.anonymous else 403, str(refused)) from refused


class RequireIdentity:
    """Lets only the operator through to `app`."""

    def __init__(self, app: App, identity: AdminIdentity) -> None:
        self._app = app
        self._identity = identity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            raise ValueError(f"the admin API speaks HTTP alone, not {scope['type']}")
        try:
            self._identity.check(scope)
        except Refused as refused:
            _LOG.warning("admin API: %s %s refused: %s", scope["method"], scope["path"], refused)
            word = ErrorCode.UNAUTHENTICATED if refused.status == 401 else ErrorCode.FORBIDDEN
            answer = JSONResponse(error_to_json(word, "expected the operator's certificate"), refused.status)
            return await answer(scope, receive, send)
        return await self._app(scope, receive, send)
