"""Server, engine and folder in one process: start, follow the folder, stop.

Owns the order in which they start and stop, and when a change has gone all the way. Neighbours: `report` looks at the
result; `holdfast_cli.dev` runs it.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from holdfast.clock import Clock
from holdfast_authserver.server import AuthorizationServer, StartError
from holdfast_authserver.settings import Settings
from holdfast_cli.local.data_folder import HOST, DataFolder, Ports, StartRefused, check_readable
from holdfast_cli.local.listener_certificates import ListenerCertificates
from holdfast_cli.local.report import Addresses, Report, make_report
from holdfast_cli.local.watching import changes, look
from holdfast_operator.adapters.folder.authority import AuthorityError
from holdfast_operator.adapters.folder.cluster import FolderCluster
from holdfast_operator.converge.reconciler import Reconciler
from holdfast_operator.engine.engine import Engine
from holdfast_operator.reconcile.ports import ClusterError, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings

FIRST_PASS = 15.0  # seconds until the first report is given whatever is still under way
LATER_PASS = 2.0  # seconds; a client that waits for something is reported as waiting
LISTENER_CHECK = 3600.0  # seconds between looks at the listeners' certificates, which last for weeks

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalOptions:
    """What `holdfast dev` was asked for; paths absolute."""

    root: Path
    data: Path
    ports: Ports


class LocalPlane:
    """Everything, in the running event loop."""

    def __init__(self, options: LocalOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._running = AsyncExitStack()
        self._background: list[asyncio.Task[None]] = []
        self._changes = 0
        self._changed = asyncio.Event()

    def hold(self) -> None:
        """Make the data folder this process's own, until `stop`. Raises StartRefused."""
        check_readable(self._options.root)
        self._data = DataFolder.open(self._options.data)
        self._running.callback(self._data.close)

    async def start(self) -> None:
        """Start all of it and wait until the first pass is done, after `hold`.

        Raises StartRefused, and leaves nothing running then.
        """
        try:
            await self._start()
        except (StartError, AuthorityError, ClusterError, OSError) as error:
            await self.stop()
            raise StartRefused(str(error)) from error
        except ValidationError as error:
            await self.stop()
            problem = error.errors()[0]
            raise StartRefused(f"setting {'.'.join(map(str, problem['loc']))}: {problem['msg']}") from error
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop all of it, in the reverse order."""
        await self._running.aclose()

    async def report(self) -> Report:
        """The state of things now."""
        return await make_report(self._cluster, self._addresses)

    async def reports(self) -> AsyncIterator[Report]:
        """A report now, and one after each change that has gone all the way."""
        while True:
            self._changed.clear()
            yield await self.report()
            await self._until_changed()
            await self._settled(LATER_PASS)

    async def _until_changed(self) -> None:
        """Also the end of what works in the background: it is not to end, and raises here why it did."""
        changed = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait((changed, *self._background), return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
        for task in self._background:
            if task.done():
                task.result()

    async def _start(self) -> None:
        options = self._options
        since = look(options.root, options.data)
        self._certificates = ListenerCertificates(options.data, self._clock)
        self._certificates.renew()
        self._cluster = FolderCluster(options.root, options.data, self._clock)
        self._server = await self._start_server()
        self._addresses = self._find_addresses()
        await self._start_engine()
        self._spawn(self._follow(since))
        self._spawn(self._renew_listeners())
        await self._confirmed()
        await self._settled(FIRST_PASS)

    async def _start_server(self) -> AuthorizationServer:
        ports = self._data.choose_ports(self._options.ports)
        server = AuthorizationServer(self._settings(ports), self._clock)
        await server.start()
        self._running.push_async_callback(server.stop)
        self._data.remember_ports(Ports(server.addresses["public"][1], server.addresses["mtls"][1]))
        return server

    def _settings(self, ports: Ports) -> Settings:
        data = self._options.data
        return Settings(
            public_host=HOST,
            public_port=ports.public,
            mtls_host=HOST,
            mtls_port=ports.mtls,
            admin_port=None,
            ops_port=None,
            public_url=None,
            mtls_url=None,
            public_tls_cert_file=self._certificates.cert_file,
            public_tls_key_file=self._certificates.key_file,
            mtls_tls_cert_file=None,
            mtls_tls_key_file=None,
            database_url=f"sqlite+aiosqlite:///{data / 'registry.db'}",
            keys_dir=data / "keys",
            audit_log=str(data / "audit.log"),
            throttle_loopback=False,
        )

    def _find_addresses(self) -> Addresses:
        urls, endpoints = self._server.urls, self._server.endpoints
        return Addresses(
            issuer=urls.issuer,
            mtls_issuer=urls.mtls,
            metadata_url=f"{urls.issuer}/.well-known/oauth-authorization-server",
            token_endpoint=f"{urls.issuer}/oauth2/token",
            mtls_token_endpoint=endpoints.token_endpoint,
            introspection_endpoint=endpoints.introspection_endpoint,
            ca_file=str(self._certificates.ca_file),
            pid=os.getpid(),
        )

    async def _start_engine(self) -> None:
        settings = ReconcileSettings(server_ca_file=self._certificates.ca_file)
        self._reconciler = Reconciler(self._cluster, self._server.registry, settings, self._clock)
        self._engine = Engine(self._reconciler)
        self._cluster.subscribe(self._take_in)
        await self._cluster.start()
        self._running.push_async_callback(self._cluster.stop)
        await self._engine.start()
        self._running.push_async_callback(self._engine.stop)

    def _take_in(self, kind: Kind, obj: Object, gone: bool) -> None:
        self._changes += 1
        self._changed.set()
        self._engine.on_change(kind, obj, deleted=gone)

    async def _follow(self, since: frozenset[tuple[str, int, int, int]]) -> None:
        async for _ in changes(self._options.root, skip=self._options.data, since=since):
            try:
                await self._cluster.refresh()
            except OSError as error:
                log.error("the change in %s could not be kept: %s", self._options.root, error)
            except Exception:
                # What the folder declared before stays in force, and the next edit is looked at again.
                log.exception("the change in %s could not be read, in a way nobody foresaw", self._options.root)
            self._changed.set()  # problems may have come or gone without any object changing

    async def _renew_listeners(self) -> None:
        while True:
            await asyncio.sleep(LISTENER_CHECK)
            try:
                self._certificates.renew()
            except OSError as error:
                log.error("the listeners' certificate could not be renewed: %s", error)

    async def _confirmed(self) -> None:
        """Wait until the engine has compared the registry with the objects: then tokens are given out."""
        async with asyncio.timeout(FIRST_PASS):
            while not (await self._server.registry.describe()).confirmed:  # noqa: ASYNC110  the port cannot call back
                await asyncio.sleep(0.02)

    async def _settled(self, limit: float) -> None:
        """Wait until nothing changes any more: certificates issued, queue empty."""
        try:
            async with asyncio.timeout(limit):
                seen = -1
                while seen != self._changes:
                    seen = self._changes
                    await self._cluster.issue()
                    await self._engine.settled()
        except TimeoutError:
            return
        except OSError as error:
            log.error("certificates cannot be written: %s", error)  # the cluster tries again by itself

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._background.append(task)

        async def end() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._running.push_async_callback(end)
