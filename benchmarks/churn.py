"""Clients that come, change and go while parts of the installation are killed, and what each of them was promised.

Owns the lives of clients and what the API server acknowledged of them; an answer that did not come is asked for again until
it does. Must not know what is killed. Neighbours: `crowd` (how a client is written), `chaos` (what is compared in the end).
"""

import asyncio
import base64
import json
import random
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import httpx

from benchmarks import crowd as crowds
from benchmarks.crowd import Crowd, Member, Object
from tests.controlplane.cluster import LocalCluster
from tests.core.x509.authority import Authority

LIFETIME = "20s"
"""Of tokens: a self-signed certificate that was renewed is registered for as long as those that were got with it live."""
CHANGES = 4
"""At most, of one client."""
DELETED = 0.55
"""Share of the clients that are deleted in the end."""
_AGAIN = 0.5  # seconds
_APPLY = {"Content-Type": "application/apply-patch+yaml"}


class Form(Enum):
    """Where a client's certificate comes from."""

    OWN = "brings its certificate"
    ISSUED = "cert-manager issues it"
    SELF_SIGNED = "cert-manager issues it, and the client is known by it"


class Refused(Exception):
    """The API server refused what it should take: a defect of the chaos or of the product."""


@dataclass(eq=False)
class Life:
    """One client. `spec`: as last acknowledged. `gone`: when the object was seen to be gone."""

    member: Member
    form: Form
    spec: Object = field(default_factory=dict)
    deleting: bool = False
    gone: float | None = None
    held: bool = False
    """Whether the finalizer was on it when it was deleted."""
    pair: tuple[Path, Path] | None = None
    """Certificate and key, once there is one."""


@dataclass(frozen=True)
class Late:
    """A token that a client got `after` seconds after its object was gone, `at` seconds after the beginning."""

    life: Life
    after: float
    at: float

    def __str__(self) -> str:
        held = "with" if self.life.held else "without"
        return (
            f"{self.life.member.client_id} at {self.at:.1f} s, {self.after:.1f} s after it was deleted {held} its finalizer"
        )


@dataclass
class Churn:
    """`end`: moment of the monotonic clock after which nothing is begun any more."""

    cluster: LocalCluster
    rng: random.Random
    authority: Authority
    folder: Path
    begin: float
    end: float
    lives: list[Life] = field(default_factory=list)
    did: Counter[str] = field(default_factory=Counter)
    late: list["Late"] = field(default_factory=list)

    async def run(self, count: int) -> None:
        """All lives, renewals and questions for tokens beside them. Raises Refused."""
        members = crowds.members("chaos", count)
        self.lives = [Life(member, self.rng.choices(list(Form), (60, 25, 15))[0]) for member in members]
        async with self.connected():
            await self._crowd.prepare(members, self.authority)
            async with asyncio.TaskGroup() as group:
                beside = [group.create_task(loop()) for loop in (self._renew, self._probe)]
                for life in self.lives:
                    group.create_task(self._live(life, random.Random(self.rng.random())))
                await asyncio.sleep(max(0.0, self.end - time.monotonic()))
                for task in beside:
                    task.cancel()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """To the API server, in the loop that this is called in."""
        self._crowd = Crowd(self.cluster.plane)
        try:
            yield
        finally:
            await self._crowd.http.aclose()

    async def _live(self, life: Life, rng: random.Random) -> None:
        span = self.end - self.begin
        await self._sleep(rng.uniform(0, span * 0.8))
        for number in range(1 + rng.randint(0, CHANGES)):
            suspended = number > 0 and rng.random() < 0.15
            await self._apply(life, {"scopes": [f"s{rng.randint(0, 99)}", "read"], "suspend": suspended})
            self.did["changes acknowledged" if number else "clients made"] += 1
            await self._sleep(rng.expovariate(8 / span))
        if rng.random() < DELETED:
            await self._delete(life)
            self.did["clients deleted"] += 1

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, min(seconds, self.end - time.monotonic())))

    async def _apply(self, life: Life, changed: Object) -> None:
        wanted = _manifest(life, changed)
        query = {"fieldManager": "chaos", "force": "true"}
        answer = await self._insist("PATCH", _path(life), params=query, content=json.dumps(wanted), headers=_APPLY)
        if answer.is_error:
            raise Refused(f"{life.member.client_id}: {answer.status_code} {answer.text[:300]}")
        life.spec = wanted["spec"]

    async def _delete(self, life: Life) -> None:
        if life.form is not Form.OWN:
            await self.fetch(life)
        life.deleting = True
        answer = await self._insist("DELETE", _path(life))
        life.held = answer.is_success and bool(answer.json().get("metadata", {}).get("finalizers"))
        while (await self._insist("GET", _path(life))).status_code != 404:  # noqa: ASYNC110  a watch may be cut off
            await asyncio.sleep(_AGAIN)
        life.gone = time.monotonic()

    async def _insist(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Until there is an answer that is the API server's own."""
        while True:
            try:
                answer = await self._crowd.http.request(method, path, **request)
                if answer.status_code < 500 and answer.status_code not in (409, 429):
                    return answer
                self.did[f"answers {answer.status_code}"] += 1
            except httpx.TransportError:
                self.did["requests cut off"] += 1
            await asyncio.sleep(_AGAIN)

    # What a client holds, and what it gets for it.

    async def fetch(self, life: Life) -> None:
        """Its certificate and key, as they are now; a client that brings its own has it from the start."""
        if life.form is Form.OWN:
            if life.pair is None:
                place = self.folder / life.member.client_id
                place.mkdir()
                life.pair = self.authority.issue(dns=[life.member.host]).write(place)
            return
        path = f"/api/v1/namespaces/{life.member.namespace}/secrets/{life.member.name}-mtls"
        answer = await self._insist("GET", path)
        if answer.is_success and answer.json().get("data", {}).get("tls.crt"):
            life.pair = _laid(self.folder / life.member.client_id, answer.json()["data"])

    async def token(self, life: Life) -> int:
        """The status of the answer; 0: none came, or the client never had a certificate."""
        if life.pair is None:
            return 0
        trust = ssl.create_default_context(cafile=str(self.cluster.ca_file))
        trust.load_cert_chain(*life.pair)
        form = {"grant_type": "client_credentials", "client_id": life.member.client_id}
        try:
            async with httpx.AsyncClient(verify=trust, trust_env=False) as http:
                return (await http.post(f"{self.cluster.mtls_issuer}/oauth2/token", data=form)).status_code
        except httpx.TransportError:
            return 0

    async def notes(self, reason: str) -> list[str]:
        """Of the events with that reason that the API server still has."""
        answer = await self._insist("GET", "/apis/events.k8s.io/v1/events")
        found = (event for event in answer.json()["items"] if event.get("reason") == reason)
        return [f"{event['regarding']['name']}: {event['note']}" for event in found]

    async def _probe(self) -> None:
        """Whoever is deleted asks for tokens all the time."""
        while True:
            await asyncio.sleep(0.05)
            gone = [life for life in self.lives if life.gone is not None and life.pair is not None]
            if gone:
                life = self.rng.choice(gone[-20:])
                since = time.monotonic() - (life.gone or 0.0)
                self.did["tokens asked for by the deleted"] += 1
                if await self.token(life) == 200:
                    self.late.append(Late(life, since, time.monotonic() - self.begin))
            elif own := [life for life in self.lives if life.form is Form.OWN and life.pair is None]:
                await self.fetch(own[0])

    async def _renew(self) -> None:
        """Have certificates issued anew, as `cmctl renew` does."""
        while True:
            await asyncio.sleep(self.rng.uniform(0.5, 2.0))
            issued = [life for life in self._alive() if life.form is not Form.OWN]
            if issued and await self._issue_anew(self.rng.choice(issued)):
                self.did["renewals asked for"] += 1

    async def _issue_anew(self, life: Life) -> bool:
        path = f"/apis/cert-manager.io/v1/namespaces/{life.member.namespace}/certificates/{life.member.name}"
        condition = {"type": "Issuing", "status": "True", "reason": "Chaos", "message": "renewed",
                     "lastTransitionTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}  # fmt: skip
        body = {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "status": {"conditions": [condition]},
                "metadata": {"name": life.member.name, "namespace": life.member.namespace}}  # fmt: skip
        if not (await self._insist("GET", path)).is_success:
            return False
        query = {"fieldManager": "chaos", "force": "true"}
        answer = await self._insist("PATCH", f"{path}/status", params=query, content=json.dumps(body), headers=_APPLY)
        return answer.is_success

    def _alive(self) -> Iterator[Life]:
        return (life for life in self.lives if life.spec and not life.deleting)


def _path(life: Life) -> str:
    return f"/apis/holdfast.dev/v1alpha1/namespaces/{life.member.namespace}/oauthclients/{life.member.name}"


def _manifest(life: Life, changed: Object) -> Object:
    make = crowds.own_certificate if life.form is Form.OWN else crowds.issued_certificate
    made = make(life.member)
    spec = {**made["spec"], "tokens": {"lifetime": LIFETIME}, **changed}
    if life.form is Form.SELF_SIGNED:
        spec["authentication"] = {"method": "self_signed_tls_client_auth"}
    return {**made, "spec": spec}


def _laid(folder: Path, data: dict[str, str]) -> tuple[Path, Path]:
    folder.mkdir(exist_ok=True)
    pair = folder / "tls.crt", folder / "tls.key"
    for path in pair:
        path.write_bytes(base64.b64decode(data[path.name]))
    return pair
