"""One measurement of one server, and rounds of them over several servers in turn.

Owns what a figure is and how noise is held off: processor time in place of the clock's, servers that take turns, ratios
within a round. Must not know how a server is started (`servers`) or what a figure has to be (`__main__`).
"""

import json
import os
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import toolchain
from benchmarks.scenario import Scenario

CONNECTIONS = 16
"""Requests under way at once."""


@dataclass(frozen=True)
class Ask:
    """A request: path, form, and what an answer to it has to hold."""

    path: str
    body: str
    expect: str


@dataclass(frozen=True)
class Server:
    """A running server: whose processor time counts (with that of their children), where it listens, how it is asked."""

    name: str
    pids: tuple[int, ...]
    port: int
    token: Ask
    introspection: Ask | None = None


@dataclass(frozen=True)
class Measurement:
    """Latencies in milliseconds. Every request was answered as expected: anything else ends the run."""

    cpu_microseconds: float
    """Of the server, for each request."""
    per_second: float
    p50: float
    p99: float


@dataclass(frozen=True)
class LoadKind:
    """`rate` None: closed loop. `rounds` of `seconds` each, after `warmup` requests to each server."""

    cold: bool = False
    rate: float | None = None
    seconds: float = 2.0
    rounds: int = 5
    warmup: int = 500


def cores() -> tuple[int, int]:
    """One for the server, one for the load (the same where there is only one)."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[-1], usable[0]


def measure(server: Server, ask: Ask, scenario: Scenario, kind: LoadKind, *, warmup: int = 0) -> Measurement:
    """Raises SystemExit when a single answer was not as expected: a figure with errors in it means nothing."""
    seen = _load(server, ask, scenario, kind, warmup)
    if seen["failed"] or not seen["answered"]:
        raise SystemExit(f"{server.name}: {seen['failed']} of {seen['answered']} failed: {seen['first_failure']}")
    return Measurement(
        cpu_microseconds=seen["cpu_seconds"] / seen["answered"] * 1e6,
        per_second=seen["answered"] / seen["seconds"],
        p50=seen["p50"] / 1e3,
        p99=seen["p99"] / 1e3,
    )


def _load(server: Server, ask: Ask, scenario: Scenario, kind: LoadKind, warmup: int) -> dict[str, Any]:
    command = [*load_command(server, ask, scenario, kind), "-warmup", str(warmup)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=load_environment())
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def load_command(
    server: Server, ask: Ask, scenario: Scenario, kind: LoadKind, *, connections: int = CONNECTIONS
) -> list[str]:
    """The load generator on its core; it prints JSON."""
    command = ["taskset", "-c", str(cores()[1]), str(toolchain.load_generator())]
    command += ["-address", f"127.0.0.1:{server.port}", "-path", ask.path, "-body", ask.body, "-expect", ask.expect]
    command += ["-ca", str(scenario.server("ca.crt")), "-pids", ",".join(map(str, server.pids))]
    command += ["-cert", str(scenario.client("tls.crt")), "-key", str(scenario.client("tls.key"))]
    command += ["-connections", str(connections), "-seconds", str(kind.seconds)]
    command += ["-cold"] if kind.cold else []
    command += ["-rate", str(kind.rate)] if kind.rate else []
    return command


def load_environment() -> dict[str, str]:
    """As many threads as the load generator has cores."""
    return {**os.environ, "GOMAXPROCS": "1"}


def take_turns(
    servers: Sequence[Server], asked: Callable[[Server], Ask], scenario: Scenario, kind: LoadKind
) -> dict[str, list[Measurement]]:
    """By server, one entry a round; every other round goes backwards, so that a drift of the machine cancels."""
    for server in servers:
        measure(server, asked(server), scenario, LoadKind(cold=kind.cold, seconds=0.5), warmup=kind.warmup)
    seen: dict[str, list[Measurement]] = {server.name: [] for server in servers}
    for number in range(kind.rounds):
        for server in servers if number % 2 == 0 else reversed(servers):
            seen[server.name].append(measure(server, asked(server), scenario, kind, warmup=CONNECTIONS))
    return seen


def median(measured: Sequence[Measurement], what: Callable[[Measurement], float]) -> float:
    return statistics.median(map(what, measured))


def ratio(
    of: Sequence[Measurement], to: Sequence[Measurement], what: Callable[[Measurement], float] = lambda m: m.cpu_microseconds
) -> float:
    """How many times better `of` is than `to`: the median of the ratios within each round; less is better in both."""
    return statistics.median(what(b) / what(a) for a, b in zip(of, to, strict=True))


def resident_mebibytes(pid: int) -> float:
    """Memory of a process that is its own at this moment."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def children(pid: int) -> list[int]:
    """Processes that a process has started and that still run."""
    return [int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]
