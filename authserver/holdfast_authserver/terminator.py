"""From settings to the forwarded listener: what may be combined, and what each setting means for it.

A certificate header is only as good as whoever can reach the socket. There are three ways, and no other: TLS with the
terminator's certificate pinned, plain HTTP on a loopback address, a Unix socket. Neighbours: `server` starts it,
`transport.forwarded` reads the headers.
"""

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from holdfast.clock import Clock
from holdfast.x509.certificate import CertificateError, load_pem_bundle
from holdfast_authserver.settings import Settings
from holdfast_authserver.transport.addresses import is_loopback
from holdfast_authserver.transport.forwarded.adapter import ForwardedCertificates
from holdfast_authserver.transport.forwarded.formats import Format, FormatName, make_format
from holdfast_authserver.transport.limits import ConnectionLimits
from holdfast_authserver.transport.listener import bind, bind_unix
from holdfast_authserver.transport.pinned_peer import PinnedPeer

_HEAD = 32_768  # octets: the certificate fields may take half of it
_FIELD_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")  # no underscore: whoever sits between may take it for a hyphen


class TerminatorError(Exception):
    """The forwarded listener cannot be started like this; names the setting."""

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"forwarded listener ({setting}): {problem}")


@dataclass(frozen=True, slots=True)
class Terminator:
    """What the forwarded listener is made from. `peer` None: plain HTTP, where the socket lets nobody else in."""

    form: Format
    peer: PinnedPeer | None
    path: Path | None
    host: str
    port: int
    tell_address: bool

    @classmethod
    def from_settings(cls, settings: Settings, clock: Clock) -> "Terminator | None":
        """None: the listener is off. Raises TerminatorError."""
        if settings.forwarded_port is None and settings.forwarded_socket is None:
            return None
        if settings.forwarded_port is not None and settings.forwarded_socket is not None:
            raise TerminatorError("forwarded_socket", "expected either forwarded_socket or forwarded_port, found both")
        peer = _peer(settings, clock)
        port = settings.forwarded_port or 0
        terminator = cls(
            _form(settings), peer, settings.forwarded_socket, settings.forwarded_host, port, settings.throttle_forwarded
        )
        terminator._check_host()
        return terminator

    def _check_host(self) -> None:
        """Before anything listens there. A name is looked at as the address that would be bound."""
        if self.peer is not None or self.path is not None:
            return
        try:
            address = str(socket.getaddrinfo(self.host, None, type=socket.SOCK_STREAM)[0][4][0])
        except OSError as error:
            raise TerminatorError("forwarded_host", f"{self.host}: {error.strerror}") from error
        if not is_loopback(address):
            raise TerminatorError(
                "forwarded_host",
                f"{self.host} can be reached from elsewhere; expected forwarded_peer_san and forwarded_peer_ca_file, "
                "so that nobody but the terminator is believed, or a loopback address, or forwarded_socket",
            )

    def bind(self, *, shared: bool = False) -> socket.socket:
        """`shared`: with other workers. Raises TerminatorError."""
        try:
            return bind(self.host, self.port, shared=shared) if self.path is None else bind_unix(self.path)
        except OSError as error:
            if self.path is None:
                raise TerminatorError(
                    "forwarded_host, forwarded_port", f"{self.host}:{self.port}: {error.strerror}"
                ) from error
            raise TerminatorError("forwarded_socket", f"{self.path}: {error.strerror or error}") from error

    def limits(self, limits: ConnectionLimits) -> ConnectionLimits:
        """With room for certificates in headers, and no limit per address: all come from the terminator."""
        return replace(limits, head=max(limits.head, _HEAD), connections_per_peer=limits.connections)

    def in_front_of(self, app: Any, count: Callable[[str], None]) -> ForwardedCertificates:
        """`app` as the terminator reaches it."""
        return ForwardedCertificates(app, self.form, self.peer, count, tell_address=self.tell_address)


def _form(settings: Settings) -> Format:
    if settings.forwarded_format is None:
        raise TerminatorError("forwarded_format", f"expected one of {', '.join(FormatName)}")
    name = FormatName(settings.forwarded_format)
    fields = {"forwarded_header": settings.forwarded_header, "forwarded_chain_header": settings.forwarded_chain_header}
    for setting, field in fields.items():
        if field is not None and name != FormatName.NGINX_ESCAPED_PEM:
            raise TerminatorError(setting, f"{name} has fields of its own; only NginxEscapedPEM lets them be named")
        if field is not None and _FIELD_NAME.fullmatch(field) is None:
            raise TerminatorError(setting, f"expected letters, digits and hyphens, found {field!r}")
    leaf, chain = settings.forwarded_header or "ssl-client-cert", settings.forwarded_chain_header
    if chain is not None and chain.lower() == leaf.lower():
        raise TerminatorError("forwarded_chain_header", f"expected another field than {leaf}")
    if settings.forwarded_trusted_hops != 1 and name != FormatName.XFCC:
        raise TerminatorError("forwarded_trusted_hops", f"only XFCC tells of several proxies, and the format is {name}")
    return make_format(name, hops=settings.forwarded_trusted_hops, leaf_field=leaf, chain_field=chain)


def _peer(settings: Settings, clock: Clock) -> PinnedPeer | None:
    ca_file, san = settings.forwarded_peer_ca_file, settings.forwarded_peer_san
    if ca_file is None and not san:
        return None
    if settings.forwarded_socket is not None:
        setting = "forwarded_peer_san" if san else "forwarded_peer_ca_file"
        raise TerminatorError(setting, "a Unix socket has no TLS; expected forwarded_port")
    if ca_file is None:
        raise TerminatorError("forwarded_peer_ca_file", "expected beside forwarded_peer_san")
    if not san:
        raise TerminatorError("forwarded_peer_san", "expected beside forwarded_peer_ca_file")
    try:
        load_pem_bundle(ca_file.read_bytes())
    except OSError as error:
        raise TerminatorError("forwarded_peer_ca_file", f"{ca_file}: {error.strerror}") from error
    except CertificateError as error:
        raise TerminatorError("forwarded_peer_ca_file", f"{ca_file}: {error}") from error
    return PinnedPeer(ca_file, san, clock, setting="forwarded_peer_ca_file")
