"""The soak: the authorization server at saturation for minutes, while all that can change about it does.

    python -m benchmarks.soak [--minutes 10] [--workers 1]

Warm and cold connections at once, from the load generator; beside them what `disturbances` does, and `probe`, which is
refused by plan. No answer may be anything but what was planned, no audit line may be missing, and once a fifth of the time
has passed memory stays within 5 %. Prints a line a minute and a verdict; exit code 1 when it does not hold. Linux only.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import product, servers
from benchmarks.disturbances import OTHERS, AuditFiles, Certificates, KeyRotations, RegistryChanges, every
from benchmarks.measure import LoadKind, Server, children, load_command, load_environment, resident_mebibytes
from benchmarks.probe import Findings, Planned, Probe, run_probe
from benchmarks.scenario import Scenario
from holdfast.clock import system_clock
from holdfast_authserver.registry.keeper import RegistryKeeper
from tests.core.x509.authority import Authority

WARM, COLD = 12, 4
"""Connections that are kept, and requests under way that each make one."""
SETTLED = 0.2
"""Share of the time after which memory has to stay where it is: caches and the allocator have filled by then."""
GROWTH = 1.05
"""What memory may grow to."""
_SAMPLE = 5.0  # seconds between looks at memory
_SMOOTH = 3  # samples that a figure of memory is the median of
_LINE = 60.0  # seconds between lines


@dataclass
class Load:
    """One load generator and what it has told so far."""

    name: str
    answered: int = 0
    failed: int = 0
    told: dict[str, Any] = field(default_factory=dict)
    """The last JSON object."""

    async def run(self, command: list[str]) -> None:
        """Until it ends. Raises SystemExit when it could not run."""
        process = await asyncio.create_subprocess_exec(
            *command, "-progress", "1", env=load_environment(), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                self.told = json.loads(line)
                self.answered, self.failed = self.told["answered"], self.told["failed"]
        finally:
            if process.returncode is None and not process.stdout.at_eof():
                process.terminate()
            code = await process.wait()
        if code != 0:
            raise SystemExit(f"load generator ({self.name}): exit code {code}")


@dataclass
class Memory:
    """Resident memory of each process of the server, in MiB, by seconds since the beginning."""

    server: Server
    seconds: float
    samples: dict[int, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.pids = self._running()
        self._began = time.monotonic()

    def _running(self) -> list[int]:
        parents = list(self.server.pids)
        return sorted(parents + [child for parent in parents for child in children(parent)])

    async def sample(self) -> None:
        """Raises SystemExit when a process has ended or was begun anew."""
        running = self._running()
        if running != self.pids:
            raise SystemExit(f"processes of the server: expected {self.pids}, found {running}")
        for pid in running:
            self.samples[pid].append((time.monotonic() - self._began, resident_mebibytes(pid)))

    def now(self) -> float:
        """Of all processes."""
        return sum(samples[-1][1] for samples in self.samples.values())

    def growth(self) -> Iterator[tuple[int, float, float]]:
        """Of each process: memory once it had settled, and the most that it held after that."""
        for pid, samples in self.samples.items():
            held = [mebibytes for at, mebibytes in samples if at >= SETTLED * self.seconds]
            smooth = [statistics.median(held[i : i + _SMOOTH]) for i in range(max(len(held) - _SMOOTH + 1, 1))]
            yield pid, smooth[0], max(smooth)


@dataclass
class Soak:
    """All that goes on during one run."""

    scenario: Scenario
    server: Server
    seconds: float
    registry: RegistryChanges
    keys: KeyRotations
    certificates: Certificates
    audit: AuditFiles
    planned: Planned
    probe: Probe

    def __post_init__(self) -> None:
        self.warm, self.cold = Load("warm"), Load("cold")
        self.memory = Memory(self.server, self.seconds)
        self._minutes = 0

    async def run(self) -> None:
        """Until the load ends. Whatever goes wrong beside an answer ends it at once."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for seconds, work in (
                (0.2, self.registry.turn_of_another),
                (1.0, self.registry.deny_strangers),
                (5.0, self.registry.edit_policy),
                (4.0, self.planned.plan(self.registry)),
                (20.0, self.keys.rotate),
                (7.0, self.certificates.renew),
                (10.0, self.audit.rotate),
                (_SAMPLE, self.memory.sample),
            ):
                tasks.create_task(every(seconds, stop, work))
            tasks.create_task(run_probe(self.probe, stop))
            lines = tasks.create_task(self._lines())
            await asyncio.gather(self._load(self.warm, WARM), self._load(self.cold, COLD, cold=True))
            stop.set()
            lines.cancel()
        await self.memory.sample()

    async def _load(self, load: Load, connections: int, *, cold: bool = False) -> None:
        kind = LoadKind(cold=cold, seconds=self.seconds)
        await load.run(load_command(self.server, self.server.token, self.scenario, kind, connections=connections))

    async def _lines(self) -> None:
        while True:
            await asyncio.sleep(_LINE)
            self._minutes += 1
            print(f"minute {self._minutes}: {self.line()}", flush=True)

    def line(self) -> str:
        found, failed = self.probe.found, self.warm.failed + self.cold.failed
        return (
            f"{self.warm.answered} warm and {self.cold.answered} cold answers, {failed} errors; "
            f"{self.registry.made} registry changes, {self.keys.made} key rotations, {self.certificates.made} certificates, "
            f"{self.audit.made} audit files; planned client served {found.served}, refused {found.refused}; "
            f"{found.introspected} introspections; {len(found.wrong)} wrong; {self.memory.now():.1f} MiB"
        )

    def problems(self) -> Iterator[str]:
        """What does not hold; to be asked once the server has stopped."""
        for load in (self.warm, self.cold):
            if load.failed or not load.answered:
                yield f"{load.name}: {load.failed} errors beside {load.answered} answers: {load.told.get('first_failure')}"
        yield from self.probe.found.wrong[:10]
        yield from self._without_effect(self.probe.found)
        answered = self.warm.answered + self.cold.answered
        if self.audit.tokens < answered:
            yield f"audit log: {self.audit.tokens} tokens beside {answered} answers"
        for pid, settled, most in self.memory.growth():
            if most > settled * GROWTH:
                yield f"memory of process {pid}: {settled:.1f} MiB when settled, {most:.1f} MiB later"

    def _without_effect(self, found: Findings) -> Iterator[str]:
        """A soak in which nothing happens proves nothing."""
        if not (found.refused and found.served):
            yield f"planned client: served {found.served} times, refused {found.refused} times"
        if len(found.kids) < self.keys.made:
            yield f"keys: {self.keys.made} rotations, {len(found.kids)} keys seen"
        if len(found.certificates) < self.certificates.made:
            yield f"certificates: {self.certificates.made} renewed, {len(found.certificates)} seen"


@contextmanager
def _running(folder: Path, workers: int) -> Iterator[tuple[Scenario, Authority, Server, Path]]:
    """The server as it ships, but that a client may fail as often as the probe asks to be refused."""
    authority, scenario = Authority.root("CN=Servers"), Scenario.prepare(folder)
    authority.issue(ips=["127.0.0.1"], server=True, client_auth=False).write(folder / "server")
    scenario.server("ca.crt").write_bytes(authority.pem)
    registry = folder / "soak" / "registry.db"
    asyncio.run(product.register(scenario, registry, others=OTHERS))
    settings = {"workers": str(workers), "throttle_per_client": "0"}
    with servers.holdfast(scenario, registry, pinned=workers == 1, **settings) as server:
        if workers > 1 and len(children(server.pids[0])) != workers:
            raise SystemExit(f"expected {workers} workers, found {len(children(server.pids[0]))}")
        yield scenario, authority, server, registry


async def _soak(scenario: Scenario, authority: Authority, server: Server, registry: Path, seconds: float) -> Soak:
    planned = Planned.make(scenario, folder := scenario.folder / "planned")
    keeper = await RegistryKeeper.open(product.database_url(registry), system_clock)
    try:
        changes = RegistryChanges(keeper, await keeper.writer.open_term("soak"), scenario)
        await changes.put(planned.client)
        planned.changed = time.monotonic()
        async with Probe(scenario, server.port, planned, folder) as probe:
            keys = KeyRotations(product.environment(scenario, registry))
            audit, certificates = AuditFiles(registry.parent / "audit.jsonl"), Certificates(authority, scenario)
            soak = Soak(scenario, server, seconds, changes, keys, certificates, audit, planned, probe)
            await soak.run()
            return soak
    finally:
        await keeper.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        with _running(Path(name), arguments.workers) as (scenario, authority, server, registry):
            soak = asyncio.run(_soak(scenario, authority, server, registry, arguments.minutes * 60))
        soak.audit.count_rest()
    return _verdict(soak)


def _verdict(soak: Soak) -> int:
    print(f"in all: {soak.line()}")
    for load in (soak.warm, soak.cold):
        print(f"{load.name}: {load.answered / soak.seconds:.0f} a second, p50 {load.told['p50'] / 1e3:.1f} ms, "
              f"p99 {load.told['p99'] / 1e3:.1f} ms")  # fmt: skip
    for pid, settled, most in soak.memory.growth():
        print(f"process {pid}: {settled:.1f} MiB when settled, at most {most:.1f} MiB later ({most / settled - 1:+.1%})")
    print(f"changes: a request begun {soak.probe.found.slowest:.2f} s after one was the last to be answered as before it")
    problems = list(soak.problems())
    for problem in problems:
        print(f"FAILED: {problem}")
    print("the soak does not hold" if problems else "the soak holds")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
