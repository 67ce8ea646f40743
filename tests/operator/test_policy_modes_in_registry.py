"""What a mode does to the registry: a policy that is not enforced writes nothing there, and switching it is one pass."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.registry.digest import denials_digest
from holdfast_operator.reconcile.ports import Key, Kind
from tests.operator.simulated import condition_of, message_of
from tests.operator.small_house import House, house, manifest, policy_manifest

STRICT = Key(Kind.MTLS_POLICY, "", "strict")
STOLEN = "A" * 43


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as found:
        await found.write("orders.yaml", manifest(tokens={"lifetime": "30m"}))
        await found.settle()
        yield found


async def switch(home: House, mode: str, **spec: Any) -> None:
    home.clock.move(seconds=3)  # tokens from before can be told apart then
    await home.write("policy.yaml", policy_manifest("strict", mode=mode, **spec))
    await home.settle()
    await home.settle(STRICT)


async def test_switching_a_policy_changes_the_registration_only_where_it_is_enforced(home: House) -> None:
    strict = {"tokens": {"maxLifetime": "10m"}}
    before = await home.registered()

    for mode, reason in (("Audit", "Accepted"), ("Warn", "PolicyWarning")):
        await switch(home, mode, **strict)
        assert await home.registered() == before
        assert condition_of(await home.status(), "Accepted") == ("True", reason)
        assert condition_of(await home.status(STRICT), "Ready") == ("True", "Observed")
        assert (await home.status(STRICT))["violations"]["count"] == 1

    await switch(home, "Enforce", **strict)
    assert await home.registered() == {}
    assert message_of(await home.status(), "Accepted").startswith("MTLSPolicy strict: spec.tokens.lifetime")
    assert (await home.status(STRICT))["violations"]["count"] == 1

    await switch(home, "Audit", **strict)
    assert set(await home.registered()) == set(before)
    assert condition_of(await home.status(), "Accepted") == ("True", "Accepted")


async def test_a_policy_denies_certificates_only_while_it_is_enforced(home: House) -> None:
    denying = {"certificates": {"deniedThumbprints": [STOLEN]}}
    seen = []

    for mode in ("Audit", "Enforce", "Warn"):
        await switch(home, mode, **denying)
        seen.append((await home.keeper.writer.describe()).denials)

    assert seen == ["", denials_digest({STOLEN}, ()), ""]


async def test_a_policy_tells_whose_certificate_it_would_deny(home: House) -> None:
    thumbprint = (await home.status())["certificate"]["thumbprint"]

    await switch(home, "Audit", certificates={"deniedThumbprints": [thumbprint]})

    (found,) = (await home.status(STRICT))["violations"]["first"]
    assert (found["name"], thumbprint in found["message"]) == ("orders", True)
