"""The registry as one writer uses it: under a term of its own, with policies put once, clients many at a time.

Owns the term, what is known of the registry's identity, and a count of writes by which its own changes can be told from
foreign ones. Decides nothing about clients. Neighbours: `holdfast.registry.port`; `grouping`, `remembered`; `reconciler`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.policy.model import EffectivePolicy
from holdfast.registry.port import MAX_BATCH, Registry, RegistryError, RegistryUnavailable, StaleTerm
from holdfast.registry.records import ClientSummary, RegistryDescription, StoredClient
from holdfast_operator.converge.grouping import Grouped
from holdfast_operator.converge.remembered import Remembered

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class ReadBackDiffers(RegistryError):
    """The registry does not hold what was written: a defect, or another writer."""


class _Put(NamedTuple):
    client: ClientMetadata
    term: int


class FencedRegistry:
    """`holder`: who opens the term. `age`: seconds for which records are believed without asking (`remembered`)."""

    def __init__(self, registry: Registry, holder: str, age: float = 0.0) -> None:
        self._registry, self._holder = registry, holder
        self._term: int | None = None
        self._opening = asyncio.Lock()
        self._seen: RegistryDescription | None = None
        self._policies: set[str] = set()
        self._thumbprints: frozenset[str] | None = None
        self._remembered = Remembered(age)
        self._puts: Grouped[_Put, StoredClient] = Grouped(self._put_all, _may_go_together, MAX_BATCH)
        self._gets: Grouped[str, StoredClient | None] = Grouped(self._get_all, _is_another, MAX_BATCH)
        self.writes = 0
        """Grows before and after each write, so that a change seen while it stood still is not ours."""

    async def describe(self) -> RegistryDescription:
        """Ask; a registry that is a new one knows neither our term nor our policies. Raises RegistryUnavailable."""
        with self._hearing():
            seen = await self._registry.describe()
        if self._seen is not None and self._seen.instance != seen.instance:
            log.info("the registry is a new one (%s): everything is written again", seen.instance)
            self._term = None
            self._policies.clear()
            self._remembered.forget()
        if self._seen is None or self._seen.denials != seen.denials:
            self._thumbprints = None  # ours or not, which of the two sets changed cannot be told
        self._seen = seen
        self._remembered.got_tokens(seen.tokens)
        return seen

    async def described(self) -> RegistryDescription:
        """As last described, which is enough for what does not change while a server runs. Raises RegistryUnavailable."""
        return self._seen or await self.describe()

    async def get(self, client_id: str) -> StoredClient | None:
        """The live record. Raises RegistryUnavailable."""
        if self._remembered.current:
            return self._remembered.get(client_id)
        return await self._gets.ask(client_id)

    async def _get_all(self, client_ids: Sequence[str]) -> Sequence[StoredClient | None]:
        with self._hearing():
            return await self._registry.get_clients(client_ids)

    async def audience_owner(self, audience: str) -> ClientMetadata | None:
        """Whose audience it is. Raises RegistryUnavailable."""
        return await self._registry.audience_owner(audience)

    async def list_clients(self) -> tuple[ClientSummary, ...]:
        """All live records, of which each is known afterwards. Raises RegistryUnavailable."""
        with self._hearing():
            listed = await self._registry.list_clients()
            await self._learn(self._remembered.compare(listed))
        self._remembered.complete()
        return listed

    async def _learn(self, client_ids: Sequence[str]) -> None:
        for begin in range(0, len(client_ids), MAX_BATCH):
            found = await self._registry.get_clients(client_ids[begin : begin + MAX_BATCH])
            for stored in found:
                if stored is not None:
                    self._remembered.note(stored)

    def abandon_term(self) -> None:
        """The next write opens a new term."""
        self._term = None

    async def put(self, client: ClientMetadata, policy: EffectivePolicy, *, adopt: bool = False) -> StoredClient:
        """Put the policy where this registry does not have it from us, then the client; answers what was read back.

        `adopt`: it takes over an orphan.
        Raises RegistryUnavailable, StaleTerm, StaleGeneration, RegistrationRefused, ReadBackDiffers.
        """

        async def write(term: int) -> StoredClient:
            if policy.hash not in self._policies:
                await self._registry.put_policy(policy, term=term)
                self._policies.add(policy.hash)
            return await (self._adopt(client, term) if adopt else self._puts.ask(_Put(client, term)))

        stored = await self._fenced(write)
        if stored.digest != client.digest:
            raise ReadBackDiffers(f"client {client.client_id}: wrote digest {client.digest}, read back {stored.digest}")
        return stored

    async def _put_all(self, puts: Sequence[_Put]) -> Sequence[StoredClient | Exception]:
        clients = [put.client for put in puts]
        for client in clients:
            self._remembered.drop(client.client_id)
        with self._hearing():
            verdicts = await self._registry.put_clients(clients, term=puts[0].term)
        for verdict in verdicts:
            if isinstance(verdict, StoredClient):
                self._remembered.note(verdict)
        return verdicts

    async def _adopt(self, client: ClientMetadata, term: int) -> StoredClient:
        self._remembered.drop(client.client_id)
        stored = await self._registry.adopt_client(client, term=term)
        self._remembered.note(stored)
        return stored

    async def release(self, client_id: str, uid: str) -> StoredClient | None:
        """Answers the orphan. Raises RegistryUnavailable, StaleTerm."""
        await self._fenced(lambda term: self._registry.release_client(client_id, uid=uid, term=term))
        self._remembered.drop(client_id)
        left = await self._registry.get_client(client_id)
        if left is not None:
            self._remembered.note(left)
        return left

    async def delete(self, client_id: str, uid: str) -> None:
        """Raises RegistryUnavailable, StaleTerm."""
        await self._fenced(lambda term: self._registry.delete_client(client_id, uid=uid, term=term))
        self._remembered.drop(client_id)

    async def confirm(self) -> None:
        """Raises RegistryUnavailable, StaleTerm."""
        await self._fenced(lambda term: self._registry.confirm(term=term))

    async def put_denials(self, thumbprints: frozenset[str], crls: tuple[bytes, ...]) -> None:
        """Replace both sets, the quicker remedy first. Raises RegistryUnavailable, StaleTerm, RegistrationRefused."""
        await self.put_denied_thumbprints(thumbprints)
        await self._fenced(lambda term: self._registry.put_revocation_lists(crls, term=term))

    async def put_denied_thumbprints(self, thumbprints: frozenset[str]) -> bool:
        """Whether anything was written: the same set again is not. Raises RegistryUnavailable, StaleTerm."""
        if self._thumbprints == thumbprints:
            return False
        await self._fenced(lambda term: self._registry.put_denied_thumbprints(thumbprints, term=term))
        self._thumbprints = thumbprints
        return True

    def forget_policies(self) -> None:
        """The registry says it does not know one: put them again."""
        self._policies.clear()

    async def _fenced(self, write: Callable[[int], Awaitable[Result]]) -> Result:
        """Write under our term. A registry that never opened it has lost its store: then the term is opened anew."""
        self.writes += 1
        try:
            term = await self.open()
            try:
                return await write(term)
            except StaleTerm:
                if self._term == term:  # else another pass has opened the next one already
                    self._term = None
                if (await self.describe()).term > (self._term or term):
                    raise
                return await write(await self.open())
        finally:
            self.writes += 1

    @contextmanager
    def _hearing(self) -> Iterator[None]:
        """Whether the registry answers decides for how long its records are believed."""
        try:
            yield
        except RegistryUnavailable:
            self._remembered.lost()
            raise
        self._remembered.heard()

    async def open(self) -> int:
        """Our term, opened where there is none. Raises RegistryUnavailable."""
        async with self._opening:  # several passes begin at once, and a second term would end the first
            if self._term is None:
                self._term = await self._registry.open_term(self._holder)
                log.info("opened writer term %d as %s", self._term, self._holder)
            return self._term


def _may_go_together(puts: Sequence[_Put], put: _Put) -> bool:
    """Of two passes over objects that want one client id, the later one has to see what became of the other."""
    return not puts or (puts[0].term == put.term and all(p.client.client_id != put.client.client_id for p in puts))


def _is_another(client_ids: Iterable[str], client_id: str) -> bool:
    return client_id not in set(client_ids)
