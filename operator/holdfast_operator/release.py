"""`holdfast operator release`: the composition root of the end of an installation.

Owns reading its settings and what goes wrong. Neighbours: `engine.farewell` does it; `main` is the operator itself.
"""

import asyncio
import logging
import os
import socket
import sys
from contextlib import AsyncExitStack

from pydantic import ValidationError

from holdfast.clock import system_clock
from holdfast.settings_file import SettingsFileError, problem_lines
from holdfast_operator.adapters.kubernetes import KubernetesCluster
from holdfast_operator.adapters.kubernetes_api import KubernetesApi, NotConfigured, NotFound
from holdfast_operator.adapters.lease_store import KubernetesLeaseStore
from holdfast_operator.engine.farewell import let_go, take_lease
from holdfast_operator.reconcile.ports import ClusterError, Kind
from holdfast_operator.settings import PlaceSettings


def main() -> int:
    """0: nothing waits for the operator any more. 1: something could not be let go. 2: it could not start."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        released = asyncio.run(run(PlaceSettings()))
    except ValidationError as error:
        return _failed(2, *problem_lines(error.errors()))
    except (NotConfigured, SettingsFileError) as error:
        return _failed(2, str(error))
    except ClusterError as error:
        return _failed(1, str(error))
    print(f"{released} OAuthClients were let go: they can be deleted without the operator")
    return 0


async def run(settings: PlaceSettings) -> int:
    """How many objects were let go. Raises NotConfigured, ClusterError."""
    identity = f"holdfast operator release {socket.gethostname()}_{os.getpid()}"
    async with AsyncExitStack() as running:
        api = await KubernetesApi.connect()
        running.push_async_callback(api.close)
        await take_lease(KubernetesLeaseStore(api, settings.lease_namespace, settings.lease_name), identity, system_clock)
        if not await _is_served(api):
            return 0
        return await let_go(KubernetesCluster(api, identity, namespaces=settings.watch_namespaces))


async def _is_served(api: KubernetesApi) -> bool:
    """Without our kinds there are no objects. Raises ClusterError."""
    try:
        await api.call("GET", f"/apis/{Kind.OAUTH_CLIENT.api_version}")
    except NotFound:
        return False
    return True


def _failed(code: int, *lines: str) -> int:
    for line in lines:
        print(f"holdfast operator release: {line}", file=sys.stderr)
    return code
