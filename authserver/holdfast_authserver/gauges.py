"""What is measured when somebody asks for metrics: the registry's picture, keys, certificates that end.

Owns what stands behind each gauge. Costs nothing between two questions. Neighbours: `metrics.py` shows them.
"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime

from holdfast.clock import Clock
from holdfast.x509.certificate import CertificateError, load_pem_bundle
from holdfast_authserver.audit import AuditLog
from holdfast_authserver.keys.ring import KeyRing
from holdfast_authserver.metrics import Gauge, Metrics, Samples
from holdfast_authserver.registry.keeper import RegistryKeeper
from holdfast_authserver.registry.snapshot import Snapshot
from holdfast_authserver.transport.context import TlsFiles

_DAY = 86_400.0  # seconds


def add_registry_gauges(metrics: Metrics, keeper: RegistryKeeper, clock: Clock) -> None:
    """The snapshot that is served: how much, which, how old; and the anchor that ends first."""
    soonest = _SoonestAnchor()

    def age() -> Samples:
        return _one(max(0.0, (clock() - keeper.snapshot.as_of).total_seconds()))

    def anchor_days() -> Samples:
        end = soonest.of(keeper.snapshot)
        return [] if end is None else _one((end - clock()).total_seconds() / _DAY)

    _add(metrics, "registered_clients", "Clients in the registry snapshot.", lambda: _one(len(keeper.snapshot.clients)))
    _add(metrics, "registry_revision", "Revision of the registry snapshot.", lambda: _one(keeper.snapshot.revision))
    _add(metrics, "registry_snapshot_age_seconds", "Since the store last said that the snapshot is current.", age)
    _add(metrics, "trust_anchor_days_left", "Days until the first of all clients' trust anchors ends.", anchor_days)


def add_server_gauges(metrics: Metrics, audit: AuditLog) -> None:
    """When this process began to serve, so that a restart shows; and what a full disk has cost."""
    begun = time.time()
    _add(metrics, "start_time_seconds", "When the server started, in seconds since the epoch.", lambda: _one(begun))
    _add(metrics, "audit_lines_lost", "Lines of the audit log that could not be written.", lambda: _one(audit.lost))


def add_key_gauge(metrics: Metrics, keys: KeyRing, clock: Clock) -> None:
    """How old the key is that access tokens are signed with, so that a rotation that stands still shows."""
    text = "Age of the key that signs access tokens."
    _add(metrics, "signing_key_age_seconds", text, lambda: _one(keys.age(clock())))


def add_listener_gauge(metrics: Metrics, listeners: Mapping[str, TlsFiles], clock: Clock) -> None:
    """`listeners`: by name, the files of those that speak TLS. A file that cannot be read has no series."""

    def days() -> Samples:
        for name, files in listeners.items():
            end = _ends(files)
            if end is not None:
                yield (name,), (end - clock()).total_seconds() / _DAY

    text = "Days until the certificate in a listener's file ends."
    metrics.add_gauge(Gauge("listener_certificate_days_left", text, ("listener",), days))


def _add(metrics: Metrics, name: str, text: str, read: Callable[[], Samples]) -> None:
    metrics.add_gauge(Gauge(name, text, (), read))


def _one(value: float) -> Samples:
    return [((), float(value))]


def _ends(files: TlsFiles) -> datetime | None:
    try:
        return load_pem_bundle(files.certificate.read_bytes())[0].not_after
    except (OSError, CertificateError):
        return None


class _SoonestAnchor:
    """Worked out once for each picture of the clients: there may be ten thousand."""

    def __init__(self) -> None:
        self._clients: object = None
        self._end: datetime | None = None

    def of(self, snapshot: Snapshot) -> datetime | None:
        if self._clients is not snapshot.clients:
            ends = (anchor.not_after for client in snapshot.clients.values() for anchor in client.anchors)
            self._clients, self._end = snapshot.clients, min(ends, default=None)
        return self._end
