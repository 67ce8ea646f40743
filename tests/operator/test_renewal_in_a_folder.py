"""A renewal all the way, from the folder's own CA to a real registry, with an operator that is started anew in between."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.x509.certificate import Certificate
from tests.operator.simulated import condition_of, message_of
from tests.operator.small_house import House, house, manifest

SELF_SIGNED = {"method": "self_signed_tls_client_auth"}


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as found:
        yield found


def leaf(home: House) -> str:
    """The thumbprint of what lies in the Secret's folder."""
    files = home.root / "data" / "secrets" / "shop" / "orders-mtls"
    return Certificate.from_pem((files / "tls.crt").read_bytes()).x5t_s256


async def known(home: House) -> list[str | None]:
    stored = await home.keeper.writer.get_client("shop.orders")
    assert stored is not None
    return [key.kid for key in stored.metadata.jwks or ()]


async def test_old_and_new_are_registered_across_a_restart_and_the_old_one_leaves_in_time(home: House) -> None:
    await home.write("orders.yaml", manifest(authentication=SELF_SIGNED))
    await home.settle()
    first = leaf(home)
    assert condition_of(await home.status(), "Ready") == ("True", "Ready")
    assert await known(home) == [first]

    home.clock.move(hours=16)
    await home.cluster.issue()
    await home.settle()
    second = leaf(home)
    assert second != first
    assert await known(home) == [second, first]
    assert (await home.status())["certificate"]["thumbprint"] == second

    home.reconciler = home.another_reconciler("another")
    home.clock.move(seconds=299)
    await home.settle()
    assert await known(home) == [second, first]
    assert first in message_of(await home.status(), "CertificateReady")

    home.clock.move(seconds=1)
    await home.settle()
    assert await known(home) == [second]
    assert first not in message_of(await home.status(), "CertificateReady")


async def test_a_registry_that_is_lost_meanwhile_is_filled_with_both(home: House) -> None:
    await home.write("orders.yaml", manifest(authentication=SELF_SIGNED))
    await home.settle()
    first = leaf(home)
    home.clock.move(hours=16)
    await home.cluster.issue()
    await home.settle()
    stored = await home.keeper.writer.get_client("shop.orders")
    assert stored is not None

    term = await home.keeper.writer.open_term("a test")
    await home.keeper.writer.delete_client("shop.orders", uid=stored.metadata.owner.uid, term=term)
    home.reconciler = home.another_reconciler("another")
    home.clock.move(seconds=60)
    await home.settle()

    assert await known(home) == [leaf(home), first]
