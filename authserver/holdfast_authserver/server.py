"""The authorization server as a whole: start, addresses, stop; and as a process until SIGTERM.

Owns the order of the start, and that whatever prevents it is one clear line. What is served stands in `app.py`.
"""

import asyncio
import gc
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import uvloop
from pydantic import ValidationError

from holdfast.clock import Clock, system_clock
from holdfast.registry.port import Registry
from holdfast.registry.records import Endpoints
from holdfast.settings_file import SettingsFileError, problem_lines
from holdfast.x509.certificate import CertificateError, load_pem_bundle
from holdfast_authserver import tracing
from holdfast_authserver.admin.app import create_admin_app
from holdfast_authserver.admin.identity import AdminIdentity
from holdfast_authserver.app import create_context, create_mtls_app, create_public_app
from holdfast_authserver.audit import AuditLog, AuditLogError
from holdfast_authserver.endpoints.context import EndpointContext
from holdfast_authserver.endpoints.operations import create_operations_app
from holdfast_authserver.endpoints.urls import DENY_LIST, INTROSPECT, JWKS, REVOKE, TOKEN, ServerUrls
from holdfast_authserver.gauges import add_listener_gauge
from holdfast_authserver.keys.follower import KeyFollower
from holdfast_authserver.keys.opening import open_ring
from holdfast_authserver.keys.ring import KeyRing
from holdfast_authserver.keys.signing_key import SigningKeyError
from holdfast_authserver.registry.keeper import RegistryKeeper, RegistryOpenError, Times
from holdfast_authserver.settings import Settings
from holdfast_authserver.terminator import Terminator, TerminatorError
from holdfast_authserver.tracing import Tracing, TracingError
from holdfast_authserver.transport.context import ListenerContext, TlsFiles, TlsFilesError
from holdfast_authserver.transport.limits import ConnectionLimits
from holdfast_authserver.transport.listener import Listener, bind, bind_unix
from holdfast_authserver.transport.self_test import SelfTestFailed, self_test

_TRACED = ("public", "mtls", "forwarded")  # what clients reach


class StartError(Exception):
    """Why the server does not start, in one line that names the setting, file or port."""


class AuthorizationServer:
    """One server with all its listeners, in the running event loop."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock = system_clock,
        *,
        limits: ConnectionLimits | None = None,
        ops_socket: Path | None = None,
    ) -> None:
        """`ops_socket`: this is one of several workers on the same ports, and its parent asks it there how it is."""
        self._settings = settings
        self._ops_socket = ops_socket
        self._clock = clock
        self._limits = limits or _limits(settings)
        self._listeners: dict[str, Listener] = {}
        self._keeper: RegistryKeeper | None = None
        self._urls: ServerUrls | None = None
        self._terminator: Terminator | None = None
        self._audit: AuditLog | None = None
        self._tracing: Tracing | None = None
        self._closing = AsyncExitStack()

    async def start(self) -> None:
        """Bind every socket, then open the registry, then serve. Raises StartError, and leaves nothing behind then."""
        try:
            await self._start()
        except (TlsFilesError, SigningKeyError, AuditLogError, SelfTestFailed, TracingError, TerminatorError) as error:
            await self.stop()
            raise StartError(str(error)) from error
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        settings = self._settings
        if tracing.wanted():
            self._tracing = Tracing()
            self._closing.push_async_callback(asyncio.to_thread, self._tracing.close)
        sockets = {name: self._bind(name, host, port) for name, host, port in _wanted(settings)}
        if self._ops_socket is not None:
            sockets["ops"] = self._closing.enter_context(bind_unix(self._ops_socket))
        self._terminator = Terminator.from_settings(settings, self._clock)
        if self._terminator is not None:
            sockets["forwarded"] = self._closing.enter_context(self._terminator.bind(shared=self._ops_socket is not None))
        plain = ("ops",) if self._terminator is None or self._terminator.peer else ("ops", "forwarded")
        contexts = {name: _tls_context(settings, name) for name in sockets if name not in plain}
        self._urls = _urls(settings, sockets)
        keeper = await self._open_registry()
        audit = AuditLog(settings.audit_log, self._clock)
        self._closing.callback(audit.close)
        self._audit = audit
        keys = await self._open_keys(keeper)
        await self_test(contexts["mtls"], http=settings.http)
        context = create_context(settings, self._urls, keeper, keys, audit, self._clock)
        self._closing.callback(context.refusal_lines.close)
        self._closing.push_async_callback(context.authentication.close)
        for name, tls in contexts.items():
            tls.on_handshake = partial(context.metrics.handshake, name)
        add_listener_gauge(context.metrics, {name: tls.files for name, tls in contexts.items()}, self._clock)
        for name, bound in sockets.items():
            await self._listen(name, bound, contexts.get(name), context)

    def _bind(self, name: str, host: str, port: int) -> socket.socket:
        try:
            bound = bind(host, port, shared=self._ops_socket is not None)
        except OSError as error:
            raise StartError(f"{name} listener ({name}_host, {name}_port): {host}:{port}: {error.strerror}") from error
        self._closing.callback(bound.close)
        return bound

    async def _open_registry(self) -> RegistryKeeper:
        try:
            times = Times(deleted_clients=timedelta(seconds=self._settings.deleted_client_grace))
            keeper = await RegistryKeeper.open(self._settings.database_url, self._clock, times=times)
        except (RegistryOpenError, ValueError) as error:
            raise StartError(f"registry (database_url): {error}") from error
        self._closing.push_async_callback(keeper.close)
        keeper.endpoints = self.endpoints
        self._keeper = keeper
        return keeper

    async def _open_keys(self, keeper: RegistryKeeper) -> KeyRing:
        ring = open_ring(
            self._settings.key_options,
            self._clock,
            instance=lambda: keeper.snapshot.instance,
            database=lambda: keeper.database,
        )
        await ring.refresh()
        follower = KeyFollower(ring)
        self._closing.push_async_callback(follower.close)
        self._closing.callback(keeper.subscribe(lambda snapshot: follower.wake()))
        return ring

    async def _listen(self, name: str, bound: socket.socket, tls: ssl.SSLContext | None, context: EndpointContext) -> None:
        limits = self._terminator.limits(self._limits) if self._terminator and name == "forwarded" else self._limits
        listener = Listener(self._create_app(name, context), bound, tls, http=self._settings.http, limits=limits)
        await listener.start()
        self._listeners[name] = listener
        self._closing.push_async_callback(listener.stop)

    def _create_app(self, name: str, context: EndpointContext) -> Any:
        makers: Mapping[str, Callable[[EndpointContext], Any]] = {
            "public": create_public_app,
            "mtls": create_mtls_app,
            "admin": lambda c: create_admin_app(c.keeper, _operator(self._settings, self._clock)),
            "ops": create_operations_app,
            "forwarded": self._create_forwarded_app,
        }
        app = makers[name](context)
        return self._tracing.around(app, name) if self._tracing is not None and name in _TRACED else app

    def _create_forwarded_app(self, context: EndpointContext) -> Any:
        assert self._terminator is not None  # the socket is there because of it
        return self._terminator.in_front_of(create_mtls_app(context), context.metrics.event)

    @property
    def addresses(self) -> dict[str, tuple[str, int]]:
        """Listener (`public`, `mtls`, `admin`, `ops`, `forwarded`) to host and real port, or path and 0."""
        return {name: listener.address for name, listener in self._listeners.items()}

    @property
    def urls(self) -> ServerUrls:
        """Issuer and mTLS base URL. Known once started."""
        if self._urls is None:
            raise RuntimeError("the server was not started")
        return self._urls

    @property
    def endpoints(self) -> Endpoints:
        """Where clients go."""
        urls = self.urls
        return Endpoints(
            issuer=urls.issuer,
            token_endpoint=urls.mtls + TOKEN,
            introspection_endpoint=urls.mtls + INTROSPECT,
            revocation_endpoint=urls.mtls + REVOKE,
            jwks_uri=urls.issuer + JWKS,
            deny_list_uri=urls.issuer + DENY_LIST,
        )

    @property
    def registry(self) -> Registry:
        """The registry's writer, as a call in this process."""
        if self._keeper is None:
            raise RuntimeError("the server was not started")
        return self._keeper.writer

    def reopen_audit_log(self) -> None:
        """Go on in the file that has its name now, as a rotation asks for by SIGHUP."""
        if self._audit is not None:
            self._audit.reopen()

    async def stop(self) -> None:
        """Listeners first, all at once, then audit log and registry. Ends in bounded time; again is nothing."""
        await asyncio.gather(*(listener.stop() for listener in self._listeners.values()))
        self._listeners.clear()
        await self._closing.aclose()


def _wanted(settings: Settings) -> list[tuple[str, str, int]]:
    """Name, host and port of the listeners that are on."""
    wanted = [
        ("public", settings.public_host, settings.public_port),
        ("mtls", settings.mtls_host, settings.mtls_port),
    ]
    if settings.admin_port is not None:
        wanted.append(("admin", settings.admin_host, settings.admin_port))
    if settings.ops_port is not None:
        wanted.append(("ops", settings.ops_host, settings.ops_port))
    return wanted


def _limits(settings: Settings) -> ConnectionLimits:
    return ConnectionLimits(
        handshake=settings.handshake_timeout,
        request=settings.request_timeout,
        keep_alive=settings.idle_timeout,
        goodbye=settings.drain_timeout,
        connections=settings.max_connections,
        connections_per_peer=settings.max_connections_per_address,
        count_loopback=settings.limit_loopback_connections,
    )


def _tls_context(settings: Settings, name: str) -> ListenerContext:
    certificate: Path | None = getattr(settings, f"{name}_tls_cert_file")
    key: Path | None = getattr(settings, f"{name}_tls_key_file")
    files = TlsFiles(certificate or settings.public_tls_cert_file, key or settings.public_tls_key_file)
    try:
        return ListenerContext(files, ask_for_certificate=name != "public")
    except TlsFilesError as error:
        raise StartError(f"{name} listener ({name}_tls_cert_file, {name}_tls_key_file): {error}") from error


def _operator(settings: Settings, clock: Clock) -> AdminIdentity:
    """Whom the admin listener lets in. Raises StartError: without both settings it would be nobody, or anybody."""
    ca_file, san = settings.admin_client_ca_file, settings.admin_client_san
    if ca_file is None or not san:
        raise StartError("admin listener: admin_client_ca_file and admin_client_san are needed where admin_port is set")
    try:
        load_pem_bundle(ca_file.read_bytes())
    except OSError as error:
        raise StartError(f"admin listener (admin_client_ca_file): {ca_file}: {error.strerror}") from error
    except CertificateError as error:
        raise StartError(f"admin listener (admin_client_ca_file): {ca_file}: {error}") from error
    return AdminIdentity(ca_file, san, clock)


def _urls(settings: Settings, sockets: Mapping[str, socket.socket]) -> ServerUrls:
    """As set, else by the address each listener has here; one that listens everywhere is named by loopback."""

    def url(name: str) -> str:
        host, port = sockets[name].getsockname()[:2]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
        return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"

    return ServerUrls(settings.public_url or url("public"), settings.mtls_url or url("mtls"), settings.mtls_issuer)


def serve(
    settings: Settings, *, ops_socket: Path | None = None, stop_with: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Run until SIGTERM or SIGINT, or until `stop_with` returns. Raises StartError."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if ops_socket is None and settings.workers > 1:
            runner.run(_serve_with_workers(settings))
        else:
            runner.run(_serve(settings, ops_socket, stop_with))


async def _serve_with_workers(settings: Settings) -> None:
    from holdfast_authserver.workers.parent import WorkersFailed, run_workers  # no single server has to carry its library

    if settings.forwarded_socket is not None:
        raise StartError("forwarded_socket: a Unix socket has one owner; use forwarded_port with several workers")
    try:
        await run_workers(settings)
    except OSError as error:
        raise StartError(error.strerror or str(error)) from error
    except WorkersFailed as error:
        raise StartError(str(error)) from error


async def _serve(settings: Settings, ops_socket: Path | None, stop_with: Callable[[], Awaitable[None]] | None) -> None:
    server = AuthorizationServer(settings, ops_socket=ops_socket)
    stopping = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stopping.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, server.reopen_audit_log)
    await server.start()
    _tune_interpreter()
    if ops_socket is None:
        for name, (host, port) in server.addresses.items():
            print(f"holdfast authserver: {name} on {host}:{port}", file=sys.stderr, flush=True)
    waits = [asyncio.create_task(stopping.wait())]
    if stop_with is not None:
        waits.append(asyncio.ensure_future(stop_with()))  # type: ignore[arg-type]  # both are awaited for their end alone
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await server.stop()


def _tune_interpreter() -> None:
    """Requests make no cycles, and looking through everything the start made costs a tenth of the processor.

    The registry's driver works in a thread; under full load it would wait five milliseconds for each of its turns, and a
    change of the registry for thirty turns.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    sys.setswitchinterval(0.0005)


def prepare_logging() -> None:
    """What goes wrong, on the standard error."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)


def main(*, workers: int | None = None) -> int:
    """Settings from the environment, then `serve`. Exit code 2 and one line when it cannot start.

    `workers`: wins over the environment.
    """
    prepare_logging()
    try:
        serve(Settings() if workers is None else Settings(workers=workers))
    except ValidationError as error:
        for line in problem_lines(error.errors()):
            print(f"holdfast authserver: {line}", file=sys.stderr)
        return 2
    except (SettingsFileError, StartError) as error:
        print(f"holdfast authserver: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
