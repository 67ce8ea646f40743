"""Two clients of one folder name the same Secret in one save: one has it, the other is told, and it stays so."""

from pathlib import Path

from holdfast_operator.reconcile.ports import Key, Kind
from tests.operator.simulated import condition_of, message_of
from tests.operator.small_house import house, manifest

FIRST, SECOND = Key(Kind.OAUTH_CLIENT, "shop", "a"), Key(Kind.OAUTH_CLIENT, "shop", "b")
WANTED = {"issuerRef": {"name": "workloads"}, "secretName": "shared"}


async def test_the_first_has_it_and_the_second_goes_on_under_another_name(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.write("both.yaml", manifest("a", certificate=WANTED), manifest("b", certificate=WANTED))
        for _ in range(4):
            for key in (FIRST, SECOND):
                await home.reconciler.reconcile(key)
            await home.cluster.issue()

        assert condition_of(await home.status(FIRST), "Ready") == ("True", "Ready")
        assert condition_of(await home.status(SECOND), "Ready") == ("False", "SecretNameTaken")
        assert "shared" in message_of(await home.status(SECOND), "CertificateReady")
        assert "shop.b" not in await home.registered()

        own = {**WANTED, "secretName": "own"}
        await home.write("both.yaml", manifest("a", certificate=WANTED), manifest("b", certificate=own))
        await home.settle(SECOND)

        assert condition_of(await home.status(SECOND), "Ready") == ("True", "Ready")
        assert condition_of(await home.status(FIRST), "Ready") == ("True", "Ready")
