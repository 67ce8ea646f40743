"""The ASGI application in front of a listener that serves a TLS terminator: certificate header in, extension out.

Owns whether a header counts: the peer is who it has to be, the fields are as they have to be, the value is short enough.
What follows is the same as on a direct connection: the chain in the TLS extension of the scope, or none, or an error
text where the header is malformed. Whatever was ignored is told, for the audit log. Must not judge the certificate.
"""

from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from holdfast_authserver.transport.forwarded.fields import SelectedFields
from holdfast_authserver.transport.forwarded.formats import Format
from holdfast_authserver.transport.forwarded.malformed_field import MalformedField
from holdfast_authserver.transport.malformed import send_malformed
from holdfast_authserver.transport.pinned_peer import PeerRefused, PinnedPeer
from holdfast_authserver.transport.presented import IGNORED, PresentedChain, presented_chain, tls_extension

MAX_FIELDS = 16_384  # octets of all certificate fields: a leaf with a chain of four RSA keys takes 9,000 in base64
_MAX_REMEMBERED = 256  # parsed values; a workload's header stays the same until its certificate is renewed
PEER_REFUSED, HEADER_IGNORED = "forwarded_peer_refused", "certificate_header_ignored"
"""What is counted."""


class ForwardedCertificates:
    """Wraps `app`. `peer`: who has to be at the other end; None where the socket itself lets nobody else in.

    `count`: told one of the two words above. `tell_address`: whether the terminator's address passes for the client's.
    """

    def __init__(
        self, app: Any, form: Format, peer: PinnedPeer | None, count: Callable[[str], None], *, tell_address: bool = False
    ) -> None:
        self._app = app
        self._form = form
        self._peer = peer
        self._count = count
        self._tell_address = tell_address
        self._remembered: OrderedDict[tuple[tuple[str, str], ...], PresentedChain | None] = OrderedDict()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        chain, error, ignored = None, None, self._stranger(scope)
        try:
            selected = self._form.select(scope["headers"])
            if selected.size > MAX_FIELDS:
                await send_malformed(send, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return
            if ignored is None:
                ignored = self._ignored(selected)
                chain = self._chain(selected)
            elif not selected.values:
                ignored = None  # there was nothing to ignore
        except MalformedField as malformed:
            error = str(malformed) if ignored is None else None
        _put(scope, chain, error, ignored)
        if not self._tell_address:
            scope["client"] = None  # it is the terminator's, and says nothing of who asks
        await self._app(scope, receive, send)

    def _stranger(self, scope: Any) -> str | None:
        """Why the peer is not the terminator, so that its headers do not count; None: it is."""
        try:
            if self._peer is not None:
                self._peer.check(presented_chain(scope))
        except PeerRefused as refused:
            self._count(PEER_REFUSED)
            return f"certificate header ignored: {refused}"
        return None

    def _ignored(self, selected: SelectedFields) -> str | None:
        if not selected.ignored:
            return None
        self._count(HEADER_IGNORED)
        return f"certificate header ignored: {'; '.join(selected.ignored)[:500]}"

    def _chain(self, selected: SelectedFields) -> PresentedChain | None:
        """As the format has it; what was parsed before is the same value again, with what is known of it."""
        if not selected.values:
            return None
        key = tuple(selected.values.items())
        if key in self._remembered:
            self._remembered.move_to_end(key)
            return self._remembered[key]
        chain = self._remembered[key] = self._form.chain(selected.values)
        if len(self._remembered) > _MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return chain


def _put(scope: Any, chain: PresentedChain | None, error: str | None, ignored: str | None) -> None:
    """In place of what the connection itself presented, which is the terminator's own certificate."""
    connection = scope["extensions"]
    tls = tls_extension(chain, connection.get("tls", {}).get("tls_version"), error)
    scope["extensions"] = {**connection, "tls": tls, IGNORED: ignored}
