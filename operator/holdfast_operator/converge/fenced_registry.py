"""The registry as one writer uses it: under a term of its own, with policies put once.

Owns the term, what is known of the registry's identity, and a count of writes by which its own changes can be told from
foreign ones. Decides nothing about clients. Neighbours: `holdfast.registry.port`; `reconciler` above.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.policy.model import EffectivePolicy
from holdfast.registry.port import Registry, RegistryError, StaleTerm
from holdfast.registry.records import ClientSummary, RegistryDescription, StoredClient

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class ReadBackDiffers(RegistryError):
    """The registry does not hold what was written: a defect, or another writer."""


class FencedRegistry:
    """`holder`: who opens the term."""

    def __init__(self, registry: Registry, holder: str) -> None:
        self._registry, self._holder = registry, holder
        self._term: int | None = None
        self._opening = asyncio.Lock()
        self._seen: RegistryDescription | None = None
        self._policies: set[str] = set()
        self._thumbprints: frozenset[str] | None = None
        self.writes = 0
        """Grows before and after each write, so that a change seen while it stood still is not ours."""

    async def describe(self) -> RegistryDescription:
        """Ask; a registry that is a new one knows neither our term nor our policies. Raises RegistryUnavailable."""
        seen = await self._registry.describe()
        if self._seen is not None and self._seen.instance != seen.instance:
            log.info("the registry is a new one (%s): everything is written again", seen.instance)
            self._term = None
            self._policies.clear()
        if self._seen is None or self._seen.denials != seen.denials:
            self._thumbprints = None  # ours or not, which of the two sets changed cannot be told
        self._seen = seen
        return seen

    async def described(self) -> RegistryDescription:
        """As last described, which is enough for what does not change while a server runs. Raises RegistryUnavailable."""
        return self._seen or await self.describe()

    async def get(self, client_id: str) -> StoredClient | None:
        """The live record. Raises RegistryUnavailable."""
        return await self._registry.get_client(client_id)

    async def audience_owner(self, audience: str) -> ClientMetadata | None:
        """Whose audience it is. Raises RegistryUnavailable."""
        return await self._registry.audience_owner(audience)

    async def list_clients(self) -> tuple[ClientSummary, ...]:
        """All live records. Raises RegistryUnavailable."""
        return await self._registry.list_clients()

    def abandon_term(self) -> None:
        """The next write opens a new term."""
        self._term = None

    async def put(self, client: ClientMetadata, policy: EffectivePolicy) -> StoredClient:
        """Put the policy where this registry does not have it from us, then the client; answers what was read back.

        Raises RegistryUnavailable, StaleTerm, StaleGeneration, RegistrationRefused, ReadBackDiffers.
        """

        async def write(term: int) -> StoredClient:
            if policy.hash not in self._policies:
                await self._registry.put_policy(policy, term=term)
                self._policies.add(policy.hash)
            return await self._registry.put_client(client, term=term)

        stored = await self._fenced(write)
        if stored.digest != client.digest:
            raise ReadBackDiffers(f"client {client.client_id}: wrote digest {client.digest}, read back {stored.digest}")
        return stored

    async def delete(self, client_id: str, uid: str) -> None:
        """Raises RegistryUnavailable, StaleTerm."""
        await self._fenced(lambda term: self._registry.delete_client(client_id, uid=uid, term=term))

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
            term = await self._open()
            try:
                return await write(term)
            except StaleTerm:
                self._term = None
                if (await self.describe()).term > term:
                    raise
                return await write(await self._open())
        finally:
            self.writes += 1

    async def _open(self) -> int:
        async with self._opening:  # several passes begin at once, and a second term would end the first
            if self._term is None:
                self._term = await self._registry.open_term(self._holder)
                log.info("opened writer term %d as %s", self._term, self._holder)
            return self._term
