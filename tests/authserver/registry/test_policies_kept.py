"""What the keeper remembers of policies: those that somebody is held to, however often they are edited."""

import gc
from dataclasses import replace
from pathlib import Path

from holdfast.policy.model import EffectivePolicy
from tests.registry_conformance.backends import MovableClock, open_keeper
from tests.registry_conformance.registrations import BUILT_IN, a_client

_EDITED = ("edited",)


def _in_memory() -> int:
    gc.collect()
    return sum(isinstance(found, EffectivePolicy) and found.names == _EDITED for found in gc.get_objects())


async def test_a_policy_that_no_client_has_any_more_is_forgotten(tmp_path: Path) -> None:
    async with open_keeper(tmp_path, MovableClock()) as keeper:
        term = await keeper.writer.open_term("operator-0")
        for edit in range(1, 9):
            policy = replace(BUILT_IN, names=_EDITED, max_lifetime=600 + edit)
            await keeper.writer.put_policy(policy, term=term)
            await keeper.writer.put_client(a_client(policy=policy.hash, generation=edit), term=term)
        del policy

        assert _in_memory() == 1
        assert keeper.snapshot.clients["shop.orders"].policy.max_lifetime == 608
