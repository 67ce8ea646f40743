"""What the operator counts. Owns names and labels; `ops` shows them."""

from collections import Counter as Count
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from holdfast.clock import Clock
from holdfast_operator.engine.standing import RenewedBy, Standing
from holdfast_operator.reconcile.ports import Key

SOON = timedelta(days=7)
"""What ends within this time is counted."""

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """One process's own registry of metrics."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._passes = Counter(
            "holdfast_operator_passes", "Passes by kind and result.", ["kind", "result"], registry=self._registry
        )
        self._seconds = Histogram(
            "holdfast_operator_pass_seconds", "How long a pass took.", ["kind"], buckets=_BUCKETS, registry=self._registry
        )
        self._failures = Counter(
            "holdfast_operator_pass_errors",
            "Passes that failed, by kind and reason.",
            ["kind", "reason"],
            registry=self._registry,
        )
        self._events = Counter(
            "holdfast_operator_watch_events", "Events the watches brought, by kind.", ["kind"], registry=self._registry
        )
        self._last_event = Gauge(
            "holdfast_operator_last_watch_event_timestamp_seconds",
            "When the newest event of a kind came.",
            ["kind"],
            registry=self._registry,
        )

        self._certificate_requests = Counter(
            "holdfast_operator_certificate_requests",
            "CertificateRequests of guarded issuers, by decision and reason.",
            ["decision", "reason"],
            registry=self._registry,
        )

        self._drift = Counter(
            "holdfast_operator_drift_corrected",
            "What others had changed or deleted and was put right, by kind.",
            ["kind"],
            registry=self._registry,
        )

    def gauge(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Show a value that is asked for when it is read."""
        Gauge(name, meaning, registry=self._registry).set_function(value)

    def show(self, standing: Standing, clock: Clock) -> None:
        """Show how clients stand."""
        self._registry.register(_Clients(standing, clock))

    def failed(self, key: Key, reason: str) -> None:
        """A pass has failed; `reason`: of a closed list."""
        self._failures.labels(key.kind.kind, reason).inc()

    def passed(self, key: Key, seconds: float, result: str) -> None:
        """A pass has ended."""
        self._passes.labels(key.kind.kind, result).inc()
        self._seconds.labels(key.kind.kind).observe(seconds)

    def decided(self, decision: str, reason: str) -> None:
        """A CertificateRequest was approved or denied."""
        self._certificate_requests.labels(decision, reason).inc()

    def drift_corrected(self, kind: str) -> None:
        """Something that others had changed was put right."""
        self._drift.labels(kind).inc()

    def event(self, kind: str) -> None:
        """A watch brought an event."""
        self._events.labels(kind).inc()
        self._last_event.labels(kind).set_to_current_time()

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self._registry)


class _Clients(Collector):
    """Counted when it is read. Clients by condition have a series for each status and reason that some of them has."""

    def __init__(self, standing: Standing, clock: Clock) -> None:
        self._standing, self._clock = standing, clock

    def collect(self) -> Iterator[GaugeMetricFamily]:
        labels = ["condition", "status", "reason"]
        by_condition = GaugeMetricFamily("holdfast_operator_clients", "OAuthClients by condition.", labels=labels)
        for stand, count in self._standing.conditions.items():
            by_condition.add_metric(stand, count)
        yield by_condition
        yield from self._ends(self._clock())

    def _ends(self, now: datetime) -> Iterator[GaugeMetricFamily]:
        ends = list(self._standing.ends())
        first = GaugeMetricFamily(
            "holdfast_operator_certificate_days_left",
            "Until the first of the clients' certificates ends.",
            labels=["renewed_by"],
        )
        soon = GaugeMetricFamily(
            "holdfast_operator_certificates_ending", "Clients' certificates that end within a week.", labels=["renewed_by"]
        )
        within = Count(by for end, by in ends if end - now < SOON)
        for by in RenewedBy:
            soon.add_metric([by], within[by])
            if own := [end for end, renewed_by in ends if renewed_by is by]:
                first.add_metric([by], (min(own) - now) / timedelta(days=1))
        yield first
        yield soon
