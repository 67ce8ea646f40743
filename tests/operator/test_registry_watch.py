"""When what the registry says of itself asks for a comparison with the objects."""

from dataclasses import dataclass, field, replace

from holdfast.registry.records import RegistryDescription
from holdfast_operator.engine.registry_watch import QUIET, RegistryWatch
from tests.operator.simulated import ENDPOINTS


@dataclass
class Registry:
    """What is described, and how often we have written."""

    said: RegistryDescription = field(
        default_factory=lambda: RegistryDescription(
            instance="one", revision=1, digest="a", term=1, confirmed=True, endpoints=ENDPOINTS
        )
    )
    writes: int = 0

    async def describe(self) -> RegistryDescription:
        return self.said

    def change(self, digest: str, *, ours: bool) -> None:
        self.said = replace(self.said, digest=digest)
        self.writes += ours


async def asked(watch: RegistryWatch, times: int) -> list[bool]:
    return [await watch.needs_sweep() for _ in range(times)]


async def test_a_change_that_was_not_ours_asks_at_once() -> None:
    registry = Registry()
    watch = RegistryWatch(registry)
    assert await asked(watch, 2) == [True, False]
    registry.change("b", ours=False)
    assert await asked(watch, 2) == [True, False]


async def test_a_change_together_with_one_of_ours_is_looked_into_once_we_are_quiet() -> None:
    """It may hide somebody else's: the registry tells one digest of both."""
    registry = Registry()
    watch = RegistryWatch(registry)
    await watch.needs_sweep()
    for digest in "bcd":
        registry.change(digest, ours=True)
        assert await asked(watch, 1) == [False]
    assert await asked(watch, QUIET + 3) == [False] * (QUIET - 1) + [True] + [False] * 3


async def test_a_write_of_ours_that_changed_nothing_leaves_no_doubt() -> None:
    registry = Registry()
    watch = RegistryWatch(registry)
    await watch.needs_sweep()
    registry.change("a", ours=True)
    assert not any(await asked(watch, QUIET + 3))
