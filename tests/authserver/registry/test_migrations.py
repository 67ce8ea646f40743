"""The migrations lead to the very tables that the queries are written against."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from holdfast.registry.port import RegistrationRefused
from holdfast_authserver.registry import migrate as migrate_module
from holdfast_authserver.registry.migrate import NEWEST, migrate
from holdfast_authserver.registry.revoked_tokens import Bounds
from holdfast_authserver.registry.tables import metadata
from tests.authserver.registry.revoking import is_revoked, revoke
from tests.registry_conformance.backends import MovableClock, open_keeper
from tests.registry_conformance.registrations import BUILT_IN, an_api

RECORDED = Path(__file__).parent / "recorded"
"""Files that an earlier Holdfast wrote, named by the form of their tables. None is ever written again."""


def _differences(file: Path) -> list[Any]:
    engine = create_engine(f"sqlite:///{file}")
    try:
        with engine.begin() as connection:
            migrate(connection)
            migrate(connection)
            return list(compare_metadata(MigrationContext.configure(connection), metadata))
    finally:
        engine.dispose()


def test_the_newest_form_is_the_last_migration() -> None:
    versions = Path(migrate_module.__file__).parent / "migrations" / "versions"

    assert max(path.stem.partition("_")[0] for path in versions.glob("v*.py")) == f"v{NEWEST}"


def test_the_migrations_lead_to_the_tables(tmp_path: Path) -> None:
    """Twice, since they run at every open."""
    assert _differences(tmp_path / "registry.db") == []


@pytest.mark.parametrize("file", sorted(RECORDED.glob("*.db")), ids=lambda file: file.stem)
def test_every_recorded_form_leads_to_the_tables(tmp_path: Path, file: Path) -> None:
    shutil.copy(file, tmp_path / "registry.db")

    assert _differences(tmp_path / "registry.db") == []


async def test_what_the_first_form_held_is_served_after_the_migration(tmp_path: Path) -> None:
    shutil.copy(RECORDED / "v0001.db", tmp_path / "registry.db")
    clock = MovableClock()
    clock.now = datetime(2026, 11, 1, 13, tzinfo=UTC)
    async with open_keeper(tmp_path, clock) as keeper:
        snapshot = keeper.snapshot
        assert snapshot.instance == "027ed04a354440e585037c994e699e33"
        assert snapshot.instance_created == datetime(2026, 11, 1, 12, tzinfo=UTC)
        assert sorted(snapshot.clients) == ["shop.long", "shop.orders"]
        served = snapshot.clients["shop.orders"]
        assert served.metadata == an_api(trust_anchors=served.metadata.trust_anchors)
        assert served.decision.allowed
        assert list(snapshot.departed) == ["shop.gone"]
        assert is_revoked(keeper, "revoked-1")
        assert (await keeper.writer.describe()).denials == ""


async def test_what_the_second_form_held_is_served_after_the_migration(tmp_path: Path) -> None:
    """A token that was revoked before revocations were counted by client stays revoked, and is nobody's too many."""
    shutil.copy(RECORDED / "v0002.db", tmp_path / "registry.db")
    clock = MovableClock()
    clock.now = datetime(2026, 11, 1, 13, tzinfo=UTC)
    async with open_keeper(tmp_path, clock, bounds=Bounds(per_client=1, total=1)) as keeper:
        assert keeper.revoked.live(clock.now) == ["revoked-1"]
        assert keeper.snapshot.denied_thumbprints == {"A" * 43}

        await revoke(keeper, "revoked-2", datetime(2026, 11, 1, 14, tzinfo=UTC))
        assert keeper.revoked.live(clock.now) == ["revoked-1"]
        assert list(keeper.revoked.before) == ["shop.orders"]


async def test_an_audience_too_long_for_an_index_keeps_its_owner(tmp_path: Path) -> None:
    """The first form held it as it is, later ones hold its hash."""
    shutil.copy(RECORDED / "v0001.db", tmp_path / "registry.db")
    audience = "https://long.shop.svc/" + "ab/" * 600
    clock = MovableClock()
    async with open_keeper(tmp_path, clock) as keeper:
        owner = await keeper.writer.audience_owner(audience)
        assert owner is not None
        assert owner.client_id == "shop.long"

        term = await keeper.writer.open_term("operator-1")
        await keeper.writer.put_policy(BUILT_IN, term=term)
        with pytest.raises(RegistrationRefused, match="audience"):
            await keeper.writer.put_client(an_api("shop", "long2", audience, client_id="shop.long2"), term=term)
