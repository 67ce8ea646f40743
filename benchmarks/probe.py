"""Asks the server a few times a second, by plan, while others load it: what is refused, and when, has to be as planned.

A client of its own is suspended, its certificate denied, itself deleted, and each time taken back: within a second of the
change it is refused, or served again, and never anything else. Tokens of the load's client are introspected young and old,
over every change of keys. Owns expectation and finding. Must not know how the load is made. Neighbour: `disturbances`.
"""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path

import httpx
import jwt

from benchmarks import product
from benchmarks.disturbances import RegistryChanges, every
from benchmarks.scenario import CLIENT_ID, FORM, SCOPE, Scenario
from holdfast.oauth.client_metadata import ClientMetadata, TrustAnchor
from tests.core.x509.authority import Authority, Issued

WITHIN = 1.0
"""Seconds after a change within which it holds everywhere."""
OLD = 45
"""Tokens that wait to be introspected: about as many seconds old they are then."""
_NUMBER = 1_000_000  # beside those of the other clients


@dataclass
class Planned:
    """The client whose refusals are intended. `served` None: a change is on its way, or not a second old."""

    client: ClientMetadata
    issued: Issued
    served: bool = True
    changed: float = 0.0
    changing: bool = False

    @classmethod
    def make(cls, scenario: Scenario, folder: Path) -> "Planned":
        """With a certificate of an authority of its own, in `folder`."""
        authority = Authority.root("CN=Probe")
        client = product.other(product.registration(scenario, product.POLICY), _NUMBER)
        anchors = (TrustAnchor(der=authority.certificate.der, shared=True),)
        assert client.subject is not None
        issued = authority.issue(uris=[client.subject.value])
        issued.write(folder)
        return cls(replace(client, trust_anchors=anchors), issued)

    @property
    def form(self) -> str:
        return f"grant_type=client_credentials&client_id={self.client.client_id}&scope={SCOPE}"

    def expected(self) -> frozenset[int]:
        """Status codes that are right at this moment."""
        if self.changing or time.monotonic() - self.changed < WITHIN:
            return frozenset({200, 401})
        return frozenset({200 if self.served else 401})

    async def change(self, served: bool, work: Awaitable[None]) -> None:
        self.changing = True
        try:
            await work
        finally:
            self.served, self.changed, self.changing = served, time.monotonic(), False

    def plan(self, registry: RegistryChanges) -> Callable[[], Awaitable[None]]:
        """One step of the plan at each call."""
        suspended, thumbprint = replace(self.client, suspended=True), self.issued.certificate.x5t_s256
        steps: cycle[tuple[bool, Callable[[], Awaitable[None]]]] = cycle(
            (
                (False, lambda: registry.put(suspended)),
                (True, lambda: registry.put(self.client)),
                (False, lambda: registry.deny(thumbprint)),
                (True, lambda: registry.deny()),
                (False, lambda: registry.delete(self.client)),
                (True, lambda: registry.put(self.client)),
            )
        )

        async def step() -> None:
            served, work = next(steps)
            await self.change(served, work())

        return step


@dataclass
class Findings:
    """What the probe has seen."""

    served: int = 0
    refused: int = 0
    """Intended refusals."""
    slowest: float = 0.0
    """Seconds after a change at which a request was begun that was still answered as before it."""
    introspected: int = 0
    kids: set[str] = field(default_factory=set)
    certificates: set[bytes] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)


class Probe:
    """Used as a context; `tick` and `introspect` are called at their times."""

    def __init__(self, scenario: Scenario, port: int, planned: Planned, folder: Path) -> None:
        self.found = Findings()
        self._planned = planned
        self._url = f"https://127.0.0.1:{port}"
        self._tls = _context(scenario.server("ca.crt"), folder / "tls.crt", folder / "tls.key")
        self._kept = self._client(self._tls)
        load = _context(scenario.server("ca.crt"), scenario.client("tls.crt"), scenario.client("tls.key"))
        self._load = self._client(load)
        self._old: deque[str] = deque()

    async def __aenter__(self) -> "Probe":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._kept.aclose()
        await self._load.aclose()

    def _client(self, tls: ssl.SSLContext) -> httpx.AsyncClient:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return httpx.AsyncClient(base_url=self._url, verify=tls, timeout=30, headers=headers)

    async def ask_warm(self) -> None:
        """The planned client on a connection that it keeps."""
        await self._judged(self._kept)

    async def ask_cold(self) -> None:
        """On a connection of its own, whose certificate is noted."""
        async with self._client(self._tls) as http:
            await self._judged(http)

    async def _judged(self, http: httpx.AsyncClient) -> None:
        before, begun = self._planned.expected(), time.monotonic()
        answer = await self._post(http, "/oauth2/token", self._planned.form)
        right = before | self._planned.expected()
        if answer is None:
            return
        self.found.served += answer.status_code == 200
        self.found.refused += answer.status_code == 401 and answer.json()["error"] == "invalid_client"
        late = begun - self._planned.changed
        if answer.status_code in {200, 401} - {200 if self._planned.served else 401} and not self._planned.changing:
            self.found.slowest = max(self.found.slowest, late)
        if answer.status_code not in right:
            got = "a token" if answer.status_code == 200 else f"{answer.status_code} {answer.text[:200]}"
            self._wrong(f"planned client, {late:.2f} s after a change: expected {sorted(right)}, got {got}")
        tls = answer.extensions["network_stream"].get_extra_info("ssl_object")
        self.found.certificates.add(tls.getpeercert(binary_form=True))

    async def introspect(self) -> None:
        """A token of now, and one that has waited: both are active, whatever keys have come and gone."""
        answer = await self._post(self._load, "/oauth2/token", FORM)
        if answer is None or answer.status_code != 200:
            self._wrong(f"load's client: expected 200, got {answer and (answer.status_code, answer.text[:200])}")
            return
        token = str(answer.json()["access_token"])
        self.found.kids.add(str(jwt.get_unverified_header(token)["kid"]))
        self._old.append(token)
        await self._active(token)
        if len(self._old) > OLD:
            await self._active(self._old.popleft())

    async def _active(self, token: str) -> None:
        answer = await self._post(self._load, "/oauth2/introspect", f"client_id={CLIENT_ID}&token={token}")
        self.found.introspected += 1
        if answer is not None and (answer.status_code != 200 or answer.json().get("active") is not True):
            self._wrong(f"introspection: expected an active token, got {answer.status_code} {answer.text[:200]}")

    async def _post(self, http: httpx.AsyncClient, path: str, form: str) -> httpx.Response | None:
        try:
            return await http.post(path, content=form)
        except httpx.HTTPError as error:
            self._wrong(f"{path}: {type(error).__name__} {error}")
            return None

    def _wrong(self, what: str) -> None:
        self.found.wrong.append(what[:300])


def _context(ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca))
    context.load_cert_chain(certificate, key)
    return context


async def run_probe(probe: Probe, stop: asyncio.Event) -> None:
    """Five warm requests a second, one cold, one pair of introspections, until told to stop."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(every(0.2, stop, probe.ask_warm))
        tasks.create_task(every(1.0, stop, probe.ask_cold))
        tasks.create_task(every(1.0, stop, probe.introspect))
