"""The operator with many clients, on a real control plane: how long, how many writes, how much processor time and memory.

    python -m benchmarks.operator_scale [--clients 10000] [--few 1000] [--certificates 1000] [--phases steady,…]

Everything runs here on 127.0.0.1 and shares the machine's cores: etcd, API server, controllers, cert-manager, the
authorization server, one operator, and the clients' writer. Figures are times of the clock, processor seconds of the
operator alone (which other work on the machine disturbs least), and counts from the API server's audit log. Prints a table;
exit code 1 when a figure is not what it has to be. Linux only. Neighbours: `crowd`, `tests.controlplane.cluster`.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import crowd as crowds
from benchmarks.crowd import Crowd, Member
from benchmarks.live import Live
from benchmarks.measure import resident_mebibytes
from benchmarks.report import Figure, at_most, table
from tests.controlplane.cluster import OPERATOR, LocalCluster
from tests.controlplane.plane.audit import Request
from tests.core.x509.authority import Authority
from tools.generate_install import NAMESPACE

USER = f"system:serviceaccount:{NAMESPACE}:{OPERATOR}"
PHASES = ("steady", "change", "restart")
_TICK = os.sysconf("SC_CLK_TCK")
_QUIET = 3.0
"""Seconds without a due key and hardly any processor time: then it is idle."""

BASELINE = {
    "apiVersion": "holdfast.dev/v1alpha1",
    "kind": "MTLSPolicy",
    "metadata": {"name": "baseline"},
    "spec": {"authentication": {"allowedMethods": ["tls_client_auth"]}, "tokens": {"maxLifetime": "15m"}},
}


@dataclass
class Scale:
    """One cluster, and what was measured on it so far."""

    cluster: LocalCluster
    crowd: Crowd
    authority: Authority
    figures: list[Figure] = field(default_factory=list)

    # Phases, each on what those before it left.

    async def fill(self, clients: Sequence[Member]) -> "Filled":
        """All objects are there, the registry is empty, the operator starts. A start without clients is not counted."""
        await self.idle()
        started = self.cpu()
        self.cluster.operator.stop()
        say(f"{len(clients)} clients written in {await self.crowd.create(clients, crowds.own_certificate):.0f} s")
        since, offset = await self.crowd.resource_version(), self.offset
        self.cluster.operator.start()
        seconds = await self.crowd.until_ready(clients, since, 1200)
        await self.idle()
        cpu = self.cpu() - started
        writes = self.writes(offset)
        filled = Filled(len(clients), seconds, cpu, writes)
        say(f"{filled}; {self.memory():.0f} MiB")
        return filled

    async def steady(self, clients: int, seconds: float = 60) -> None:
        """Nothing happens."""
        await self.idle()
        offset, before = self.offset, self.cpu()
        await asyncio.sleep(seconds)
        share, writes = (self.cpu() - before) / seconds * 100, self.writes(offset)
        writes.pop("leases", None)
        self.figures += [
            at_most(f"steady state, {clients} clients: writes in {seconds:.0f} s", writes.total(), "", must=0, aim=0),
            at_most(f"steady state, {clients} clients: of a core", share, "%", must=2, aim=1),
            at_most(f"steady state, {clients} clients: memory", self.memory(), "MiB", must=350, aim=250),
        ]
        say(f"steady: {share:.2f} % of a core, {self.memory():.0f} MiB, writes {dict(writes)}")

    async def change(self, clients: Sequence[Member], times: int = 50) -> None:
        """Suspend a client and take it back, and see when the token endpoint knows."""
        live = Live(self.cluster, self.authority)
        member = clients[len(clients) // 2]
        seen = []
        async with live.asking(member) as asks:
            for number in range(times):
                suspended = number % 2 == 0
                await self.crowd.patch(member, {"suspend": suspended})
                seen.append(await asks.until(served=not suspended))
        name = f"one change among {len(clients)}: live at the token endpoint, median over {times}"
        figure = at_most(name, statistics.median(seen), "s", must=1, aim=0.3)
        self.figures.append(figure)
        say(f"change: median {figure.value:.3f} s, slowest {max(seen):.3f} s")

    async def restart(self, clients: int) -> None:
        """The operator is killed and started with all present and nothing to do."""
        self.cluster.operator.stop()
        offset, started = self.offset, time.monotonic()
        self.cluster.operator.start()
        seconds = await self.idle() - started
        writes = self.writes(offset)
        writes.pop("leases", None)
        self.figures += [
            at_most(f"restart with {clients} clients: until idle", seconds, "s", must=30, aim=20),
            at_most(f"restart with {clients} clients: writes", writes.total(), "", must=0, aim=0),
        ]
        say(f"restart: idle after {seconds:.1f} s, {self.cpu():.1f} s of the processor, writes {dict(writes)}")

    async def certificates(self, count: int) -> None:
        """cert-manager alone, and under the operator: the same Certificates both times, in turns."""
        alone, under = [], []
        spec = None
        for turn in range(2):
            clients = crowds.members(f"cm-{turn}", count)
            await self.crowd.prepare(clients, self.authority)
            since, offset, cpu = await self.crowd.resource_version(), self.offset, self.cpu()
            started = time.monotonic()
            waiting = asyncio.create_task(self.crowd.until_ready(clients, since, 1200))
            await self.crowd.create(clients, crowds.issued_certificate)
            await waiting
            under.append(time.monotonic() - started)
            await self.idle()
            cpu = (self.cpu() - cpu) / count * 1000
            say(f"{count} clients by cert-manager: {under[-1]:.1f} s, {cpu:.1f} ms each, writes {dict(self.writes(offset))}")
            spec = spec or (await self.crowd.certificate(clients[0]))["spec"]
            alone.append(await self._alone(crowds.members(f"alone-{turn}", count), spec))
        added = (min(under) / min(alone) - 1) * 100
        detail = f"alone {min(alone):.1f} s, with the operator {min(under):.1f} s"
        name = f"{count} clients with cert-manager certificates: added"
        self.figures.append(Figure(name, added, "%", 20, 10, detail, less_is_better=True))
        say(f"certificates: {detail}")

    async def _alone(self, clients: Sequence[Member], spec: crowds.Object) -> float:
        """The operator does not run."""
        self.cluster.operator.stop()
        await self.crowd.prepare(clients, self.authority)
        since, started = await self.crowd.resource_version(certificates=True), time.monotonic()
        waiting = asyncio.create_task(self.crowd.until_ready(clients, since, 1200, certificates=True))
        await self.crowd.create_certificates(crowds.bare_certificate(m, spec) for m in clients)
        await waiting
        seconds = time.monotonic() - started
        say(f"{len(clients)} Certificates of cert-manager alone: {seconds:.1f} s")
        self.cluster.operator.start()
        await self.idle()
        return seconds

    # What is read of the processes.

    @property
    def offset(self) -> int:
        return self.cluster.plane.audit_log.stat().st_size

    def writes(self, offset: int) -> Counter[str]:
        """Of the operator, by resource."""
        return Counter(map(_resource, (r for r in self.cluster.plane.requests(offset) if r.user == USER and r.is_write)))

    def cpu(self) -> float:
        """Processor seconds of the operator since it started."""
        stat = Path(f"/proc/{self.cluster.operator.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / _TICK

    def memory(self) -> float:
        return resident_mebibytes(self.cluster.operator.pid)

    async def idle(self, seconds: float = 600) -> float:
        """Wait until nothing is due for a while; the moment from which on it was so. Raises SystemExit."""
        deadline, since, used = time.monotonic() + seconds, time.monotonic(), self.cpu()
        while time.monotonic() - since < _QUIET:
            if time.monotonic() > deadline:
                raise SystemExit("the operator did not become idle")
            await asyncio.sleep(0.25)
            now = self.cpu()
            if not await self._nothing_due() or now - used > 0.1:
                since = time.monotonic()
            used = now
        return since

    async def _nothing_due(self) -> bool:
        metrics = await asyncio.to_thread(_get, f"http://127.0.0.1:{self.cluster.ports.operator_ops}/metrics")
        return "holdfast_operator_queue_keys 0" in metrics and "holdfast_operator_leading 1" in metrics


@dataclass(frozen=True)
class Filled:
    """From an empty registry to all Ready."""

    clients: int
    seconds: float
    cpu: float
    writes: Counter[str]

    @property
    def per_client(self) -> float:
        """Milliseconds of the operator's processor time."""
        return self.cpu / self.clients * 1000

    @property
    def writes_per_client(self) -> float:
        return sum(n for resource, n in self.writes.items() if resource != "leases") / self.clients

    def __str__(self) -> str:
        return (
            f"{self.clients} clients Ready in {self.seconds:.1f} s, {self.per_client:.2f} ms of the operator each, "
            f"{self.writes_per_client:.3f} writes each {dict(self.writes)}"
        )

    def figures(self) -> list[Figure]:
        must = 150 * self.clients / 10_000
        detail = f"operator {self.cpu:.1f} s of the processor, {self.per_client:.2f} ms a client"
        name = f"{self.clients} clients that bring their certificate: all Ready"
        return [
            Figure(name, self.seconds, "s", must, must * 2 / 3, detail, less_is_better=True),
            at_most(f"{self.clients} clients: API writes for each", self.writes_per_client, "", must=2.01, aim=2.0),
        ]


def _resource(request: Request) -> str:
    return f"{request.resource}/{request.subresource}" if request.subresource else request.resource


def _get(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as response:
            return str(response.read().decode())
    except OSError:
        return ""


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


@contextmanager
def _cluster(name: str) -> Iterator[LocalCluster]:
    """cert-manager approves its requests by itself, with the operator and without."""
    with (
        tempfile.TemporaryDirectory(prefix=f"holdfast-{name}-") as folder,
        LocalCluster.start(Path(folder), say, {"approver.issuers": "null"}) as running,
    ):
        running.plane.guard(on=False)
        running.plane.apply([BASELINE])
        yield running


async def _many(cluster: LocalCluster, count: int, phases: Sequence[str]) -> tuple[Filled, list[Figure]]:
    scale = Scale(cluster, Crowd(cluster.plane), Authority.root("CN=Crowd"))
    clients = crowds.members("crowd", count)
    await scale.crowd.prepare(clients, scale.authority)
    filled = await scale.fill(clients)
    if "steady" in phases:
        await scale.steady(count)
    if "change" in phases:
        await scale.change(clients)
    if "restart" in phases:
        await scale.restart(count)
    return filled, scale.figures


async def _few(cluster: LocalCluster, count: int, certificates: int) -> tuple[Filled, list[Figure]]:
    """What needs no crowd: what a client costs among few, and what cert-manager has to do besides."""
    scale = Scale(cluster, Crowd(cluster.plane), Authority.root("CN=Few"))
    clients = crowds.members("few", count)
    await scale.crowd.prepare(clients, scale.authority)
    filled = await scale.fill(clients)
    if certificates:
        await scale.certificates(certificates)
    return filled, scale.figures


def flatness(many: Filled, few: Filled) -> Figure:
    """Whether a client costs the same among many."""
    name = f"processor time of the operator for each client, {many.clients} against {few.clients}"
    detail = f"{many.per_client:.2f} ms and {few.per_client:.2f} ms"
    return Figure(name, many.per_client / few.per_client, "x", 1.2, 1.0, detail, less_is_better=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--few", type=int, default=1_000, help="how many clients the cost of each is compared with; 0: none")
    parser.add_argument(
        "--certificates", type=int, default=1_000, help="clients whose certificates cert-manager issues; 0: none"
    )
    parser.add_argument("--phases", default=",".join(PHASES), help="of what is done with the many")
    options = parser.parse_args()
    figures: list[Figure] = []
    few = None
    if options.few:
        with _cluster("few") as cluster:
            few, figures = asyncio.run(_few(cluster, options.few, options.certificates))
    if options.clients:
        with _cluster("many") as cluster:
            many, found = asyncio.run(_many(cluster, options.clients, options.phases.split(",")))
        figures = [*many.figures(), *found, *([flatness(many, few)] if few else ()), *figures]
    print(table(figures))
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
