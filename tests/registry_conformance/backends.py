"""The two ways to the registry: a call in the process, and the admin API over mutual TLS."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from holdfast.registry.records import Endpoints
from holdfast_authserver.admin.app import create_admin_app
from holdfast_authserver.admin.identity import AdminIdentity
from holdfast_authserver.registry.keeper import RegistryKeeper, Times
from holdfast_authserver.registry.revoked_tokens import Bounds
from holdfast_authserver.transport.context import ListenerContext, TlsFiles
from holdfast_authserver.transport.listener import Listener, bind
from holdfast_operator.adapters.admin_api import HttpRegistry
from tests.core.x509.authority import Authority

OPERATOR = "spiffe://cluster.local/ns/holdfast-system/sa/holdfast-operator"
ENDPOINTS = Endpoints(
    issuer="https://as.example",
    token_endpoint="https://mtls.as.example/oauth2/token",
    introspection_endpoint="https://mtls.as.example/oauth2/introspect",
)


class MovableClock:
    """A clock we move. It begins at the present, so that real certificates are valid."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


@asynccontextmanager
async def open_keeper(
    folder: Path,
    clock: MovableClock,
    *,
    times: Times | None = None,
    bounds: Bounds | None = None,
    url: str | None = None,
) -> AsyncIterator[RegistryKeeper]:
    """`url`: of the database; None: a SQLite file in `folder`."""
    database = url or f"sqlite+aiosqlite:///{folder / 'registry.db'}"
    keeper = await RegistryKeeper.open(database, clock, times=times, bounds=bounds)
    keeper.endpoints = ENDPOINTS
    try:
        yield keeper
    finally:
        await keeper.close()


class AdminServer:
    """The admin listener on a free port, and the certificates to call it with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority.root("CN=Holdfast admin")
        self.ca_file = folder / "admin-ca.crt"
        self.ca_file.write_bytes(self.authority.pem)
        self.url = ""

    def registry(self, *, san: str = OPERATOR, authority: Authority | None = None, name: str = "operator") -> HttpRegistry:
        """The operator's end, with a certificate for `san`."""
        issued = (authority or self.authority).issue(uris=[san])
        certificate, key = issued.write(self.folder / name)
        return HttpRegistry(self.url, ca_file=self.ca_file, cert_file=certificate, key_file=key)


@asynccontextmanager
async def serve_admin(keeper: RegistryKeeper, folder: Path, clock: MovableClock) -> AsyncIterator[AdminServer]:
    server = AdminServer(folder)
    certificate, key = server.authority.issue(ips=["127.0.0.1"], server=True).write(folder / "server")
    context = ListenerContext(TlsFiles(certificate, key), ask_for_certificate=True)
    app = create_admin_app(keeper, AdminIdentity(server.ca_file, OPERATOR, clock))
    listener = Listener(app, bind("127.0.0.1", 0), context)
    await listener.start()
    server.url = f"https://127.0.0.1:{listener.address[1]}"
    try:
        yield server
    finally:
        await listener.stop()
