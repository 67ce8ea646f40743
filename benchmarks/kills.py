"""What is killed in the chaos, and how it comes back: operator, authorization server, API server, cert-manager.

Owns the order, drawn from a seed. Must run in a thread that lives as long as the cluster: processes end with the thread that
started them. Neighbours: `chaos`; `tests.controlplane` starts and stops.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from tests.controlplane.cluster import LocalCluster
from tests.controlplane.pods import Pod

PAUSE = (2.0, 8.0)
"""Seconds between two kills."""
DOWN = (0.0, 6.0)
"""Seconds for which something stays down; the operator's Lease is over after eight."""
START = 240.0
"""Seconds in which the API server has to be ready again: it starts with hundreds of watches and webhooks at its door."""


@dataclass
class Kills:
    """`say`: told of each."""

    cluster: LocalCluster
    rng: random.Random
    say: Callable[[str], None]
    made: Counter[str] = field(default_factory=Counter)

    def until(self, end: float) -> None:
        """Kill until that moment of the monotonic clock; then everything runs."""
        while time.monotonic() < end:
            time.sleep(self.rng.uniform(*PAUSE))
            self._one()

    def _one(self) -> None:
        cluster = self.cluster
        ways: dict[str, Callable[[], object]] = {
            "operator, at once back": cluster.operator.kill,
            "operator": partial(self._down, cluster.operator),
            "server, at once back": cluster.authserver.kill,
            "server": partial(self._down, cluster.authserver),
            "server and operator": self._both,
            "API server": partial(cluster.plane.restart_apiserver, seconds=START),
            "cert-manager": cluster.plane.restart_cert_manager,
        }
        what = self.rng.choice(list(ways))
        ways[what]()
        self.made[what] += 1
        self.say(f"killed: {what}")

    def _down(self, pod: Pod) -> None:
        pod.crash()
        time.sleep(self.rng.uniform(*DOWN))
        pod.start()

    def _both(self) -> None:
        self.cluster.operator.crash()
        self._down(self.cluster.authserver)
        self.cluster.operator.start()
