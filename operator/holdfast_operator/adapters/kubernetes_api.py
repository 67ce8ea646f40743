"""One shared connection to an API server, plain dicts in and out, and one place where its errors get their meaning.

Owns configuration, paths, time limits and the mapping of HTTP to the port's errors. Must not know what is read or
written. Neighbours: `kubernetes` and `lease_store` speak through it.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote
from urllib.request import getproxies

import aiohttp
import orjson
from kubernetes.aio import client, config
from kubernetes.aio.config import ConfigException

from holdfast import __version__
from holdfast_operator.adapters.guarded_request import request_class
from holdfast_operator.reconcile.ports import ClusterUnavailable, Conflict, Kind, Rejected

REQUEST_LIMIT = 10.0
"""Seconds a call may take. Shorter than a pass, and than what is left of a Lease when a holder gives up."""
_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105  where it lies, not what it is

_UNTYPED = "failed to create typed patch object"
"""An API server says 500 to server-side apply of a value that the schema's type does not allow: no retry will help."""

Json = Any  # what an API server sends is checked by whoever reads it


class NotConfigured(Exception):
    """No API server can be found; the message says where was looked."""


class NotFound(Exception):
    """The object, or the place where it should be written, is not there."""


class KubernetesApi:
    """Made by `connect`, ended by `close`."""

    def __init__(self, settings: client.Configuration) -> None:
        self.may_write: Callable[[], bool] = lambda: True
        """Asked when a request that changes anything but a Lease is about to leave: whether this replica holds the Lease."""
        settings.connection_pool_maxsize = 64
        settings.client_session_kwargs = {
            "trust_env": bool(getproxies()),  # looked for once: else aiohttp reads ~/.netrc twice for each request
            "request_class": request_class(lambda: self.may_write()),
        }
        self._connection = client.ApiClient(configuration=settings)
        self._connection.user_agent = f"holdfast-operator/{__version__}"

    @classmethod
    async def connect(cls, kubeconfig: Path | None = None, context: str | None = None) -> Self:
        """To the API server of `kubeconfig`, of KUBECONFIG, of the cluster it runs in, or of ~/.kube/config.

        `context`: of that file; None: its current one. Raises NotConfigured.
        """
        settings = client.Configuration()
        try:
            await _load(settings, kubeconfig, context)
        except (ConfigException, OSError, ValueError) as error:
            raise NotConfigured(f"no API server: {error}") from error
        return cls(settings)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._connection.close()  # type: ignore[no-untyped-call]

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json = None,
        content_type: str = "application/json",
    ) -> Json:
        """One request. Raises NotFound, ClusterUnavailable, Conflict, Rejected."""
        headers = {"Accept": "application/json", "Content-Type": content_type}
        try:
            prepared = await self._connection.param_serialize(
                method=method,
                resource_path=path,
                query_params=list((query or {}).items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            answer = await self._connection.call_api(*prepared, _request_timeout=REQUEST_LIMIT)
            text = await answer.read()  # type: ignore[no-untyped-call]
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ClusterUnavailable(f"the API server cannot be reached: {error or type(error).__name__}") from error
        if 200 <= answer.status < 300:
            return orjson.loads(text)
        raise _meaning(method, path, answer.status, text, answer.headers.get("Retry-After"))

    async def serves(self, kind: Kind) -> bool:
        """Whether its definition is there. Raises ClusterUnavailable."""
        try:
            found = await self.call("GET", f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}")
        except NotFound:
            return False
        return any(resource["name"] == kind.plural for resource in found["resources"])


async def _load(settings: client.Configuration, kubeconfig: Path | None, context: str | None = None) -> None:
    named = kubeconfig or os.environ.get("KUBECONFIG")
    if named is None and context is None and os.path.exists(_TOKEN):  # noqa: ASYNC240  one look at the start
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    else:
        file = str(named) if named else os.path.expanduser("~/.kube/config")  # noqa: ASYNC240
        if named is None and not os.path.exists(file):  # noqa: ASYNC240
            raise ConfigException(f"set KUBECONFIG, or run in a cluster (looked for {_TOKEN} and {file})")
        await config.load_kube_config(config_file=file, context=context, client_configuration=settings)  # type: ignore[no-untyped-call]


def _meaning(method: str, path: str, status: int, text: bytes | str, retry_after: str | None) -> Exception:
    message = f"{method} {path}: {status} {_message(text)}"
    if status == 404:
        return NotFound(message)
    if status == 409:
        return Conflict(message)
    if _UNTYPED in message:
        return Rejected(message)
    if status == 401 or status == 429 or status >= 500 or (status == 403 and method == "GET"):
        wait = float(retry_after) if retry_after and retry_after.isdigit() else None
        return ClusterUnavailable(message, wait)
    return Rejected(message)


def _message(text: bytes | str) -> str:
    try:
        return str(orjson.loads(text).get("message"))[:1000]
    except (ValueError, AttributeError):
        return str(text)[:200]


def path_of(kind: Kind, namespace: str | None, *rest: str) -> str:
    """`namespace` None: of all namespaces, or cluster-scoped."""
    return resource_path(kind.group, kind.version, kind.plural, namespace if kind.namespaced else None, rest)


def resource_path(group: str, version: str, plural: str, namespace: str | None, rest: Sequence[str]) -> str:
    """The path of a resource as the API server lays them out."""
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    place = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return "/".join([f"{root}{place}/{plural}", *(quote(part, safe="") for part in rest)])
