"""What the injector counts. Owns names and labels; the ops listener shows them."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from holdfast_operator.admission.review import Verdict
from holdfast_operator.admission.wire import Review

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 3.0)


class InjectorMetrics:
    """One process's own registry of metrics."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._reviews = Counter(
            "holdfast_injector_reviews",
            "Reviews by kind, operation and result (allowed, refused, error).",
            ["kind", "operation", "result"],
            registry=self._registry,
        )
        self._refusals = Counter(
            "holdfast_injector_refusals", "Objections that refused, by reason.", ["kind", "reason"], registry=self._registry
        )
        self._warnings = Counter("holdfast_injector_warnings", "Warnings given.", ["kind"], registry=self._registry)
        self._seconds = Histogram(
            "holdfast_injector_review_seconds",
            "How long a review took.",
            ["kind"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._events = Counter(
            "holdfast_injector_watch_events", "Events the watches brought, by kind.", ["kind"], registry=self._registry
        )

    def gauge(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Show a value that is asked for when it is read."""
        Gauge(name, meaning, registry=self._registry).set_function(value)

    def reviewed(self, review: Review, verdict: Verdict, seconds: float) -> None:
        """One was answered."""
        result = "refused" if verdict.answer.refusal else "allowed"
        self._reviews.labels(review.label, review.operation, result).inc()
        self._seconds.labels(review.label).observe(seconds)
        self._warnings.labels(review.label).inc(len(verdict.answer.warnings))
        for reason in verdict.reasons:
            self._refusals.labels(review.label, reason).inc()

    def failed(self, review: Review) -> None:
        """One could not be judged."""
        self._reviews.labels(review.label, review.operation, "error").inc()

    def event(self, kind: str) -> None:
        """A watch brought an event."""
        self._events.labels(kind).inc()

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self._registry)
