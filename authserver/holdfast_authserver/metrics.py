"""What the server counts, for Prometheus. Names and labels are an interface: they change only with a changelog line.

Owns the numbers and how they are shown. Counting is an addition to a dict, since it stands on the way of every token;
text is made when somebody asks. Every label comes from a closed set, so that no caller can make series; client ids are
labels only where a setting says so. Neighbours: `gauges.py` tells what is measured at the moment of asking.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from holdfast.oauth.errors import OAuthError

PREFIX = "holdfast_authserver_"
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)  # seconds; a warm token takes 0.5 ms
EVENTS = (
    "jwks_fetch_ok",
    "jwks_fetch_failed",
    "assertion_replayed",
    "forwarded_peer_refused",
    "certificate_header_ignored",
    "request_throttled",
)
"""What is worth a count beside requests. `Metrics.event` takes no other word."""

Samples = Iterable[tuple[tuple[str, ...], float]]


@dataclass(frozen=True, slots=True)
class Gauge:
    """Something measured when it is asked for. `read`: label values and value of each series, none when unknown."""

    name: str
    help: str
    labels: tuple[str, ...]
    read: Callable[[], Samples]


class _Latency:
    """Requests of one endpoint by the bucket that their time falls into."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.sum = 0.0

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative, as the exposition format has them."""
        total, found = 0, []
        for bound, count in zip([*map(str, BUCKETS), "+Inf"], self.counts, strict=True):
            total += count
            found.append((bound, float(total)))
        return found


class Metrics(Collector):
    """One set for one server, so that several may run in a process. `client_names`: whether client ids become labels."""

    def __init__(self, *, client_names: bool = False) -> None:
        self._answers: dict[tuple[str, str], int] = defaultdict(int)
        self._refusals: dict[tuple[str, str, str], int] = defaultdict(int)
        self._tokens: dict[tuple[str, str, str, str], int] = defaultdict(int)
        self._clients: dict[tuple[str, str], int] | None = defaultdict(int) if client_names else None
        self._handshakes: dict[tuple[str, str], int] = defaultdict(int)
        self._events: dict[tuple[str], int] = {(name,): 0 for name in EVENTS}
        self._latencies: dict[str, _Latency] = defaultdict(_Latency)
        self._gauges: list[Gauge] = []
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def count(self, endpoint: str, outcome: str) -> None:
        """One answer. `outcome`: ok, or the OAuth error code."""
        self._answers[endpoint, outcome] += 1

    def refused(self, endpoint: str, error: OAuthError, client_id: str | None) -> None:
        """One refusal. `client_id`: of a client that is registered, else None: whatever else was claimed makes no series."""
        self._answers[endpoint, error.code] += 1
        self._refusals[endpoint, error.code, error.reason] += 1
        if self._clients is not None and client_id is not None:
            self._clients[client_id, "refused"] += 1

    def observe(self, endpoint: str, seconds: float) -> None:
        """How long an answer took, from the request's head to its last byte being handed over."""
        latency = self._latencies[endpoint]
        latency.counts[bisect_left(BUCKETS, seconds)] += 1
        latency.sum += seconds

    def issued(self, client_id: str, grant: str, method: str, token_format: str, *, bound: bool) -> None:
        """One access token."""
        self._tokens[grant, method, token_format, "true" if bound else "false"] += 1
        if self._clients is not None:
            self._clients[client_id, "issued"] += 1

    def handshake(self, listener: str, outcome: str) -> None:
        """One TLS handshake. `outcome`: started, ok, or why it failed (`transport.handshake`)."""
        self._handshakes[listener, outcome] += 1

    def event(self, name: str) -> None:
        """One of EVENTS. Raises KeyError for another."""
        self._events[(name,)] = self._events[(name,)] + 1

    def add_gauge(self, gauge: Gauge) -> None:
        """Measure this, too."""
        self._gauges.append(gauge)

    def exposition(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Called by the library for an exposition."""
        yield _counter("answers", "Answers: ok, or the OAuth error code.", ("endpoint", "outcome"), self._answers)
        yield _counter("refusals", "Refusals by reason.", ("endpoint", "error", "reason"), self._refusals)
        labels = ("grant", "method", "format", "bound")
        yield _counter("tokens_issued", "Access tokens issued.", labels, self._tokens)
        if self._clients is not None:
            yield _counter("client_decisions", "Tokens issued and requests refused.", ("client", "outcome"), self._clients)
        yield _counter("handshakes", "TLS handshakes: started, ok, or why not.", ("listener", "outcome"), self._handshakes)
        yield _counter("events", "What else happened.", ("event",), self._events)
        yield self._latency()
        for gauge in self._gauges:
            family = GaugeMetricFamily(PREFIX + gauge.name, gauge.help, labels=gauge.labels)
            for values, value in gauge.read():
                family.add_metric(values, value)
            yield family

    def _latency(self) -> Metric:
        family = HistogramMetricFamily(PREFIX + "request_seconds", "Time to answer.", labels=("endpoint",))
        for endpoint, latency in self._latencies.items():
            family.add_metric((endpoint,), latency.buckets(), latency.sum)
        return family


def _counter(name: str, text: str, labels: tuple[str, ...], counts: Mapping[Any, int]) -> Metric:
    """`counts`: by a tuple of label values."""
    family = CounterMetricFamily(PREFIX + name, text, labels=labels)
    for values, count in counts.items():
        family.add_metric([str(value) for value in values], count)
    return family
