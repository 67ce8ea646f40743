"""Chaos: parts of a real installation are killed at random while clients come, change and go; in the end all has to agree.

    python -m benchmarks.chaos [--minutes 10] [--clients 500] [--seed N]

Operator, authorization server, API server and cert-manager are killed with kill -9 and come back, at once or after seconds;
500 clients are made, changed, suspended and deleted over the run, and certificates renewed. Then all is left alone and
compared: registry and cluster agree to the byte of the digest, every change that the API server acknowledged is there, no
deleted client gets a token. Prints what was done and a verdict; exit code 1 when it does not hold. Linux only.
Neighbours: `kills`, `churn`, `agreement`.
"""

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.agreement import Rebuilt, rebuild
from benchmarks.churn import Churn, Form, Life
from benchmarks.kills import Kills
from holdfast.registry.records import RegistryDescription
from holdfast_operator.adapters.admin_api import HttpRegistry
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.controlplane.cluster import LocalCluster
from tests.controlplane.plane import certmanager
from tests.core.x509.authority import Authority

OVERLAP = 5.0
"""Seconds for which an old self-signed certificate is taken, beside the lifetime of tokens."""
PATIENCE = 180.0
"""Seconds until all has to agree after the last kill."""
_SHOWN = 10


@dataclass(frozen=True)
class Ended:
    """After the chaos: the cluster as it was left."""

    cluster: LocalCluster
    churn: Churn
    folder: Path

    async def problems(self) -> list[str]:
        """What does not hold; empty: all of it does."""
        admin = self._admin()
        async with self.churn.connected():
            try:
                found = await self._agreement(admin)
                found += [p async for p in self._acknowledged(admin)]
                found += [p async for p in self._tokens()]
                for note in await self.churn.notes("DriftCorrected"):
                    say(f"told as drift, though nobody else has written: {note}")
            finally:
                await admin.close()
        return found

    def _admin(self) -> HttpRegistry:
        env, pod = self.cluster.operator.container.env, self.cluster.operator
        files = {name: pod.path(env[f"HOLDFAST_ADMIN_{name.upper()}"]) for name in ("ca_file", "cert_file", "key_file")}
        return HttpRegistry(f"https://127.0.0.1:{self.cluster.ports.admin}", **files)

    async def _agreement(self, admin: HttpRegistry) -> list[str]:
        """Of digests, waited for: what was begun before the end takes a moment to be done."""
        settings = ReconcileSettings(rotation_overlap=OVERLAP, guarded_issuers=frozenset({certmanager.ISSUER}))
        deadline = time.monotonic() + PATIENCE
        while True:
            described, began = await admin.describe(), time.monotonic()
            with tempfile.TemporaryDirectory(dir=self.folder) as place:
                rebuilt = await rebuild(self.cluster.plane.kubeconfig, Path(place), settings)
            if described.confirmed and described.digest == rebuilt.digest and not rebuilt.wished:
                say(f"registry and cluster agree: {len(rebuilt.digests)} clients, digest {described.digest}")
                return []
            if began > deadline:
                return [*self._differences(described, rebuilt), *await _by_client(admin, rebuilt)]
            await asyncio.sleep(3)

    @staticmethod
    def _differences(described: RegistryDescription, rebuilt: Rebuilt) -> list[str]:
        found = [] if described.confirmed else ["the registry is not confirmed"]
        if described.digest != rebuilt.digest:
            found.append(f"digest of the registry {described.digest}, of what the cluster asks for {rebuilt.digest}")
        return found + [f"not done yet: {wish}" for wish in rebuilt.wished[:_SHOWN]]

    async def _acknowledged(self, admin: HttpRegistry) -> AsyncIterator[str]:
        """What the API server said yes to is what it has, and what the registry has."""
        for life in (life for life in self.churn.lives if life.spec):
            stored = await admin.get_client(life.member.client_id)
            if life.gone is not None:
                if stored is not None:
                    yield f"{life.member.client_id} is deleted and still registered"
                continue
            if stored is None:
                yield f"{life.member.client_id} is not registered"
                continue
            registered = {"scopes": list(stored.metadata.scopes), "suspend": stored.metadata.suspended}
            wanted = {name: life.spec[name] for name in registered}
            if registered != wanted:
                yield f"{life.member.client_id}: acknowledged {wanted}, registered {registered}"

    async def _tokens(self) -> AsyncIterator[str]:
        asked = {True: 0, False: 0}
        for life in (life for life in self.churn.lives if life.spec):
            if life.gone is None or life.form is Form.OWN:
                await self.churn.fetch(life)
            if life.pair is None:
                continue  # deleted before it ever had a certificate
            status, wanted = await self.churn.token(life), self._expected(life)
            asked[wanted == 200] += 1
            if status != wanted:
                yield f"{life.member.client_id}: the token endpoint answered {status}, expected {wanted}"
        say(f"tokens: asked for by {asked[True]} clients that are there and {asked[False]} that are deleted or suspended")

    @staticmethod
    def _expected(life: Life) -> int:
        return 401 if life.gone is not None or life.spec["suspend"] else 200


async def _by_client(admin: HttpRegistry, rebuilt: Rebuilt) -> list[str]:
    held = {summary.client_id: summary.digest for summary in await admin.list_clients()}
    apart = sorted(who for who in held.keys() | rebuilt.digests.keys() if held.get(who) != rebuilt.digests.get(who))
    return [f"{who}: registered {held.get(who)}, asked for {rebuilt.digests.get(who)}" for who in apart[:_SHOWN]]


@contextmanager
def churning(churn: Churn, clients: int) -> Iterator[None]:
    """In a thread of its own, since processes are started from this one. Raises what ended it."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(churn.run(clients))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="churn", daemon=True)
    thread.start()
    yield
    thread.join(PATIENCE)
    if failed:
        raise failed[0]
    if thread.is_alive():
        raise SystemExit(f"what was begun in the chaos has not ended {PATIENCE:.0f} s after it")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=500, help="over the whole run")
    parser.add_argument("--seed", type=int, help="of everything that is drawn; told at the start where it is not given")
    options = parser.parse_args(arguments)
    logging.getLogger("holdfast_operator").setLevel(logging.ERROR)  # to the second registry every client is news
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    say(f"seed {seed}")
    with tempfile.TemporaryDirectory(prefix="holdfast-chaos-") as folder:
        values = {"operator.rotationOverlap": f"{OVERLAP:.0f}"}
        with LocalCluster.start(Path(folder) / "cluster", say, values=values) as cluster:
            return through(cluster, Path(folder), random.Random(seed), options.minutes * 60, options.clients)


def through(cluster: LocalCluster, folder: Path, rng: random.Random, seconds: float, clients: int) -> int:
    """The exit code."""
    begin = time.monotonic()
    churn = Churn(cluster, random.Random(rng.random()), Authority.root("CN=chaos"), folder, begin=begin, end=begin + seconds)
    kills = Kills(cluster, random.Random(rng.random()), lambda line: say(f"{time.monotonic() - begin:6.1f} s  {line}"))
    with churning(churn, clients):
        kills.until(begin + seconds)
    say(f"done: {dict(churn.did)}")
    say(f"killed: {dict(kills.made)}")
    if churn.late:
        longest = max(churn.late, key=lambda late: late.after)
        clients = len({late.life.member for late in churn.late})
        say(f"while no operator could act {clients} deleted clients got {len(churn.late)} tokens, the last one {longest}")
    problems = asyncio.run(Ended(cluster, churn, folder).problems())
    for problem in problems:
        say(f"DOES NOT HOLD: {problem}")
    say("it holds" if not problems else f"{len(problems)} things do not hold")
    return 1 if problems else 0


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
