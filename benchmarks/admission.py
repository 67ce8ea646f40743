"""What a review by the injector costs, on a real control plane that holds many clients.

    python -m benchmarks.admission [--clients 1000] [--reviews 500]

Everything runs here on 127.0.0.1 and shares the cores of the machine. Each review is the creation of a client, rehearsed
at the API server over one connection, one after the other, and compared with the same while the webhooks are off. Times
are of the clock, processor time is that of the injector alone. Prints a table; exit code 1 when a figure is not what it
has to be. Linux only. Neighbours: `crowd`, `tests.controlplane.cluster`.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import crowd as crowds
from benchmarks.crowd import Crowd, Member, Object
from benchmarks.measure import resident_mebibytes
from benchmarks.operator_scale import BASELINE, say
from benchmarks.report import Figure, at_most, table
from tests.controlplane.cluster import LocalCluster
from tests.core.x509.authority import Authority

_TICK = os.sysconf("SC_CLK_TCK")

Form = Callable[[Member], Object]


def refused(member: Member) -> Object:
    """A client that a policy refuses, which costs reading again what that rests on."""
    client = crowds.issued_certificate(member)
    return {**client, "spec": {**client["spec"], "tokens": {"lifetime": "1h"}}}


FORMS: dict[str, Form] = {
    "by an issuer": crowds.issued_certificate,
    "with a certificate of its own": crowds.own_certificate,
    "refused": refused,
}


class Reviews:
    """One cluster whose injector is measured."""

    def __init__(self, cluster: LocalCluster, crowd: Crowd, count: int) -> None:
        self._cluster, self._crowd, self._count = cluster, crowd, count

    async def milliseconds(self, form: Form) -> list[float]:
        """Of each rehearsal, sorted."""
        seen = []
        for number in range(self._count):
            member = Member("many-000", f"new{number:05}")
            path = f"/apis/holdfast.dev/v1alpha1/namespaces/{member.namespace}/oauthclients?dryRun=All"
            began = time.perf_counter()
            await self._crowd.http.post(path, json=form(member))
            seen.append((time.perf_counter() - began) * 1000)
        return sorted(seen)

    def cpu(self) -> float:
        """Processor seconds of the injector since it started."""
        stat = Path(f"/proc/{self._cluster.injector.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / _TICK

    async def figures(self, clients: int) -> list[Figure]:
        measured: dict[str, tuple[list[float], float]] = {}
        for name, form in FORMS.items():
            await self.milliseconds(form)  # a connection, and what is read once
            began = self.cpu()
            measured[name] = await self.milliseconds(form), (self.cpu() - began) / self._count * 1000
        with self._cluster.webhooks_off():
            without = await self.milliseconds(crowds.issued_certificate)
        figures = [figure for name, found in measured.items() for figure in _figures(name, clients, found, without)]
        memory = resident_mebibytes(self._cluster.injector.pid)
        return [*figures, at_most(f"injector, {clients} clients: memory", memory, "MiB", must=350, aim=150)]


def _figures(name: str, clients: int, found: tuple[list[float], float], without: list[float]) -> Iterator[Figure]:
    """`must` of a p99: a twentieth of the 5 s for which the API server waits."""
    seen, cpu = found
    beside = f"median {statistics.median(seen):.1f} ms; without webhooks {statistics.median(without):.1f} ms"
    detail = f"{beside}, p99 {_p99(without):.1f} ms"
    yield Figure(f"client {name} beside {clients}: p99 of its creation", _p99(seen), "ms", 250, 25, detail, True)
    yield at_most(f"client {name} beside {clients}: the injector's processor time", cpu, "ms", must=5, aim=2)


def _p99(seen: list[float]) -> float:
    return seen[int(len(seen) * 0.99)]


async def run(clients: int, reviews: int, root: Path) -> list[Figure]:
    with LocalCluster.start(root, say) as cluster:
        cluster.plane.apply([BASELINE])
        crowd = Crowd(cluster.plane)
        many = crowds.members("many", clients)
        await crowd.prepare(many, Authority.root("CN=many"))
        since = await crowd.resource_version()
        say(f"{clients} clients written in {await crowd.create(many, crowds.own_certificate):.0f} s")
        say(f"all of them Ready {await crowd.until_ready(many, since, 1200):.0f} s later")
        found = await Reviews(cluster, crowd, reviews).figures(clients)
        await crowd.http.aclose()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--reviews", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="holdfast-admission-") as folder:
        figures = asyncio.run(run(options.clients, options.reviews, Path(folder)))
    print(table(figures))
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
