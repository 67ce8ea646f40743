"""What goes on in a cluster while tokens are asked for: registry changes, new keys, new certificates, rotated audit files.

Each is done as its owner does it: the registry through its port from a second process, keys by the command, files by
replacing them. Owns what is changed and how often, and counts it. Must not know the load. Neighbours: `soak` runs these;
`probe` holds the server to what they ask for.
"""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from benchmarks import product
from benchmarks.scenario import CLIENT_ID, Scenario
from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.policy.model import EffectivePolicy
from holdfast_authserver.registry.keeper import RegistryKeeper
from tests.core.x509.authority import Authority

OTHERS = 200
"""Further clients in the registry, all of which change all the time."""
EDITED = 10
"""Clients that a policy edit is put to, beside the one that all load comes from."""
DENIED = 200
"""Thumbprints that are denied at a time; others each time."""
_SETTLED = 1.0  # seconds after which nobody writes to an audit file that was moved away


async def every(seconds: float, stop: asyncio.Event, work: Callable[[], Awaitable[None]]) -> None:
    """Do it again and again until told to stop."""
    while not stop.is_set():
        await work()
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)


@dataclass
class RegistryChanges:
    """The writer of the registry, as the operator is: other clients come, change, are suspended and go."""

    keeper: RegistryKeeper
    term: int
    scenario: Scenario
    policy: EffectivePolicy = product.POLICY
    made: int = 0
    edits: int = 0
    denied: frozenset[str] = frozenset()
    """Thumbprints that stay denied beside those that come and go."""

    def __post_init__(self) -> None:
        self._generations = count(2)
        self._turns = count()

    async def put(self, client: ClientMetadata) -> None:
        """As the next generation of its object, under the policy that holds now."""
        owner = replace(client.owner, generation=next(self._generations))
        await self.keeper.writer.put_client(replace(client, owner=owner, policy=self.policy.hash), term=self.term)
        self.made += 1

    async def delete(self, client: ClientMetadata) -> None:
        await self.keeper.writer.delete_client(client.client_id, uid=client.owner.uid, term=self.term)
        self.made += 1

    async def turn_of_another(self) -> None:
        """One client through its life: suspended, released with another lifetime, deleted, made anew as another object."""
        turn = next(self._turns)
        client = self._other(turn % OTHERS)
        await self.put(replace(client, suspended=True))
        await self.put(replace(client, token_lifetime=60 + turn % 200))
        await self.delete(client)
        await self.put(replace(client, owner=replace(client.owner, uid=secrets.token_hex(16))))

    async def edit_policy(self) -> None:
        """Another policy for some, the client that all load comes from among them; nothing that it does is refused."""
        self.edits += 1
        self.policy = replace(self.policy, names=("soak",), max_lifetime=3600 + self.edits)
        await self.keeper.writer.put_policy(self.policy, term=self.term)
        for number in range(EDITED):
            await self.put(self._other((self.edits * EDITED + number) % OTHERS))
        await self.put(product.registration(self.scenario, self.policy))

    async def deny(self, *thumbprints: str) -> None:
        """These, and the thumbprints of many certificates that nobody has."""
        self.denied = frozenset(thumbprints)
        await self.deny_strangers()

    async def deny_strangers(self) -> None:
        strangers = frozenset(secrets.token_urlsafe(32) for _ in range(DENIED))
        await self.keeper.writer.put_denied_thumbprints(self.denied | strangers, term=self.term)
        self.made += 1

    def _other(self, number: int) -> ClientMetadata:
        return product.other(product.registration(self.scenario, self.policy), number)


@dataclass
class KeyRotations:
    """`holdfast keys rotate`, the command, beside the server and with its settings."""

    environment: Mapping[str, str]
    made: int = 0

    async def rotate(self) -> None:
        """Raises SystemExit when the command says no."""
        command = (sys.executable, "-m", "holdfast_cli.main", "keys", "rotate", "--now")
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, env=self.environment, stdout=pipe, stderr=pipe)
        _, errors = await process.communicate()
        if process.returncode != 0:
            raise SystemExit(f"holdfast keys rotate: exit code {process.returncode}: {errors.decode()[-500:]}")
        self.made += 1


@dataclass
class Certificates:
    """The servers' authority, which issues the listeners' certificate again and again, each time for another key."""

    authority: Authority
    scenario: Scenario
    made: int = 0

    async def renew(self) -> None:
        """First the certificate, then the key: for a moment they do not belong together."""
        issued = self.authority.issue(ips=["127.0.0.1"], server=True, client_auth=False)
        _replace(self.scenario.server("tls.crt"), issued.chain_pem)
        _replace(self.scenario.server("tls.key"), issued.key_pem)
        self.made += 1


def _replace(path: Path, content: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(content)
    os.replace(new, path)


@dataclass
class AuditFiles:
    """Moves the audit file away, as a rotation does, and counts the tokens of the load's client in what was moved."""

    path: Path
    made: int = 0
    tokens: int = 0

    async def rotate(self) -> None:
        moved = self.path.with_suffix(f".{self.made}")
        self.path.rename(moved)
        await asyncio.sleep(_SETTLED)
        await asyncio.to_thread(self._count, moved)
        moved.unlink()
        self.made += 1

    def count_rest(self) -> None:
        """What is left once the server has stopped."""
        self._count(self.path)

    def _count(self, path: Path) -> None:
        with path.open(encoding="ascii") as lines:
            for line in lines:
                told = json.loads(line)  # half a line is a mistake
                self.tokens += told["event"] == "token.issued" and told["client_id"] == CLIENT_ID
