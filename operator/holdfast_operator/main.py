"""The operator's composition root: what is built from what, in which order it starts, and how it stops.

Neighbours: `shell` (kopf), `engine` (queue, Lease), `reconcile` (decisions), `adapters` (Kubernetes, admin API).
"""

import asyncio
import logging
import os
import socket
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass

from holdfast.api.v1alpha1.convert import duration_seconds
from holdfast.clock import system_clock
from holdfast_operator.adapters.admin_api import HttpRegistry
from holdfast_operator.adapters.kubernetes import KubernetesCluster
from holdfast_operator.adapters.kubernetes_api import KubernetesApi, NotConfigured
from holdfast_operator.adapters.lease_store import KubernetesLeaseStore
from holdfast_operator.approval.approver import Approver
from holdfast_operator.approval.holders import Holders
from holdfast_operator.approval.judge import Rules
from holdfast_operator.approval.owner import Owners
from holdfast_operator.converge.mirror import Mirror
from holdfast_operator.converge.policy_config_maps import PolicyConfigMaps
from holdfast_operator.converge.reconciler import Reconciler
from holdfast_operator.converge.stores import Stores
from holdfast_operator.engine.engine import Engine, EngineSettings
from holdfast_operator.engine.leadership import Leadership
from holdfast_operator.engine.lease import Elector, WentBack
from holdfast_operator.logs import log_json_lines
from holdfast_operator.metrics import Metrics
from holdfast_operator.ops import OpsServer
from holdfast_operator.reconcile.ports import Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from holdfast_operator.running import WatchesEnded, cancel, configured, end_shell, stop_on_signals, until
from holdfast_operator.settings import Settings
from holdfast_operator.shell import EventSink, Shell

log = logging.getLogger(__name__)

REGISTRY_AGE = 10.0
"""Seconds; the registry is asked every second whether it is as it was, and what others changed leads to a listing."""


@dataclass(frozen=True, slots=True)
class _Parts:
    shell: Shell
    engine: Engine
    elector: Elector
    leadership: Leadership
    metrics: Metrics


def main() -> int:
    """`holdfast operator`: 0 after SIGTERM, 1 when it could not go on, 2 when it could not start."""
    log_json_lines()
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each request
    settings = configured("holdfast operator", Settings)
    if settings is None:
        return 2
    try:
        asyncio.run(run(settings))
    except (NotConfigured, OSError) as error:
        print(f"holdfast operator: {error}", file=sys.stderr)
        return 2
    except (WatchesEnded, WentBack) as error:  # started anew, it remembers nothing
        print(f"holdfast operator: {error}", file=sys.stderr)
        return 1
    return 0


async def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT. Raises NotConfigured, OSError (the ops listener), WatchesEnded, WentBack."""
    stopping = stop_on_signals()
    async with AsyncExitStack() as running:
        parts = await _build(settings, running)
        ops = _ops(settings, parts)
        await ops.start()
        running.push_async_callback(ops.stop)
        parts.shell.start()
        running.push_async_callback(end_shell, parts.shell)
        leading = asyncio.create_task(parts.leadership.run())
        running.push_async_callback(cancel, leading)  # undone first: the Lease is back before kopf is asked to stop
        await until(stopping, parts.shell, leading)
        log.info("stopping")


async def _build(settings: Settings, running: AsyncExitStack) -> _Parts:
    identity = settings.identity or f"{socket.gethostname()}_{os.getpid()}"
    api = await KubernetesApi.connect()
    running.push_async_callback(api.close)
    registry = HttpRegistry(
        settings.admin_url,
        ca_file=settings.admin_ca_file,
        cert_file=settings.admin_cert_file,
        key_file=settings.admin_key_file,
    )
    running.push_async_callback(registry.close)
    store = KubernetesLeaseStore(api, settings.lease_namespace, settings.lease_name)
    elector = Elector(store, identity, system_clock)
    api.may_write = lambda: elector.leading
    mirror = Mirror(KubernetesCluster(api, identity, settings.watch_namespaces))
    reconciler = Reconciler(
        mirror,
        registry,
        ReconcileSettings(
            trust_domain=settings.trust_domain,
            cluster_domain=settings.cluster_domain,
            holder=identity,
            release_after=settings.release_after,
            rotation_overlap=settings.rotation_overlap,
            guarded_issuers=frozenset(settings.approver_issuers),
            config_map_name=settings.config_map_name,
            server_ca_file=settings.server_ca_file,
            registry_age=REGISTRY_AGE,
        ),
        system_clock,
    )
    metrics = Metrics()
    reconciler.drifts.on_correction = metrics.drift_corrected
    holders = Holders(reconciler.settings.guarded_issuers)
    approver = _approver(settings, reconciler, holders, metrics)
    stores = Stores(mirror, reconciler)
    engine = Engine(
        reconciler,
        EngineSettings(workers=settings.workers, resync=settings.resync),
        observer=metrics.passed,
        on_failure=metrics.failed,
        stores=stores,
    )
    mirror.on_write = engine.on_own_write
    _show(metrics, engine, elector)
    metrics.show(engine.index.standing, system_clock)
    warm = "1 once everything was listed: taking over then costs no listing."
    metrics.gauge("holdfast_operator_stores_warm", warm, lambda: float(mirror.whole))
    _show_approver(metrics, approver)
    return _Parts(
        shell=Shell(
            _sink(mirror, engine, metrics, approver, holders), namespaces=settings.watch_namespaces, served=api.serves
        ),
        engine=engine,
        elector=elector,
        leadership=Leadership(elector, engine, reconciler.abandon_term, stores.warm, beside=(approver.run,)),
        metrics=metrics,
    )


def _approver(settings: Settings, reconciler: Reconciler, holders: Holders, metrics: Metrics) -> Approver:
    """Does nothing where no issuer is guarded."""
    cluster, found = reconciler.cluster, reconciler.settings
    rules = Rules(
        issuers=found.guarded_issuers,
        trust_domain=found.trust_domain,
        cert_manager=settings.approver_cert_manager,
        max_duration=duration_seconds(settings.approver_max_duration),
    )
    owners = Owners(cluster, PolicyConfigMaps(cluster, system_clock, found.config_map_age), holders, found)
    return Approver(cluster, owners, rules, system_clock, metrics.decided)


def _sink(mirror: Mirror, engine: Engine, metrics: Metrics, approver: Approver, holders: Holders) -> EventSink:
    """From kopf's thread into our loop."""
    loop = asyncio.get_running_loop()

    def deliver(kind: Kind, obj: Object, deleted: bool) -> None:
        engine.on_change(kind, obj, deleted=deleted)
        if kind is Kind.CERTIFICATE_REQUEST:
            approver.on_change(obj, deleted=deleted)
        elif kind is Kind.OAUTH_CLIENT:
            holders.observe(obj, deleted=deleted)

    def take_in(kind: Kind, obj: Object, deleted: bool) -> None:
        metrics.event(kind.kind)
        if mirror.observe(kind, obj, deleted=deleted):
            deliver(kind, obj, deleted)
        elif kind is Kind.CERTIFICATE_REQUEST:
            approver.on_change(obj, deleted=deleted)  # listed before, which the engine has seen and the approver has not
        elif kind is Kind.OAUTH_CLIENT:
            holders.observe(obj, deleted=deleted)

    mirror.on_news = deliver

    def sink(kind: Kind, obj: Object, deleted: bool) -> None:
        loop.call_soon_threadsafe(take_in, kind, obj, deleted)

    return sink


def _show(metrics: Metrics, engine: Engine, elector: Elector) -> None:
    metrics.gauge("holdfast_operator_queue_keys", "Keys that are due.", lambda: len(engine.queue))
    metrics.gauge("holdfast_operator_failing_keys", "Keys whose last pass failed.", lambda: len(engine.queue.failing))
    metrics.gauge("holdfast_operator_leading", "1 while this replica holds the Lease.", lambda: float(elector.leading))
    metrics.gauge(
        "holdfast_operator_registry_reachable",
        "1 while the authorization server answers.",
        lambda: float(bool(engine.registry_watch.reachable)),
    )


def _show_approver(metrics: Metrics, approver: Approver) -> None:
    metrics.gauge(
        "holdfast_operator_open_certificate_requests",
        "Requests of guarded issuers without a decision.",
        lambda: approver.open,
    )
    metrics.gauge(
        "holdfast_operator_unguarded_issuers",
        "Guarded issuers for which cert-manager itself approved the newest request.",
        lambda: approver.unguarded,
    )


def _ops(settings: Settings, parts: _Parts) -> OpsServer:
    def healthy() -> str | None:
        return "the watches have ended" if parts.shell.ended.done() else None

    def ready() -> str | None:
        if not parts.shell.ready:
            return "the watches have not started yet"
        if parts.elector.leading and not parts.engine.running:
            return "holds the Lease and has not listed everything yet"
        return healthy()

    return OpsServer(settings.ops_host, settings.ops_port, healthy=healthy, ready=ready, metrics=parts.metrics.text)
