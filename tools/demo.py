"""`make demo`: a bound token, a thief who cannot use it, a forged certificate, and a client that is suspended.

Owns the story: each step says what is expected and what was seen. All of it is real: `holdfast dev` as a process on a copy
of manifests/quickstart, an API behind the middleware, requests over TLS. Exit code 0 only if every step went as expected.
Neighbours: `demo_dev`, `demo_api`.
"""

import asyncio
import signal
import ssl
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
from cryptography import x509

from holdfast.clock import system_clock
from holdfast.x509.certificate import Certificate
from holdfast_operator.adapters.folder.authority import Authority
from holdfast_operator.adapters.folder.certificate_spec import CertificateSpec, IssuerRef
from tools.demo_api import ProtectedApi, protected_api
from tools.demo_dev import Dev, DevFailed, running_dev

MANIFESTS = Path(__file__).parents[1] / "manifests" / "quickstart"
AUDIENCE, SCOPE = "https://billing.fin.svc", "invoices.read"
LIVE_WITHIN = 1.0  # seconds from saving the YAML to the first refusal


@dataclass(frozen=True, slots=True)
class Pair:
    """Files of a certificate and its key."""

    cert_file: str
    key_file: str

    @property
    def thumbprint(self) -> str:
        return Certificate.from_pem(Path(self.cert_file).read_bytes()).x5t_s256


class Story:
    """Steps in a row; remembers whether all went as expected."""

    def __init__(self) -> None:
        self.good = True
        self._number = 0

    def step(self, what: str, expected: str, seen: str) -> None:
        """Tell one step in one line."""
        self._number += 1
        same = expected == seen
        self.good = self.good and same
        print(f"{'ok  ' if same else 'FAIL'} {self._number}  {what}: expected {expected}, seen {seen}", flush=True)


class World:
    """The running processes, and how to talk to them."""

    def __init__(self, dev: Dev, api: ProtectedApi) -> None:
        self.dev, self.api = dev, api
        self.addresses = dev.ready

    def pair(self, name: str) -> Pair:
        client = self.dev.client(name)
        return Pair(client["cert_file"], client["key_file"])

    async def token(self, client_id: str, pair: Pair) -> httpx.Response:
        """A token request with the pair's certificate."""
        form = {"grant_type": "client_credentials", "client_id": client_id}
        return await self._post(self.addresses["mtls_token_endpoint"], form, pair)

    async def introspect(self, token: str) -> dict[str, Any]:
        """What the authorization server tells the API about the token."""
        form = {"token": token, "client_id": self.dev.client("billing")["client_id"]}
        answer = await self._post(self.addresses["introspection_endpoint"], form, self.pair("billing"))
        value: dict[str, Any] = answer.json()
        return value

    async def call(self, token: str, pair: Pair | None) -> httpx.Response:
        """A request to the API with the token, over a connection with the pair's certificate, or without one."""
        async with httpx.AsyncClient(verify=_context(str(self.api.ca_file), pair), trust_env=False) as client:
            return await client.get(self.api.url, headers={"Authorization": f"Bearer {token}"})

    async def _post(self, url: str, form: dict[str, str], pair: Pair) -> httpx.Response:
        async with httpx.AsyncClient(verify=_context(self.addresses["ca_file"], pair), trust_env=False) as client:
            return await client.post(url, data=form)


async def tell(folder: Path) -> bool:
    """Tell the whole story; whether all went as expected."""
    began = time.monotonic()
    story = Story()
    (folder / "api").mkdir()
    async with running_dev(folder, MANIFESTS) as dev:
        ready = dev.ready
        names = sorted(client["name"] for client in ready["clients"])
        story.step(
            "holdfast dev has enrolled the clients of manifests/quickstart", "billing, orders, rogue", ", ".join(names)
        )
        async with protected_api(folder / "api", ready["issuer"], ready["ca_file"], AUDIENCE, SCOPE) as api:
            await _acts(World(dev, api), story, folder)
    took = time.monotonic() - began
    print(f"\n{'All as expected' if story.good else 'NOT as expected'}, in {took:.1f} s. Nothing is left running.")
    return story.good


async def _acts(world: World, story: Story, folder: Path) -> None:
    token = await _enrolled(world, story)
    await _stolen(world, story, token)
    await _forged(world, story, folder)
    await _suspended(world, story, token)


async def _enrolled(world: World, story: Story) -> str:
    orders = world.pair("orders")
    answer = await world.token("shop.orders", orders)
    token = str(answer.json().get("access_token", ""))
    bound = jwt.decode(token, options={"verify_signature": False})["cnf"]["x5t#S256"] if token else "nothing"
    story.step(
        "orders asks for a token with its certificate",
        f"200, bound to {orders.thumbprint}",
        f"{answer.status_code}, bound to {bound}",
    )
    called = await world.call(token, orders)
    story.step(f"orders calls the API, certificate {orders.thumbprint}", "200", str(called.status_code))
    return token


async def _stolen(world: World, story: Story, token: str) -> None:
    rogue = world.pair("rogue")
    with_own, without = await world.call(token, rogue), await world.call(token, None)
    story.step(f"rogue replays the stolen token, certificate {rogue.thumbprint}", "401 invalid_token", _refusal(with_own))
    story.step("rogue replays it without a certificate", "401 invalid_token", _refusal(without))


async def _forged(world: World, story: Story, folder: Path) -> None:
    forged = _foreign(world.pair("orders"), folder / "foreign")
    answer = await world.token("shop.orders", forged)
    story.step(
        f"a foreign CA signs the name of orders, certificate {forged.thumbprint}, token endpoint",
        "401 invalid_client",
        f"{answer.status_code} {answer.json().get('error', 'a token')}",
    )


async def _suspended(world: World, story: Story, token: str) -> None:
    before = await world.introspect(token)
    story.step("introspection of the token of orders", "active true", _activity(before))
    orders = world.pair("orders")
    world.dev.suspend("orders")
    saved = time.monotonic()
    answer = await _first_refusal(lambda: world.token("shop.orders", orders))
    took = time.monotonic() - saved
    seen = f"{answer.status_code} {answer.json().get('error', 'a token')} within {LIVE_WITHIN:.0f} s"
    story.step(
        f"the YAML says suspend: true; orders asks again, certificate {orders.thumbprint} ({took:.2f} s after saving)",
        f"401 invalid_client within {LIVE_WITHIN:.0f} s",
        seen if took <= LIVE_WITHIN else f"{answer.status_code} after {took:.2f} s",
    )
    story.step("introspection of the token of orders", "active false", _activity(await world.introspect(token)))


async def _first_refusal(ask: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """Ask until refused, or until it is too late to count."""
    end = time.monotonic() + 3 * LIVE_WITHIN
    while True:
        answer = await ask()
        if answer.status_code != 200 or time.monotonic() > end:
            return answer
        await asyncio.sleep(0.02)


def _foreign(original: Pair, folder: Path) -> Pair:
    """A certificate with the very names of `original`, signed by a CA of our own."""
    names = Certificate.from_pem(Path(original.cert_file).read_bytes()).uris
    issued = Authority(folder / "ca", "workloads (holdfast dev)", system_clock).sign(
        CertificateSpec(
            secret_name="forged",  # noqa: S106  a name
            issuer=IssuerRef(name="foreign", kind="Issuer"),
            duration=timedelta(hours=1),
            usages=frozenset({"client auth", "digital signature"}),
            names=tuple(x509.UniformResourceIdentifier(name) for name in names),
        )
    )
    pair = Pair(str(folder / "tls.crt"), str(folder / "tls.key"))
    Path(pair.cert_file).write_bytes(issued.certificate)
    Path(pair.key_file).write_bytes(issued.key)
    return pair


def _context(ca_file: str, pair: Pair | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    if pair is not None:
        context.load_cert_chain(pair.cert_file, pair.key_file)
    return context


def _refusal(response: httpx.Response) -> str:
    """Status and error code (RFC 6750 section 3.1)."""
    challenge = response.headers.get("www-authenticate", "")
    code = challenge.partition('error="')[2].partition('"')[0]
    return f"{response.status_code} {code}".strip()


def _activity(answer: dict[str, Any]) -> str:
    return f"active {str(answer.get('active', answer.get('error'))).lower()}"


async def _until_ended(folder: Path) -> bool:
    """The story; SIGTERM ends it as Ctrl-C does, so that nothing is left running."""
    task = asyncio.ensure_future(tell(folder))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def main() -> int:
    """Run the demo in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="holdfast-demo-") as folder:
        try:
            return 0 if asyncio.run(_until_ended(Path(folder))) else 1
        except asyncio.CancelledError:
            return 1
        except DevFailed as error:
            print(f"FAIL {error}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
