"""How much a token costs, beside the least that it can cost on this stack.

    python -m benchmarks.token_endpoint [--rounds N] [--seconds S]

Starts the floor and the real authorization server on one core and the load on another, and asks each in turn for
tokens over the same number of kept-alive mutual-TLS connections. The figure is tokens for one second of the server's
processor time: on a shared machine it is steadier than tokens for a second of the clock. Linux only (`/proc`, affinity).
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jwt

from benchmarks import product
from benchmarks.load import Connection
from benchmarks.scenario import Scenario

WARM_UP = 1.0  # seconds of load before the first round


@dataclass(frozen=True)
class Server:
    """A running server: who uses the processor, and where it listens."""

    name: str
    process: int
    port: int

    def cpu_seconds(self) -> float:
        """What all its threads have used so far."""
        schedules = Path(f"/proc/{self.process}/task").glob("*/schedstat")
        return sum(int(path.read_text().split()[0]) for path in schedules) / 1e9


def cores() -> tuple[int, int]:
    """One for the server, one for the load (the same where there is only one)."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[-1], usable[0]


def measure(server: Server, scenario: Scenario, seconds: float) -> float:
    """Tokens for one second of the server's processor time."""
    before = server.cpu_seconds()
    command = [sys.executable, "-m", "benchmarks.load", str(scenario.folder), str(server.port), str(seconds)]
    load = subprocess.run([*_pinned(cores()[1]), *command], check=True, capture_output=True, text=True)
    return float(json.loads(load.stdout)["tokens"] / (server.cpu_seconds() - before))


def check(server: Server, scenario: Scenario) -> None:
    """Before anything is timed: the token is bound to the certificate that was presented."""
    connection = Connection(scenario, server.port)
    connection.ask()
    claims = jwt.decode(connection.answer(), options={"verify_signature": False})
    expected = scenario.client_certificate.x5t_s256
    if claims["cnf"] != {"x5t#S256": expected}:
        raise SystemExit(f"{server.name}: expected a token bound to {expected}, got {claims['cnf']}")


@contextmanager
def running(command: list[str], env: Mapping[str, str]) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [*_pinned(cores()[0]), *command], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=15)


def _pinned(core: int) -> list[str]:
    return ["taskset", "-c", str(core)]


def _port(process: "subprocess.Popen[str]", marker: str) -> int:
    """The number at the end of the first line of output that holds `marker`."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if marker in line:
            return int(line.rpartition(":")[2])
    raise SystemExit("the server did not start:\n" + "".join(seen))


def compare(floor: Server, real: Server, scenario: Scenario, rounds: int, seconds: float) -> list[tuple[float, float]]:
    """Figures of both, round by round; each round begins with the other one, so that a drift of the machine cancels."""
    for server in (floor, real):
        check(server, scenario)
        measure(server, scenario, WARM_UP)
    seen = []
    for number in range(rounds):
        order = (floor, real) if number % 2 == 0 else (real, floor)
        figures = {server.name: measure(server, scenario, seconds) for server in order}
        seen.append((figures[floor.name], figures[real.name]))
        print(_row(f"round {number + 1}", *seen[-1], seen[-1][1] / seen[-1][0]), flush=True)
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of load on each server in each round")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario.prepare(Path(folder))
        asyncio.run(product.register(scenario))
        floor_command = [sys.executable, "-m", "benchmarks.floor", folder]
        real_command = [sys.executable, "-m", "holdfast_authserver.server"]
        with running(floor_command, os.environ) as first, running(real_command, product.environment(scenario)) as second:
            floor = Server("floor", first.pid, _port(first, ""))
            real = Server("holdfast", second.pid, _port(second, "mtls on"))
            print("tokens for one second of the server's processor time, kept-alive mutual TLS, ES256:")
            seen = compare(floor, real, scenario, arguments.rounds, arguments.seconds)
    report(seen)


def report(seen: list[tuple[float, float]]) -> None:
    floor, real = (statistics.median(column) for column in zip(*seen, strict=True))
    ratio = statistics.median(b / a for a, b in seen)
    print(_row("median", floor, real, ratio))


def _row(label: str, floor: float, real: float, ratio: float) -> str:
    return f"{label:8} floor {floor:6.0f}   holdfast {real:6.0f}   ratio {ratio:.2f}"


if __name__ == "__main__":
    main()
