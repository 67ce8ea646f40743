"""`KubernetesCluster`: the `Cluster` port on an API server.

Owns how the port's verbs become requests: live reads, server-side apply by the field manager `holdfast`, finalizers by a
JSON patch that tests the resourceVersion. The operator has no verb on Secrets, and none is here.
Neighbours: `kubernetes_api` (connection and errors), `holdfast_operator.reconcile.ports`.
"""

import logging
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime

from holdfast_operator.adapters.kubernetes_api import KubernetesApi, NotFound, path_of, resource_path
from holdfast_operator.reconcile.ports import (
    FIELD_MANAGER,
    ClusterError,
    ClusterUnavailable,
    Conflict,
    Kind,
    Object,
    Rejected,
)

PAGE = 500
"""Objects per answer of a listing."""
APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MAX_NOTE = 1024
"""Characters of an Event's note."""

log = logging.getLogger(__name__)


class KubernetesCluster:
    """Plain dicts over one shared connection."""

    def __init__(
        self,
        api: KubernetesApi,
        instance: str,
        namespaces: Sequence[str] = (),
    ) -> None:
        """`instance`: who reports events, such as the pod's name.

        `namespaces`: those that are there for this installation; none: all.
        """
        self._api, self._instance, self._namespaces = api, instance, tuple(namespaces)

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        if kind.namespaced and self._namespaces and namespace not in self._namespaces:
            return None  # nothing of it may be read
        try:
            found: Object = await self._api.call("GET", path_of(kind, namespace, name))
        except NotFound:
            return None
        return found

    async def list(self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> list[Object]:
        return [obj async for obj in self.each(kind, namespace, labels)]

    async def each(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None, *, name: str = ""
    ) -> AsyncIterator[Object]:
        """What `list` answers, or the one of that name, with a page in memory at a time. Raises ClusterUnavailable."""
        query = {"fieldSelector": f"metadata.name={name}"} if name else {}
        if labels:
            query["labelSelector"] = ",".join(f"{k}={v}" for k, v in labels.items())
        for place in self._places(kind, namespace):
            async for item in self._pages(kind, place, query):
                # A list leaves these out of its items.
                yield {"apiVersion": kind.api_version, "kind": kind.kind, **item}

    def _places(self, kind: Kind, namespace: str | None) -> tuple[str | None, ...]:
        if not kind.namespaced or not self._namespaces:
            return (namespace,)
        return self._namespaces if namespace is None else tuple(n for n in self._namespaces if n == namespace)

    async def _pages(self, kind: Kind, namespace: str | None, query: Mapping[str, str]) -> AsyncIterator[Object]:
        query = {**query, "limit": str(PAGE)}
        while True:
            page = await self._page(path_of(kind, namespace), query, kind)
            for item in page["items"]:
                yield item
            following = page["metadata"].get("continue")
            if not following:
                return
            query["continue"] = following

    async def _page(self, path: str, query: Mapping[str, str], kind: Kind) -> Object:
        try:
            page: Object = await self._api.call("GET", path, query=query)
        except NotFound as error:
            if kind.may_be_absent:
                return {"items": [], "metadata": {}}
            what = f"{kind.plural}.{kind.group}"
            raise ClusterUnavailable(f"{what} {kind.version} are not served: is their CRD installed? ({error})") from error
        return page

    async def apply(self, kind: Kind, obj: Object) -> Object:
        return await self._apply(kind, obj)

    async def apply_status(self, kind: Kind, obj: Object) -> Object:
        return await self._apply(kind, obj, "status")

    async def _apply(self, kind: Kind, obj: Object, *subresource: str) -> Object:
        metadata = obj["metadata"]
        path = path_of(kind, metadata.get("namespace"), metadata["name"], *subresource)
        query = {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
        try:
            applied: Object = await self._api.call("PATCH", path, query=query, body=obj, content_type=APPLY)
        except NotFound as error:
            if kind.may_be_absent and not await self._api.serves(kind):
                raise Rejected(f"{kind.plural}.{kind.group} are not served: is cert-manager installed?") from error
            raise Conflict(f"{kind.kind} {metadata['name']} is gone: {error}") from error
        return applied

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        try:
            await self._api.call("DELETE", path_of(kind, namespace, name), body={"preconditions": {"uid": uid}})
        except (NotFound, Conflict):
            return  # absent, or another object of that name

    async def set_finalizers(self, kind: Kind, obj: Object, finalizers: Sequence[str]) -> Object | None:
        metadata = obj["metadata"]
        patch = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
            {"op": "add", "path": "/metadata/finalizers", "value": [*finalizers]},
        ]
        path = path_of(kind, metadata.get("namespace"), metadata["name"])
        try:
            found: Object = await self._api.call("PATCH", path, body=patch, content_type=JSON_PATCH)
        except NotFound:
            return None
        except Rejected as error:
            # An API server answers 422 when the test of a JSON patch fails.
            raise Conflict(f"{kind.kind} {metadata['name']} has changed: {error}") from error
        is_gone = found["metadata"].get("deletionTimestamp") and not found["metadata"].get("finalizers")
        return None if is_gone else found

    async def record_event(self, kind: Kind, obj: Object, *, warning: bool, reason: str, message: str) -> None:
        namespace = obj["metadata"].get("namespace") or "default"
        event = self._event(kind, obj, namespace, warning=warning, reason=reason, message=message)
        try:
            await self._api.call("POST", resource_path("events.k8s.io", "v1", "events", namespace, ()), body=event)
        except (ClusterError, NotFound) as error:
            log.info("event %s on %s %s was not recorded: %s", reason, kind.kind, obj["metadata"]["name"], error)

    def _event(self, kind: Kind, obj: Object, namespace: str, *, warning: bool, reason: str, message: str) -> Object:
        metadata = obj["metadata"]
        regarding = {k: metadata[k] for k in ("namespace", "name", "uid", "resourceVersion") if k in metadata}
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"namespace": namespace, "name": f"{metadata['name'][:200]}.{secrets.token_hex(8)}"},
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": "holdfast.dev/operator",
            "reportingInstance": self._instance[:128],
            "action": "Reconcile",
            "type": "Warning" if warning else "Normal",
            "reason": reason,
            "note": message[:MAX_NOTE],
            "regarding": {"apiVersion": kind.api_version, "kind": kind.kind, **regarding},
        }
