"""A folder as the cluster, an injector's store over it, and reviews as an API server sends them."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from holdfast_operator.adapters.folder.cluster import FolderCluster
from holdfast_operator.admission.review import Verdict, answer
from holdfast_operator.admission.store import Store
from holdfast_operator.admission.wire import read_review
from holdfast_operator.reconcile.ports import ClusterUnavailable, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.operator.small_house import MovedClock

API_VERSION = "holdfast.dev/v1alpha1"


class Line:
    """The way to the API server, which can be cut, or held for a while."""

    def __init__(self, cluster: FolderCluster) -> None:
        self.cluster = cluster
        self.cut = False
        self.asked = asyncio.Event()
        self._held: Kind | None = None
        self._open = asyncio.Event()
        self._open.set()

    def hold(self, kind: Kind | None = None) -> None:
        """Who asks waits from now on; with `kind`, only who asks for that."""
        self._held = kind
        self.asked.clear()
        self._open.clear()

    def let_go(self) -> None:
        self._open.set()

    async def _pass(self, kind: Kind) -> None:
        if self._held in (None, kind):
            self.asked.set()
            await self._open.wait()
        if self.cut:
            raise ClusterUnavailable("connection refused")

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        await self._pass(kind)
        return await self.cluster.get(kind, namespace, name)

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Sequence[Object]:
        await self._pass(kind)
        return await self.cluster.list(kind, namespace, labels)

    async def each(self, kind: Kind) -> AsyncIterator[Object]:
        for obj in await self.list(kind):
            yield obj


class Injector:
    """What tests move: objects in, events or none, reviews."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "manifests"
        self._folder.mkdir()
        self.cluster = FolderCluster(self._folder, root / "data", MovedClock())
        self.line = Line(self.cluster)
        self.clock = MovedClock()
        self.store = Store(self.line, ReconcileSettings(), self.clock)

    async def declare(self, *objects: Object) -> None:
        """What people do with `kubectl apply`. The store hears nothing of it until it lists, or is told."""
        for obj in objects:
            self._file(obj).write_text(yaml.safe_dump(obj))
        await self.cluster.refresh()

    async def withdraw(self, obj: Object) -> None:
        self._file(obj).unlink()
        await self.cluster.refresh()

    async def register(self, obj: Object) -> None:
        """What the operator does once it has registered a client."""
        live = await self.cluster.get(Kind.OAUTH_CLIENT, obj["metadata"]["namespace"], obj["metadata"]["name"])
        assert live is not None
        now = "2026-01-01T00:00:00Z"
        registered = {
            "type": "Registered",
            "status": "True",
            "reason": "Registered",
            "message": "",
            "lastTransitionTime": now,
        }
        status = {
            "observedGeneration": live["metadata"]["generation"],
            "registration": {"revision": 1},
            "conditions": [registered],
        }
        body = {"apiVersion": API_VERSION, "kind": "OAuthClient", "metadata": obj["metadata"], "status": status}
        await self.cluster.apply_status(Kind.OAUTH_CLIENT, body)

    async def asks(self, obj: Object, *, old: Object | None = None, **how: Any) -> Verdict:
        """A review: of a creation, or with `old` of an update."""
        return await answer(read_review(review_of(obj, old=old, **how)), self.store)

    def _file(self, obj: Object) -> Path:
        metadata = obj["metadata"]
        return self._folder / f"{obj['kind']}-{metadata.get('namespace', '')}-{metadata['name']}.yaml"


def review_of(obj: Object | None, *, old: Object | None = None, **how: Any) -> Object:
    """An AdmissionReview; `how`: members of the request."""
    known = obj or old or {}
    kind = {"group": "holdfast.dev", "version": "v1alpha1", "kind": known.get("kind", "OAuthClient")}
    request = {
        "uid": "review-1",
        "kind": kind,
        "operation": "CREATE" if old is None else "UPDATE",
        "namespace": known.get("metadata", {}).get("namespace", ""),
        "name": known.get("metadata", {}).get("name", ""),
        "object": obj,
        "oldObject": old,
        "dryRun": False,
        **how,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def manifest(name: str = "orders", namespace: str = "shop", **spec: Any) -> Object:
    """As people write it."""
    return {
        "apiVersion": API_VERSION,
        "kind": "OAuthClient",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"certificate": {"issuerRef": {"name": "workloads", "kind": "ClusterIssuer"}}, **spec},
    }


def policy(name: str = "baseline", **spec: Any) -> Object:
    return {"apiVersion": API_VERSION, "kind": "MTLSPolicy", "metadata": {"name": name}, "spec": spec}


def named_namespace(name: str, **labels: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
