"""Whether the registry is still the one we know: the same store, no foreign change, compared since it started.

Owns what was last seen of it. Must not write. Neighbours: `engine` asks once a second and sweeps when told to.
"""

from typing import Protocol

from holdfast.registry.records import RegistryDescription, TokenSeen

QUIET = 5
"""Questions without a write of ours between them, after which a change that came together with one is looked into: then one
sweep is for all of them."""


class Describes(Protocol):
    """What the watch asks of the reconciler."""

    @property
    def writes(self) -> int: ...

    async def describe(self) -> RegistryDescription: ...


class RegistryWatch:
    """A server that came back, a lost store, or a write that was not ours: each asks for a sweep."""

    def __init__(self, source: Describes) -> None:
        self._source = source
        self._seen: RegistryDescription | None = None
        self._writes = -1
        self._doubt = False
        """Something changed while we wrote: it may have been more than what we wrote."""
        self._quiet = 0
        self.reachable: bool | None = None
        """None until it was asked once."""
        self.tokens: frozenset[TokenSeen] = frozenset()
        """Who has got a token that was not told at the question before."""

    async def needs_sweep(self) -> bool:
        """Ask, remember, compare. Raises RegistryUnavailable."""
        before, writes_before = self._seen, self._writes
        self.reachable = False
        seen = await self._source.describe()
        self.reachable = True
        self._seen, self._writes = seen, self._source.writes
        self.tokens = frozenset(seen.tokens) - frozenset(before.tokens if before else ())
        if before is None or not seen.confirmed or before.instance != seen.instance:
            self._doubt = False  # the sweep compares everything
            return True
        changed = (before.digest, before.denials) != (seen.digest, seen.denials)
        if writes_before != self._writes:
            self._doubt, self._quiet = self._doubt or changed, 0
            return False
        self._quiet += 1
        return changed or self._is_time_to_doubt()

    def _is_time_to_doubt(self) -> bool:
        if not self._doubt or self._quiet < QUIET:
            return False
        self._doubt = False
        return True

    def forget(self) -> None:
        """The next question is as the first: it asks for a sweep."""
        self._seen = None
