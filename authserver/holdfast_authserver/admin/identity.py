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
from holdfast.x509.certificate import Certificate, CertificateError, PeerCertificate, load_pem_bundle
from holdfast.x509.chain import PathError, verify_path
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
        self._ca_file = ca_file
        self._san = san
        self._clock = clock
        self._read: tuple[tuple[int, int], tuple[Certificate, ...]] | None = None

    def check(self, scope: Mapping[str, Any]) -> None:
        """Raises Refused."""
        peer = _peer(scope)
        try:
            verify_path(peer, self._anchors(), at=self._clock())
        except PathError as error:
            raise Refused(403, f"the caller's certificate does not lead to the admin CA: {error}") from error
        names = peer.leaf.uris if "://" in self._san else peer.leaf.dns_names
        if self._san not in names:
            raise Refused(403, f"the caller's certificate names {', '.join(names) or 'nobody'}, expected {self._san}")

    def _anchors(self) -> tuple[Certificate, ...]:
        try:
            found = self._ca_file.stat()
            stamp = (found.st_ino, found.st_mtime_ns)
            if self._read is None or self._read[0] != stamp:
                self._read = (stamp, load_pem_bundle(self._ca_file.read_bytes()))
        except (OSError, CertificateError) as error:
            # What was read before is not trusted any further: a CA that was withdrawn must not go on.
            raise Refused(403, f"admin_client_ca_file {self._ca_file}: {error}") from error
        return self._read[1]


def _peer(scope: Mapping[str, Any]) -> PeerCertificate:
    presented = presented_chain(scope)
    if presented is None:
        raise Refused(401, "the caller presented no certificate")
    try:
        leaf, *chain = map(Certificate.from_der, presented.ders)
    except CertificateError as error:
        raise Refused(403, f"the caller's certificate cannot be read: {error}") from error
    return PeerCertificate(leaf, tuple(chain))


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
