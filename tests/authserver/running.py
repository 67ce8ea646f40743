"""A real authorization server for tests: real TLS on 127.0.0.1, real SQLite, clients put through the registry's port.

    async with running(tmp_path) as server:
        await server.put(client("shop.orders", anchors=[server.ca]))
        async with server.http(certificate) as http:
            response = await http.post(server.token_endpoint, data={...})

The clock is real unless one is given. Tokens are not held back: the registry is confirmed once the server is up.
"""

import ssl
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from holdfast.clock import Clock, system_clock
from holdfast.oauth.client_metadata import ClientMetadata, Owner, TrustAnchor
from holdfast.policy.model import EffectivePolicy
from holdfast.registry.port import Registry
from holdfast.x509.subject import SubjectKind, parse_subject_rule
from holdfast_authserver.registry.keeper import RegistryKeeper
from holdfast_authserver.server import AuthorizationServer
from holdfast_authserver.settings import Settings
from holdfast_authserver.transport.limits import ConnectionLimits
from tests.core.x509.authority import Authority, Issued

POLICY = EffectivePolicy(trust_domain="cluster.local", cluster_domain="cluster.local")


class MovingClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime | None = None) -> None:
        self.now = now or datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


def client(client_id: str = "shop.orders", *, anchors: Sequence[Authority], **changes: Any) -> ClientMetadata:
    """A `tls_client_auth` client known by the SPIFFE URI of its ServiceAccount, under anchors that are shared."""
    namespace, _, name = client_id.partition(".")
    metadata = ClientMetadata(
        client_id=client_id,
        owner=Owner(namespace=namespace, name=name, uid=f"uid-{client_id}", generation=1, service_account=name),
        token_endpoint_auth_method="tls_client_auth",
        subject=parse_subject_rule(SubjectKind.URI, spiffe_id(client_id)),
        trust_anchors=tuple(TrustAnchor(der=a.certificate.der, shared=True) for a in anchors),
        grant_types=("client_credentials",),
        scopes=("orders.read", "orders.write"),
        resources=(),
        resource_server=None,
        certificate_bound=True,
        token_lifetime=None,
        suspended=False,
        policy=POLICY.hash,
    )
    return replace(metadata, **changes)


def spiffe_id(client_id: str) -> str:
    namespace, _, name = client_id.partition(".")
    return f"spiffe://cluster.local/ns/{namespace}/sa/{name}"


@dataclass
class RunningServer:
    """A started server. `ca` issues clients' certificates; `server_ca` the server's own."""

    server: AuthorizationServer
    ca: Authority
    server_ca: Authority
    folder: Path
    term: int
    _generations: dict[str, int] = field(default_factory=dict)

    @property
    def registry(self) -> Registry:
        return self.server.registry

    @property
    def issuer(self) -> str:
        return self.server.urls.issuer

    @property
    def mtls(self) -> str:
        return self.server.urls.mtls

    @property
    def token_endpoint(self) -> str:
        return self.server.endpoints.token_endpoint

    @property
    def introspection_endpoint(self) -> str:
        return self.server.endpoints.introspection_endpoint

    @property
    def revocation_endpoint(self) -> str:
        return f"{self.mtls}/oauth2/revoke"

    @property
    def ports(self) -> dict[str, Any]:
        """Settings that give a restarted server the same URLs."""
        urls = self.server.urls
        return {"public_port": int(urls.issuer.rpartition(":")[2]), "mtls_port": int(urls.mtls.rpartition(":")[2])}

    @property
    def audit_log(self) -> Path:
        return self.folder / "audit.log"

    async def put(self, metadata: ClientMetadata, policy: EffectivePolicy = POLICY) -> None:
        """Register or change a client under `policy`; the generation grows by itself."""
        generation = self._generations[metadata.client_id] = self._generations.get(metadata.client_id, 0) + 1
        owner = replace(metadata.owner, generation=generation)
        await self.registry.put_policy(policy, term=self.term)
        await self.registry.put_client(replace(metadata, owner=owner, policy=policy.hash), term=self.term)

    def certificate(self, client_id: str = "shop.orders", **changes: Any) -> Issued:
        """A certificate of `ca` with the client's SPIFFE URI."""
        return self.ca.issue(uris=[spiffe_id(client_id)], **changes)

    def http(self, certificate: Issued | None = None, *, ciphers: str | None = None) -> httpx.AsyncClient:
        """A client that trusts the server and shows `certificate`, or none."""
        return httpx.AsyncClient(verify=self.tls(certificate, ciphers=ciphers), timeout=10)

    def tls(self, certificate: Issued | None = None, *, ciphers: str | None = None) -> ssl.SSLContext:
        """The TLS context of such a client."""
        context = ssl.create_default_context(cadata=self.server_ca.pem.decode())
        if ciphers is not None:
            context.set_ciphers(ciphers)
        if certificate is not None:
            with tempfile.TemporaryDirectory() as folder:
                context.load_cert_chain(*certificate.write(Path(folder)))
        return context

    async def token(self, certificate: Issued, client_id: str = "shop.orders", **form: str) -> httpx.Response:
        """Ask for a token at the mTLS endpoint."""
        async with self.http(certificate) as http:
            return await http.post(self.token_endpoint, data=token_form(client_id, **form))

    async def introspect(self, certificate: Issued, token: str, client_id: str = "shop.orders") -> dict[str, Any]:
        """What introspection says of `token` to this client."""
        async with self.http(certificate) as http:
            form = {"client_id": client_id, "token": token}
            response = await http.post(self.introspection_endpoint, data=form)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer


def token_form(client_id: str = "shop.orders", **form: str) -> dict[str, str]:
    return {"grant_type": "client_credentials", "client_id": client_id, **form}


def settings_in(folder: Path, server_ca: Authority, **changes: Any) -> Settings:
    """Settings of a server on free ports that keeps everything in `folder`."""
    certificate, key = folder / "listener" / "tls.crt", folder / "listener" / "tls.key"
    if not certificate.exists():
        server_ca.issue("CN=localhost", dns=["localhost"], ips=["127.0.0.1"], server=True).write(certificate.parent)
    values: dict[str, Any] = {
        "public_port": 0,
        "mtls_port": 0,
        "public_tls_cert_file": certificate,
        "public_tls_key_file": key,
        "database_url": f"sqlite+aiosqlite:///{folder / 'registry.db'}",
        "keys_dir": folder / "keys",
        "audit_log": str(folder / "audit.log"),
        "throttle_loopback": False,
        "audit_refusals_per_minute": 0,
    }
    return Settings(**(values | changes))


async def make_registry(folder: Path, born: datetime) -> None:
    """The registry that a server in `folder` will find: one that began then, with nobody in it."""
    keeper = await RegistryKeeper.open(f"sqlite+aiosqlite:///{folder / 'registry.db'}", MovingClock(born))
    await keeper.close()


@asynccontextmanager
async def running(
    folder: Path,
    *,
    clock: Clock = system_clock,
    ca: Authority | None = None,
    server_ca: Authority | None = None,
    limits: ConnectionLimits | None = None,
    confirm: bool = True,
    **settings: Any,
) -> AsyncIterator[RunningServer]:
    """Start a server in `folder`, stop it at the end. The same folder again is the same server, restarted."""
    server_ca = server_ca or Authority.root("CN=Server Root")
    server = AuthorizationServer(settings_in(folder, server_ca, **settings), clock, limits=limits)
    await server.start()
    try:
        term = await server.registry.open_term("tests")
        if confirm:
            await server.registry.confirm(term=term)
        yield RunningServer(server, ca or Authority.root("CN=Workloads Root"), server_ca, folder, term)
    finally:
        await server.stop()
