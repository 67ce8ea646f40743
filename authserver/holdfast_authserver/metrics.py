"""What the server counts, for Prometheus. Names and labels are an interface: they change only with a changelog line."""

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest


class Metrics:
    """One set for one server, so that several may run in a process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._answers = Counter(
            "holdfast_authserver_answers",
            "Answers by endpoint and outcome: ok, or the OAuth error code.",
            ["endpoint", "outcome"],
            registry=self._registry,
        )
        self._children: dict[tuple[str, str], Counter] = {}
        self.clients = Gauge(
            "holdfast_authserver_registered_clients", "Clients in the registry snapshot.", registry=self._registry
        )
        self.revision = Gauge(
            "holdfast_authserver_registry_revision", "Revision of the registry snapshot.", registry=self._registry
        )

    def count(self, endpoint: str, outcome: str) -> None:
        """One answer. Both come from closed sets, so that a caller cannot make series."""
        child = self._children.get((endpoint, outcome))
        if child is None:
            child = self._children[endpoint, outcome] = self._answers.labels(endpoint, outcome)
        child.inc()

    def exposition(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self._registry)
