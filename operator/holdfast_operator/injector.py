"""The injector's composition root: what is built from what, in which order it starts, and how it stops.

It needs no Lease: each replica watches and answers by itself, and none writes anything.
Neighbours: `admission` (judgement, listener), `shell` (kopf), `adapters` (Kubernetes), `ops`.
"""

import asyncio
import logging
import sys
import time
from contextlib import AsyncExitStack

from holdfast.clock import system_clock
from holdfast_operator.adapters.kubernetes import KubernetesCluster
from holdfast_operator.adapters.kubernetes_api import KubernetesApi, NotConfigured
from holdfast_operator.admission.app import injector_app
from holdfast_operator.admission.listener import Listener, ReloadingContext, TlsFilesError
from holdfast_operator.admission.metrics import InjectorMetrics
from holdfast_operator.admission.settings import InjectorSettings
from holdfast_operator.admission.store import FOLLOWED, Store
from holdfast_operator.logs import log_json_lines
from holdfast_operator.ops import OpsServer
from holdfast_operator.reconcile.ports import ClusterError, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from holdfast_operator.running import WatchesEnded, cancel, configured, end_shell, stop_on_signals, until
from holdfast_operator.shell import EventSink, Shell

log = logging.getLogger(__name__)

_LIST_RETRY = 1.0  # seconds until a listing that failed is tried again


def main() -> int:
    """`holdfast injector`: 0 after SIGTERM, 1 when it could not go on, 2 when it could not start."""
    log_json_lines()
    settings = configured("holdfast injector", InjectorSettings)
    if settings is None:
        return 2
    try:
        asyncio.run(run(settings))
    except (NotConfigured, TlsFilesError, OSError) as error:
        print(f"holdfast injector: {error}", file=sys.stderr)
        return 2
    except WatchesEnded as error:
        print(f"holdfast injector: {error}", file=sys.stderr)
        return 1
    return 0


async def run(settings: InjectorSettings) -> None:
    """Answer until SIGTERM or SIGINT. Raises NotConfigured, TlsFilesError, OSError (a listener), WatchesEnded."""
    stopping = stop_on_signals()
    async with AsyncExitStack() as running:
        context = ReloadingContext(settings.tls_cert_file, settings.tls_key_file)
        api = await KubernetesApi.connect()
        running.push_async_callback(api.close)
        cluster = KubernetesCluster(api, "injector", namespaces=settings.watch_namespaces)
        store, metrics = _store(settings, cluster), InjectorMetrics()
        _show(metrics, store, context)
        shell = Shell(_sink(store, metrics), FOLLOWED, settings.watch_namespaces, served=api.serves)
        listener = Listener(injector_app(store, metrics), context, settings.webhook_host, settings.webhook_port)
        running.push_async_callback(listener.stop)
        ops = _ops(settings, shell, store, metrics, stopping)
        await ops.start()
        running.push_async_callback(ops.stop)
        shell.start()
        running.push_async_callback(end_shell, shell)
        listing = asyncio.create_task(_keep_listed(store, settings.relist))
        running.push_async_callback(cancel, listing)
        await listener.start()
        log.info("answering on %s:%d", settings.webhook_host, listener.port)
        await until(stopping, shell, listing)
        log.info("stopping")


def _store(settings: InjectorSettings, cluster: KubernetesCluster) -> Store:
    house = ReconcileSettings(trust_domain=settings.trust_domain, cluster_domain=settings.cluster_domain)
    return Store(cluster, house, system_clock)


def _sink(store: Store, metrics: InjectorMetrics) -> EventSink:
    """From kopf's thread into our loop."""
    loop = asyncio.get_running_loop()

    def take_in(kind: Kind, obj: Object, deleted: bool) -> None:
        metrics.event(kind.kind)
        store.observe(kind, obj, deleted=deleted)

    def sink(kind: Kind, obj: Object, deleted: bool) -> None:
        loop.call_soon_threadsafe(take_in, kind, obj, deleted)

    return sink


async def _keep_listed(store: Store, interval: float) -> None:
    while True:
        try:
            await store.list_all()
        except ClusterError as error:
            log.warning("the cluster could not be listed: %s", error)
            await asyncio.sleep(_LIST_RETRY)
        else:
            await asyncio.sleep(interval)


def _show(metrics: InjectorMetrics, store: Store, context: ReloadingContext) -> None:
    metrics.gauge("holdfast_injector_clients", "OAuthClients that are known.", lambda: len(store.claimants))
    metrics.gauge("holdfast_injector_policies", "MTLSPolicies that are known.", lambda: len(store.policies))

    def days_left() -> float:
        try:
            return (context.not_after().timestamp() - time.time()) / 86400
        except TlsFilesError:
            return 0.0

    metrics.gauge("holdfast_injector_certificate_days_left", "Until the listener's certificate ends.", days_left)


def _ops(
    settings: InjectorSettings, shell: Shell, store: Store, metrics: InjectorMetrics, stopping: asyncio.Event
) -> OpsServer:
    def healthy() -> str | None:
        return "the watches have ended" if shell.ended.done() else None

    def ready() -> str | None:
        if stopping.is_set():
            return "is stopping"
        if not shell.ready or not store.listed:
            return "has not seen the cluster yet"
        return healthy()

    return OpsServer(settings.ops_host, settings.ops_port, healthy=healthy, ready=ready, metrics=metrics.text)
