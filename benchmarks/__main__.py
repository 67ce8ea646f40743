"""The table: what the authorization server costs, beside a peer, beside the least it could cost, and beside its targets.

    python -m benchmarks [--rounds N] [--seconds S] [--only NAME] [--write]
    python -m benchmarks --short           product against floor alone; exit 1 below the share it must have, less 15 %

Owns the figures and what each must be. One core for the servers, another for the load; `--write` keeps the table in
RESULTS.md. Linux only (`/proc`, affinity). Neighbours: `servers` starts, `measure` measures.
"""

import argparse
import asyncio
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import product, report, servers
from benchmarks.measure import Ask, LoadKind, Measurement, Server, children, measure, median, ratio, take_turns
from benchmarks.measure import resident_mebibytes as resident
from benchmarks.report import Figure
from benchmarks.scenario import Scenario

NODE_WARM_UP = 20_000
"""Requests before a Node server is as fast as it gets; fewer flatter whoever is compared with it."""
SLACK = 0.85
"""Of what must be: how much of it the short form asks for, on machines that others use."""
MUST_SHARE = 0.70
"""Of the floor that a warm token must reach."""
MANY = 10_000
"""Clients registered where memory is measured."""


@dataclass(frozen=True)
class Bench:
    """The scenario of a run, and how long each part of it takes."""

    scenario: Scenario
    rounds: int
    seconds: float

    def registry(self, name: str = "one", others: int = 0) -> Path:
        """A registry file with the scenario's client; a server of its own for each name."""
        path = self.scenario.folder / name / "registry.db"
        if not path.exists():
            asyncio.run(product.register(self.scenario, path, others=others))
        return path

    def kind(self, *, cold: bool = False, warmup: int = 2000) -> LoadKind:
        return LoadKind(cold=cold, seconds=self.seconds, rounds=self.rounds, warmup=warmup)

    @contextmanager
    def three(self) -> Iterator[tuple[Server, Server, Server]]:
        """Peer, floor and product; the peer is warm when they are handed over."""
        with ExitStack() as stack:
            peer = stack.enter_context(servers.peer(self.scenario))
            floor = stack.enter_context(servers.floor(self.scenario))
            ours = stack.enter_context(servers.holdfast(self.scenario, self.registry()))
            for ask in (peer.token, _introspection(peer)):
                measure(peer, ask, self.scenario, LoadKind(seconds=0.2), warmup=NODE_WARM_UP)
            yield peer, floor, ours


def _token(server: Server) -> Ask:
    return server.token


def _introspection(server: Server) -> Ask:
    assert server.introspection is not None
    return server.introspection


def _cpu(measurement: Measurement) -> float:
    return measurement.cpu_microseconds


def requests(bench: Bench) -> list[Figure]:
    """Tokens warm and cold, introspection, and the tail of latency under a fixed load."""
    with bench.three() as (peer, floor, ours):
        warm = take_turns((peer, floor, ours), _token, bench.scenario, bench.kind())
        cold = take_turns((peer, floor, ours), _token, bench.scenario, bench.kind(cold=True, warmup=200))
        inspected = take_turns((peer, floor, ours), _introspection, bench.scenario, bench.kind())
        rate = 0.6 * median(warm["peer"], lambda m: m.per_second)
        fixed = LoadKind(rate=rate, seconds=bench.seconds * 2, rounds=bench.rounds, warmup=200)
        tails = take_turns((peer, ours), _token, bench.scenario, fixed)
    by_peer = report.times_peer
    return [
        by_peer("token, warm", warm, must=1.3, aim=1.6),
        report.share_of_floor("token, warm, share of the floor", warm, must=MUST_SHARE, aim=0.85),
        by_peer("token, cold", cold, must=1.25, aim=1.4),
        by_peer("introspection of a bound token", inspected, must=1.2, aim=1.8),
        report.tail(f"p99 at {rate:.0f} requests/s", tails, must=1 / 3, aim=1 / 5),
    ]


def behind_envoy(bench: Bench) -> list[Figure]:
    """Cold tokens with Envoy in front, both on one core, against the peer that ends TLS by itself."""
    with ExitStack() as stack:
        peer = stack.enter_context(servers.peer(bench.scenario))
        ours = stack.enter_context(servers.behind_envoy(bench.scenario, bench.registry("envoy")))
        measure(peer, peer.token, bench.scenario, LoadKind(seconds=0.2), warmup=NODE_WARM_UP)
        cold = take_turns((peer, ours), _token, bench.scenario, bench.kind(cold=True, warmup=200))
    return [report.times_peer("token, cold, behind Envoy", cold, must=1.5, aim=1.75)]


def memory(bench: Bench) -> list[Figure]:
    """Of a worker that has ten thousand clients and has been under load."""
    with servers.holdfast(bench.scenario, bench.registry("many", MANY - 1)) as ours:
        measure(ours, ours.token, bench.scenario, LoadKind(seconds=bench.seconds * 2))
        return [report.at_most(f"memory of a worker, {MANY} clients", resident(ours.pids[0]), "MiB", must=100, aim=80)]


def workers(bench: Bench) -> list[Figure]:
    """Two workers against one: what a request costs must not grow. Neither is pinned."""
    with ExitStack() as stack:
        one, two = (
            stack.enter_context(
                servers.holdfast(
                    bench.scenario, bench.registry(f"workers-{n}"), name=f"{n} workers", pinned=False, workers=str(n)
                )
            )
            for n in (1, 2)
        )
        if len(children(two.pids[0])) != 2:
            raise SystemExit(f"expected 2 workers, found {len(children(two.pids[0]))}")
        warm = take_turns((one, two), _token, bench.scenario, bench.kind())
    growth = ratio(warm[one.name], warm[two.name], _cpu)
    return [report.at_most("processor time with two workers, against one", growth, "x", must=1.10, aim=1.05)]


PARTS = {"requests": requests, "envoy": behind_envoy, "memory": memory, "workers": workers}


def short(bench: Bench) -> int:
    """Product against floor alone, for pipelines: needs neither Node nor a quiet machine."""
    with servers.floor(bench.scenario) as floor, servers.holdfast(bench.scenario, bench.registry()) as ours:
        warm = take_turns((floor, ours), _token, bench.scenario, bench.kind())
    figure = report.share_of_floor("token, warm, share of the floor", warm, must=MUST_SHARE * SLACK, aim=0.85)
    print(report.table([figure]))
    return 0 if figure.holds else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of load on each server in each round")
    parser.add_argument("--only", choices=sorted(PARTS), help="one part of the table")
    parser.add_argument("--short", action="store_true", help="product against floor alone, with slack")
    parser.add_argument("--write", action="store_true", help="keep the table in RESULTS.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Scenario.prepare(Path(folder)), arguments.rounds, arguments.seconds)
        if arguments.short:
            return short(bench)
        wanted = [arguments.only] if arguments.only else list(PARTS)
        figures = [figure for name in wanted for figure in PARTS[name](bench)]
    print(report.table(figures))
    if arguments.write:
        report.write(figures, f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}")
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
