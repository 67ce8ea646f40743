"""What it costs to say how many of many clients break a policy: the first time, again, and after one of them has changed.

    python -m benchmarks.policy_count [--clients 10000]

Without a cluster: the operator's own counting (`holdfast_operator.converge.counting`) over objects that lie in memory as
they do in its stores, one process, its processor time. Prints a table; exit code 1 when a figure is not what it has to be.
Neighbour: `crowd`, which makes the clients.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping, Sequence

from benchmarks import crowd as crowds
from benchmarks.crowd import Object
from benchmarks.report import Figure, at_most, table
from holdfast_operator.converge.counting import Counting
from holdfast_operator.converge.shelf import Shelf
from holdfast_operator.reconcile.policies import PolicyInForce, in_force
from holdfast_operator.reconcile.ports import Kind
from holdfast_operator.reconcile.settings import ReconcileSettings

SPEC: Object = {
    "mode": "Audit",
    "authentication": {"allowedMethods": ["tls_client_auth"]},
    "tokens": {"maxLifetime": "15m"},
    "grants": {"allowedScopes": ["orders.*"]},
    "certificates": {
        "allowedSubjects": {"uris": ["spiffe://cluster.local/ns/{namespace}/sa/*"]},
        "allowedIssuers": [{"name": "workloads"}],
        "minimumKey": {"ecBits": 256},
        "maxDuration": "48h",
    },
}
"""One policy with something of everything."""
TEN = 10  # one client in ten breaks it
POLICIES = 5


class Stored:
    """Clients as the operator's warm store keeps them."""

    def __init__(self, count: int) -> None:
        self._shelf, self._version = Shelf(Kind.OAUTH_CLIENT), 0
        self._members = crowds.members("many", count)
        for number in range(count):
            self.put(number, lifetime="1h" if number % TEN == 0 else "10m")

    @property
    def namespaces(self) -> dict[str, dict[str, str]]:
        return {m.namespace: {"kubernetes.io/metadata.name": m.namespace} for m in self._members}

    def put(self, number: int, *, lifetime: str) -> None:
        """Write a client, whose spec is new."""
        self._version += 1
        client = crowds.issued_certificate(self._members[number])
        versions = {"uid": f"uid-{number}", "generation": self._version, "resourceVersion": str(self._version)}
        status = {"certificate": {"thumbprint": "A" * 43, "trustAnchors": ["0" * 64]}}
        spec = {**client["spec"], "tokens": {"lifetime": lifetime}}
        self._shelf.put({**client, "metadata": {**client["metadata"], **versions}, "spec": spec, "status": status})

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return self._shelf.get((namespace, name))

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Sequence[Object]:
        return self._shelf.all(namespace)


async def _milliseconds(counting: Counting, policies: Sequence[PolicyInForce], stored: Stored, expected: int) -> float:
    """Processor time of counting all of them at once. Raises AssertionError for a wrong count."""
    began = time.process_time()
    counts = await asyncio.gather(*(counting.count(policy, policies, stored.namespaces) for policy in policies))
    took = (time.process_time() - began) * 1000
    assert {len(count.broken) for count in counts} == {expected}, "a count that is wrong costs nothing"
    return took


async def run(clients: int) -> list[Figure]:
    stored = Stored(clients)
    counting = Counting(stored, ReconcileSettings())
    policies = [in_force({"metadata": {"name": f"policy-{n}"}, "spec": SPEC}) for n in range(POLICIES)]
    broken = clients // TEN
    first = await _milliseconds(counting, policies[:1], stored, broken)
    again = await _milliseconds(counting, policies[:1], stored, broken)
    stored.put(1, lifetime="1h")
    changed = await _milliseconds(counting, policies[:1], stored, broken + 1)
    await _milliseconds(counting, policies, stored, broken + 1)
    together = await _milliseconds(counting, policies, stored, broken + 1)
    each = clients / 10_000
    return [
        at_most(f"{clients} clients: first count of a policy", first, "ms", must=2500 * each, aim=1000 * each),
        at_most("the same again", again, "ms", must=250 * each, aim=100 * each),
        at_most("after one client has changed", changed, "ms", must=250 * each, aim=100 * each),
        at_most(f"{POLICIES} policies at once, again", together, "ms", must=600 * each, aim=300 * each),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=10_000)
    figures = asyncio.run(run(parser.parse_args().clients))
    print(table(figures))
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
