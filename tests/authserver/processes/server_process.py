"""The server as an operating system runs it: `python -m holdfast_authserver.server`, told by environment variables.

Clients are registered through a keeper of the test's own on the same database, as another replica would do it.
"""

import os
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.policy.model import EffectivePolicy
from holdfast_authserver.registry.keeper import RegistryKeeper
from tests.authserver.registry.waiting import until
from tests.authserver.running import POLICY, MovingClock, settings_in, spiffe_id, token_form
from tests.core.x509.authority import Authority, Issued

SERVER = (sys.executable, "-m", "holdfast_authserver.server")
KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


@dataclass
class ServerProcess:
    """A started server and the ports it said it has."""

    process: "subprocess.Popen[bytes]"
    log: Path
    server_ca: Authority

    @property
    def pid(self) -> int:
        return self.process.pid

    def children(self) -> list[int]:
        """The workers."""
        try:
            return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        except FileNotFoundError:
            return []

    def port(self, listener: str) -> int:
        line = next(line for line in self.log.read_text().splitlines() if f": {listener} on " in line)
        return int(line.rpartition(":")[2])

    def url(self, path: str) -> str:
        return f"https://127.0.0.1:{self.port('mtls')}{path}"

    async def post(self, certificate: Issued, folder: Path, path: str, form: dict[str, str]) -> httpx.Response:
        """On a connection of its own, so that any of the workers may get it."""
        context = ssl.create_default_context(cadata=self.server_ca.pem.decode())
        context.load_cert_chain(*certificate.write(folder / "client"))
        async with httpx.AsyncClient(verify=context, timeout=10) as http:
            return await http.post(self.url(path), data=form)

    async def operations(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(timeout=10) as http:
            return await http.get(f"http://127.0.0.1:{self.port('ops')}{path}")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)


def environment(folder: Path, server_ca: Authority, **settings: Any) -> dict[str, str]:
    wanted = settings_in(folder, server_ca, **{"ops_port": 0, "startup_hold": 0, **settings})
    values = wanted.model_dump(exclude_unset=True)
    return os.environ | {f"HOLDFAST_{name.upper()}": _text(value) for name, value in values.items()}


def _text(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


@asynccontextmanager
async def started(
    folder: Path, *, name: str = "server", command: Sequence[str] = SERVER, **settings: Any
) -> AsyncIterator[ServerProcess]:
    """Until it serves; ended at the end, whatever became of it."""
    server_ca = Authority.root("CN=Server Root")
    own = folder / name
    own.mkdir()
    log = own / "stderr"
    with log.open("wb") as stderr:
        process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
            [*command], env=environment(own, server_ca, **settings), stderr=stderr
        )
    server = ServerProcess(process, log, server_ca)
    workers: list[int] = []
    try:
        await until(lambda: process.poll() is not None or ": ops on " in log.read_text(), 30)
        assert process.poll() is None, log.read_text()
        workers = server.children()
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(20)
        await until(lambda: not any(alive(pid) for pid in workers), 20)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@asynccontextmanager
async def registering(url: str) -> AsyncIterator["Registering"]:
    """A writer beside the servers."""
    keeper = await RegistryKeeper.open(url, MovingClock())
    try:
        term = await keeper.writer.open_term("tests")
        await keeper.writer.confirm(term=term)
        yield Registering(keeper, term)
    finally:
        await keeper.close()


@dataclass
class Registering:
    keeper: RegistryKeeper
    term: int

    async def put(self, client: ClientMetadata, policy: EffectivePolicy = POLICY) -> None:
        await self.keeper.writer.put_policy(policy, term=self.term)
        await self.keeper.writer.put_client(replace(client, policy=policy.hash), term=self.term)


class Caller:
    """`shop.orders` with its certificate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = Authority.root("CN=Workloads Root")
        self.certificate = self.ca.issue(uris=[spiffe_id("shop.orders")])

    async def token(self, server: ServerProcess) -> httpx.Response:
        return await server.post(self.certificate, self.folder, "/oauth2/token", token_form())

    async def active(self, server: ServerProcess, token: str) -> bool:
        form = {"client_id": "shop.orders", "token": token}
        answer = await server.post(self.certificate, self.folder, "/oauth2/introspect", form)
        assert answer.status_code == 200, answer.text
        return bool(answer.json()["active"])

    async def revoke(self, server: ServerProcess, token: str) -> int:
        form = {"client_id": "shop.orders", "token": token}
        return (await server.post(self.certificate, self.folder, "/oauth2/revoke", form)).status_code
