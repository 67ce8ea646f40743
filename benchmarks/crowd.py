"""Thousands of OAuthClients on a real API server: made over many connections, counted as they become Ready.

Owns what a client of the crowd looks like, and how the crowd is written and watched. Must not know what is measured with
it (`operator_scale`). Each namespace holds a hundred clients and one ConfigMap with the CA that issued their certificates.
"""

import asyncio
import json
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from tests.controlplane.plane.plane import ControlPlane
from tests.core.x509.authority import Authority

PER_NAMESPACE = 100
CONNECTIONS = 24
"""Requests under way at once."""
_CLIENTS = "/apis/holdfast.dev/v1alpha1"
_CERTIFICATES = "/apis/cert-manager.io/v1"
_NAME = re.compile(rb'"name":"(c\d{5})","namespace":"([a-z0-9-]+)"')
_READY = re.compile(rb'"status":"True","type":"Ready"')

Object = dict[str, Any]


@dataclass(frozen=True)
class Member:
    """One client of the crowd."""

    namespace: str
    name: str

    @property
    def client_id(self) -> str:
        return f"{self.namespace}.{self.name}"

    @property
    def host(self) -> str:
        return f"{self.name}.{self.namespace}.example.com"


def members(prefix: str, count: int) -> list[Member]:
    """`count` of them, a hundred to a namespace."""
    return [Member(f"{prefix}-{i // PER_NAMESPACE:03}", f"c{i:05}") for i in range(count)]


def own_certificate(member: Member) -> Object:
    """A client that brings its certificate."""
    subject = {"subject": {"dns": member.host}, "trustAnchors": [{"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}]}
    return _client(member, {"authentication": subject})


def issued_certificate(member: Member) -> Object:
    """A client whose certificate cert-manager issues."""
    return _client(member, {"certificate": {"issuerRef": {"name": "workloads", "kind": "ClusterIssuer"}}})


def _client(member: Member, spec: Object) -> Object:
    metadata = {"name": member.name, "namespace": member.namespace}
    spec = {**spec, "grantTypes": ["client_credentials"], "scopes": ["orders.read"]}
    return {"apiVersion": "holdfast.dev/v1alpha1", "kind": "OAuthClient", "metadata": metadata, "spec": spec}


def bare_certificate(member: Member, like: Object) -> Object:
    """A Certificate as the operator makes it (`like`: a spec of its), without a client."""
    metadata = {"name": member.name, "namespace": member.namespace}
    spiffe = f"spiffe://cluster.local/ns/{member.namespace}/sa/{member.name}"
    spec = {**like, "secretName": f"{member.name}-mtls", "uris": [spiffe]}
    return {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": metadata, "spec": spec}


class Crowd:
    """Writes and watches over connections of its own, as the cluster's administrator."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        context = ssl.create_default_context(cafile=str(plane.ca_file))
        admin = plane.root / "pki" / "admin"
        context.load_cert_chain(admin.with_suffix(".crt"), admin.with_suffix(".key"))
        limits = httpx.Limits(max_connections=CONNECTIONS + 4, max_keepalive_connections=CONNECTIONS + 4)
        self.http = httpx.AsyncClient(base_url=plane.url, verify=context, timeout=60, limits=limits, trust_env=False)

    async def prepare(self, crowd: Sequence[Member], authority: Authority) -> None:
        """Namespaces, each with the CA."""
        ca = {"ca.crt": authority.pem.decode()}
        for namespace in sorted({member.namespace for member in crowd}):
            await self.write("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
            path = f"/api/v1/namespaces/{namespace}/configmaps"
            await self.write("POST", path, {"metadata": {"name": "ca"}, "data": ca})

    async def create(self, crowd: Iterable[Member], form: Callable[[Member], Object]) -> float:
        """Seconds that it took."""

        async def one(member: Member) -> None:
            await self.write("POST", f"{_CLIENTS}/namespaces/{member.namespace}/oauthclients", form(member))

        return await self._each(crowd, one)

    async def create_certificates(self, objects: Iterable[Object]) -> float:
        async def one(obj: Object) -> None:
            await self.write("POST", f"{_CERTIFICATES}/namespaces/{obj['metadata']['namespace']}/certificates", obj)

        return await self._each(objects, one)

    async def certificate(self, member: Member) -> Object:
        found = await self.http.get(f"{_CERTIFICATES}/namespaces/{member.namespace}/certificates/{member.name}")
        found.raise_for_status()
        value: Object = found.json()
        return value

    async def patch(self, member: Member, spec: Object) -> None:
        path = f"{_CLIENTS}/namespaces/{member.namespace}/oauthclients/{member.name}"
        answer = await self.http.patch(path, content=json.dumps({"spec": spec}), headers={"Content-Type": _MERGE})
        answer.raise_for_status()

    async def write(self, method: str, path: str, obj: Object) -> None:
        answer = await self.http.request(method, path, json=obj)
        if answer.is_error and answer.status_code != 409:
            raise SystemExit(f"{method} {path}: {answer.status_code} {answer.text[:300]}")

    async def resource_version(self, certificates: bool = False) -> str:
        answer = await self.http.get(self._kind(certificates), params={"limit": 1})
        version: str = answer.json()["metadata"]["resourceVersion"]
        return version

    async def until_ready(self, crowd: Iterable[Member], since: str, seconds: float, *, certificates: bool = False) -> float:
        """Watch from a resourceVersion until each was seen Ready; seconds that it took. Raises TimeoutError."""
        started, waiting = time.monotonic(), {(m.namespace.encode(), m.name.encode()) for m in crowd}
        async with asyncio.timeout(seconds):
            await self._watch(since, waiting, certificates)
            while waiting:  # the watch has ended, and its resourceVersion may be too old for another
                await self._watch(await self._list(waiting, certificates), waiting, certificates)
        return time.monotonic() - started

    async def _list(self, waiting: set[tuple[bytes, bytes]], certificates: bool) -> str:
        """Note who is Ready by now; answers the resourceVersion to watch from."""
        query: dict[str, str] = {"limit": "500"}
        while True:
            page = (await self.http.get(self._kind(certificates), params=query)).json()
            for item in page["items"]:
                _note(json.dumps(item, sort_keys=True, separators=(",", ":")).encode(), waiting)
            following = page["metadata"].get("continue")
            if not following:
                version: str = page["metadata"]["resourceVersion"]
                return version
            query["continue"] = following

    async def _watch(self, since: str, waiting: set[tuple[bytes, bytes]], certificates: bool) -> None:
        query = {"watch": "1", "resourceVersion": since, "allowWatchBookmarks": "true", "timeoutSeconds": "280"}
        async with self.http.stream("GET", self._kind(certificates), params=query, timeout=300) as answer:
            rest = b""
            async for part in answer.aiter_bytes():
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    _note(line, waiting)
                if not waiting:
                    break

    def _kind(self, certificates: bool) -> str:
        return f"{_CERTIFICATES}/certificates" if certificates else f"{_CLIENTS}/oauthclients"

    async def _each(self, things: Iterable[Any], work: Callable[[Any], Awaitable[None]]) -> float:
        started, left = time.monotonic(), iter(things)

        async def worker() -> None:
            for thing in left:
                await work(thing)

        await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))
        return time.monotonic() - started


_MERGE = "application/merge-patch+json"


def _note(line: bytes, waiting: set[tuple[bytes, bytes]]) -> None:
    """Without parsing: the watcher shares the machine with what is measured."""
    found = _NAME.search(line) if _READY.search(line) else None
    if found:
        waiting.discard((found[2], found[1]))
