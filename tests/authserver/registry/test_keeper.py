"""The keeper: what requests see of the registry, and what becomes of it when the file is lost."""

import asyncio
import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast.policy.decision import DenialReason
from holdfast.policy.model import Policy
from holdfast.registry.port import RegistryUnavailable, StaleTerm
from holdfast_authserver.registry import reading
from holdfast_authserver.registry.database import DatabaseUnavailable
from holdfast_authserver.registry.keeper import RegistryKeeper, RegistryOpenError, Times
from holdfast_authserver.registry.snapshot import Snapshot
from tests.authserver.registry.revoking import is_revoked, revoke
from tests.authserver.registry.waiting import until
from tests.registry_conformance.backends import MovableClock, open_keeper
from tests.registry_conformance.registrations import BUILT_IN, a_client, a_policy, an_api

QUICK = Times(poll=0.02, housekeeping=timedelta(0))


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def keeper(tmp_path: Path, clock: MovableClock) -> AsyncIterator[RegistryKeeper]:
    async with open_keeper(tmp_path, clock, times=QUICK) as keeper:
        yield keeper


def _files(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern))


async def _fill(keeper: RegistryKeeper) -> int:
    term = await keeper.writer.open_term("operator-0")
    await keeper.writer.put_policy(BUILT_IN, term=term)
    await keeper.writer.put_client(an_api(), term=term)
    return term


async def test_a_write_is_served_when_the_call_returns(keeper: RegistryKeeper) -> None:
    await _fill(keeper)

    served = keeper.snapshot.clients["shop.orders"]
    assert served.metadata == an_api()
    assert served.policy == BUILT_IN
    assert served.decision.allowed
    assert [anchor.der for anchor in served.anchors] == [a.der for a in an_api().trust_anchors]
    assert keeper.snapshot.audience_owner("https://orders.shop.svc") is served
    assert keeper.snapshot.audience_owner("https://nobody.shop.svc") is None


async def test_a_snapshot_that_a_request_holds_never_changes(keeper: RegistryKeeper) -> None:
    term = await _fill(keeper)
    held = keeper.snapshot

    await keeper.writer.delete_client("shop.orders", uid="uid-shop-orders", term=term)

    assert "shop.orders" in held.clients
    assert "shop.orders" not in keeper.snapshot.clients
    assert keeper.snapshot.audience_owner("https://orders.shop.svc") is None
    with pytest.raises(TypeError):
        held.clients["x"] = held.clients["shop.orders"]  # type: ignore[index]  # that it cannot be written is the claim


async def test_a_client_that_breaks_its_policy_is_served_as_denied(keeper: RegistryKeeper) -> None:
    term = await _fill(keeper)
    strict = a_policy(Policy(name="strict", allowed_methods=frozenset({"self_signed_tls_client_auth"})))
    await keeper.writer.put_policy(strict, term=term)

    await keeper.writer.put_client(a_client(policy=strict.hash), term=term)

    assert keeper.snapshot.clients["shop.orders"].decision.reason is DenialReason.METHOD_NOT_ALLOWED


async def test_an_audience_that_is_denied_has_no_owner(keeper: RegistryKeeper) -> None:
    term = await _fill(keeper)

    await keeper.writer.put_client(an_api("evil", "squatter", "https://pay.fin.svc"), term=term)

    assert keeper.snapshot.audience_owner("https://pay.fin.svc") is None
    assert not keeper.snapshot.clients["evil.squatter"].decision.allowed


async def test_since_is_kept_while_the_object_is_the_same(keeper: RegistryKeeper, clock: MovableClock) -> None:
    term = await _fill(keeper)
    first = keeper.snapshot.clients["shop.orders"].since

    clock.move(minutes=5)
    await keeper.writer.put_client(a_client(generation=2, suspended=True), term=term)
    assert keeper.snapshot.clients["shop.orders"].since == first

    await keeper.writer.put_client(a_client(uid="recreated"), term=term)
    assert keeper.snapshot.clients["shop.orders"].since > clock.now


async def test_a_client_that_comes_back_after_its_deletion_is_a_new_one(keeper: RegistryKeeper, clock: MovableClock) -> None:
    """Tokens from before a deletion stay refused."""
    term = await _fill(keeper)
    await keeper.writer.delete_client("shop.orders", uid="uid-shop-orders", term=term)

    clock.move(minutes=5)
    await keeper.writer.put_client(an_api(), term=term)

    assert keeper.snapshot.clients["shop.orders"].since == clock.now


async def test_another_worker_sees_a_change_within_half_a_second(tmp_path: Path, clock: MovableClock) -> None:
    async with open_keeper(tmp_path, clock) as writing, open_keeper(tmp_path, clock) as reading:
        assert reading.snapshot.instance == writing.snapshot.instance
        term = await _fill(writing)

        assert await until(lambda: "shop.orders" in reading.snapshot.clients) < 0.6

        await writing.writer.confirm(term=term)
        await revoke(writing, "stolen", clock.now + timedelta(minutes=5))
        await until(lambda: reading.snapshot.confirmed and is_revoked(reading, "stolen"))


async def test_a_change_that_could_not_be_read_at_once_is_not_forgotten(
    tmp_path: Path, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store tells of a change once; on a busy machine reading it may take longer than it may."""
    read_changes, failed = reading.read_changes, asyncio.Event()

    async def slow_once(*arguments: Any) -> Any:
        if not failed.is_set():
            failed.set()
            raise DatabaseUnavailable("the read took too long", lost=False)
        return await read_changes(*arguments)

    async with open_keeper(tmp_path, clock, times=QUICK) as writer, open_keeper(tmp_path, clock, times=QUICK) as other:
        term = await _fill(writer)
        await until(lambda: "shop.orders" in other.snapshot.clients)
        await writer.writer.put_policy(BUILT_IN, term=term)
        monkeypatch.setattr(reading, "read_changes", slow_once)
        database = sqlite3.connect(tmp_path / "registry.db")
        with database:
            database.execute("UPDATE clients SET deleted_at = updated_at, revision = (SELECT revision + 1 FROM instance)")
            database.execute("UPDATE instance SET revision = revision + 1")
        database.close()
        await failed.wait()
        await until(lambda: not other.snapshot.clients and not writer.snapshot.clients)


async def test_confirmation_is_asked_for_again_after_a_restart(tmp_path: Path, clock: MovableClock) -> None:
    async with open_keeper(tmp_path, clock) as before:
        term = await _fill(before)
        assert not before.snapshot.confirmed
        await before.writer.confirm(term=term)
        assert before.snapshot.confirmed

    clock.move(hours=1)
    async with open_keeper(tmp_path, clock) as after:
        assert not after.snapshot.confirmed
        assert after.snapshot.instance == before.snapshot.instance
        assert "shop.orders" in after.snapshot.clients


async def test_a_term_outlives_a_restart(tmp_path: Path, clock: MovableClock) -> None:
    async with open_keeper(tmp_path, clock) as before:
        term = await _fill(before)
    async with open_keeper(tmp_path, clock) as after:
        await after.writer.put_client(a_client(generation=2), term=term)


@pytest.mark.parametrize(
    "loss", ["deleted", "deleted with its log", "overwritten", "emptied", "another file", "damaged inside"]
)
async def test_a_file_lost_in_use_begins_a_new_registry(
    keeper: RegistryKeeper, tmp_path: Path, clock: MovableClock, loss: str
) -> None:
    term = await _fill(keeper)
    await keeper.writer.confirm(term=term)
    await revoke(keeper, "stolen", clock.now + timedelta(hours=1))
    old = keeper.snapshot
    clock.move(minutes=10)

    _lose(tmp_path / "registry.db", loss)
    took = await until(lambda: keeper.snapshot.instance != old.instance)

    new = keeper.snapshot
    assert took < 1.0
    assert dict(new.clients) == {}
    assert not new.confirmed
    assert new.instance_created == clock.now.replace(microsecond=0) > old.instance_created
    assert not is_revoked(keeper, "stolen")
    with pytest.raises(StaleTerm):
        await keeper.writer.put_client(a_client(), term=term)
    await _fill(keeper)
    assert "shop.orders" in keeper.snapshot.clients


def _lose(file: Path, loss: str) -> None:
    if loss.startswith("deleted"):
        file.unlink()
    if loss == "deleted with its log":
        for suffix in ("-wal", "-shm"):
            file.with_name(file.name + suffix).unlink()
    if loss == "overwritten":
        file.write_bytes(b"not a database at all" * 500)
    if loss == "emptied":
        os.truncate(file, 0)
    if loss == "another file":
        other = file.with_name("other")
        other.write_bytes(b"restored from somewhere" * 500)
        other.rename(file)
    if loss == "damaged inside":
        _damage(file)


def _damage(file: Path) -> None:
    """Bring everything from the log into the file, then spoil all pages but the first half of page one."""
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with file.open("r+b") as opened:
        size = opened.seek(0, os.SEEK_END)
        opened.seek(2048)
        opened.write(b"\xa5" * (size - 2048))


async def test_terms_of_a_lost_registry_are_lower_than_those_of_the_next(
    keeper: RegistryKeeper, tmp_path: Path, clock: MovableClock
) -> None:
    """Or a writer that was fenced before the loss could write after it."""
    before = await keeper.writer.open_term("operator-0")
    instance = keeper.snapshot.instance
    clock.move(seconds=2)
    (tmp_path / "registry.db").unlink()
    await until(lambda: keeper.snapshot.instance != instance)

    assert await keeper.writer.open_term("operator-1") > before


async def test_workers_that_lose_their_file_agree_on_the_new_one(tmp_path: Path, clock: MovableClock) -> None:
    async with open_keeper(tmp_path, clock, times=QUICK) as a, open_keeper(tmp_path, clock, times=QUICK) as b:
        old = a.snapshot.instance

        (tmp_path / "registry.db").unlink()
        await until(lambda: old not in (a.snapshot.instance, b.snapshot.instance))

        await until(lambda: a.snapshot.instance == b.snapshot.instance)
        await _fill(a)
        await until(lambda: "shop.orders" in b.snapshot.clients)


async def test_a_folder_that_is_gone_serves_nobody_until_it_is_back(tmp_path: Path, clock: MovableClock) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    async with open_keeper(folder, clock, times=QUICK) as keeper:
        await _fill(keeper)
        old = keeper.snapshot.instance
        folder.rename(tmp_path / "moved")
        folder.write_text("a file in the place of the folder")

        await until(lambda: not keeper.snapshot.clients)
        with pytest.raises(RegistryUnavailable):
            await keeper.writer.open_term("operator-0")

        folder.unlink()
        await until(lambda: keeper.snapshot.instance != old)
        await _fill(keeper)


async def test_a_broken_file_at_the_start_is_moved_aside(
    tmp_path: Path, clock: MovableClock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "registry.db").write_bytes(b"rubbish" * 1000)

    async with open_keeper(tmp_path, clock) as keeper:
        await _fill(keeper)

    (aside,) = _files(tmp_path, "registry.db.corrupt-*")
    assert aside.read_bytes().startswith(b"rubbish")
    assert str(aside) in caplog.text


async def test_an_empty_file_at_the_start_is_a_new_registry(tmp_path: Path, clock: MovableClock) -> None:
    (tmp_path / "registry.db").touch()

    async with open_keeper(tmp_path, clock) as keeper:
        assert keeper.snapshot.revision == 0


async def test_the_file_is_its_owners_alone(keeper: RegistryKeeper, tmp_path: Path) -> None:
    await _fill(keeper)

    modes = {stat.S_IMODE(file.stat().st_mode) for file in _files(tmp_path, "registry.db*")}

    assert modes == {0o600}


async def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path, clock: MovableClock) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(RegistryOpenError, match=r"registry .*/file/registry\.db"):
        await RegistryKeeper.open(f"sqlite+aiosqlite:///{tmp_path}/file/registry.db", clock)


@pytest.mark.parametrize("url", ["mysql://u:secret@db/holdfast", "sqlite+aiosqlite:///:memory:", "registry.db"])
async def test_a_url_that_names_no_database_we_know_is_refused(clock: MovableClock, url: str) -> None:
    with pytest.raises(ValueError, match="database_url: expected sqlite") as refused:
        await RegistryKeeper.open(url, clock)

    assert "secret" not in str(refused.value)


async def test_a_registry_of_a_newer_holdfast_is_left_alone(tmp_path: Path, clock: MovableClock) -> None:
    async with open_keeper(tmp_path, clock):
        pass
    connection = sqlite3.connect(tmp_path / "registry.db")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()

    with pytest.raises(RegistryOpenError, match="9999"):
        await RegistryKeeper.open(f"sqlite+aiosqlite:///{tmp_path}/registry.db", clock)

    assert not _files(tmp_path, "*.corrupt-*")


async def test_a_revoked_token_is_refused_at_once_and_after_a_restart(tmp_path: Path, clock: MovableClock) -> None:
    async with open_keeper(tmp_path, clock) as keeper:
        await revoke(keeper, "stolen", clock.now + timedelta(minutes=5))
        await revoke(keeper, "stolen", clock.now + timedelta(minutes=5))
        assert is_revoked(keeper, "stolen")
        assert not is_revoked(keeper, "other")

    async with open_keeper(tmp_path, clock) as keeper:
        assert is_revoked(keeper, "stolen")


async def test_what_nobody_needs_any_more_is_forgotten(keeper: RegistryKeeper, tmp_path: Path, clock: MovableClock) -> None:
    term = await _fill(keeper)
    await keeper.writer.delete_client("shop.orders", uid="uid-shop-orders", term=term)
    await revoke(keeper, "expired", clock.now + timedelta(minutes=5))
    await keeper.writer.put_policy(a_policy(Policy(name="unused", max_lifetime=60)), term=term)
    await until(lambda: _count(tmp_path, "clients") == 1)

    clock.move(hours=25)

    await until(lambda: [_count(tmp_path, t) for t in ("clients", "revoked_tokens", "policies")] == [0, 0, 0])
    assert not is_revoked(keeper, "expired")


async def test_a_policy_in_use_is_kept(keeper: RegistryKeeper, tmp_path: Path, clock: MovableClock) -> None:
    term = await _fill(keeper)
    await keeper.writer.put_policy(a_policy(Policy(name="unused", max_lifetime=60)), term=term)

    clock.move(hours=25)
    await until(lambda: _count(tmp_path, "policies") == 1)

    await keeper.writer.put_client(a_client(generation=2, suspended=True), term=term)
    assert keeper.snapshot.clients["shop.orders"].policy == BUILT_IN


def _count(folder: Path, table: str) -> int:
    connection = sqlite3.connect(folder / "registry.db")
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    finally:
        connection.close()


async def test_the_last_token_is_written_once_a_day(keeper: RegistryKeeper, clock: MovableClock) -> None:
    await _fill(keeper)
    first = clock.now
    keeper.record_token("shop.orders", clock.now)
    await _seen(keeper, first)
    revision = (await keeper.writer.describe()).revision

    clock.move(hours=23)
    keeper.record_token("shop.orders", clock.now)
    clock.move(hours=2)
    keeper.record_token("shop.orders", clock.now)
    await _seen(keeper, clock.now)

    assert (await keeper.writer.describe()).revision == revision


async def _seen(keeper: RegistryKeeper, at: object) -> None:
    for _ in range(500):
        stored = await keeper.writer.get_client("shop.orders")
        assert stored is not None
        if stored.last_token_at == at:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"no token was seen at {at}")


async def test_a_recreated_object_has_had_no_token(keeper: RegistryKeeper, clock: MovableClock) -> None:
    term = await _fill(keeper)
    keeper.record_token("shop.orders", clock.now)
    await _seen(keeper, clock.now)

    clock.move(minutes=1)
    stored = await keeper.writer.put_client(a_client(uid="recreated"), term=term)
    assert stored.last_token_at is None

    keeper.record_token("shop.orders", clock.now)
    await _seen(keeper, clock.now)


async def test_a_last_token_is_written_at_the_close(tmp_path: Path, clock: MovableClock) -> None:
    async with open_keeper(tmp_path, clock, times=Times(poll=60)) as keeper:
        await _fill(keeper)
        keeper.record_token("shop.orders", clock.now)

    async with open_keeper(tmp_path, clock) as keeper:
        stored = await keeper.writer.get_client("shop.orders")
        assert stored is not None
        assert stored.last_token_at == clock.now


async def test_subscribers_are_told_until_they_end_it(keeper: RegistryKeeper) -> None:
    seen: list[Snapshot] = []
    end = keeper.subscribe(seen.append)
    term = await _fill(keeper)
    end()

    await keeper.writer.put_client(a_client(name="late"), term=term)

    assert seen[-1].clients.keys() == {"shop.orders"}


async def test_a_subscriber_that_fails_harms_nobody(keeper: RegistryKeeper, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_snapshot: Snapshot) -> None:
        raise RuntimeError("a defect of the subscriber")

    keeper.subscribe(fail)
    await _fill(keeper)

    assert "shop.orders" in keeper.snapshot.clients
    assert "a subscriber of the registry failed" in caplog.text


async def test_a_stored_registration_that_cannot_be_read_leaves_the_others_alone(
    tmp_path: Path, clock: MovableClock
) -> None:
    async with open_keeper(tmp_path, clock) as keeper:
        term = await _fill(keeper)
        await keeper.writer.put_client(a_client(name="odd"), term=term)
    connection = sqlite3.connect(tmp_path / "registry.db")
    connection.execute("UPDATE clients SET value = '{}' WHERE name = 'odd'")
    connection.commit()
    connection.close()

    async with open_keeper(tmp_path, clock) as keeper:
        assert keeper.snapshot.clients.keys() == {"shop.orders"}
        assert await keeper.writer.get_client("shop.odd") is None


async def test_writers_at_the_same_time_lose_nothing(tmp_path: Path, clock: MovableClock) -> None:
    async with open_keeper(tmp_path, clock) as a, open_keeper(tmp_path, clock) as b:
        term = await _fill(a)
        await asyncio.gather(*(
            keeper.writer.put_client(a_client(name=f"c{i}"), term=term) for i, keeper in enumerate([a, b] * 20)
        ))  # fmt: skip

        listed = await a.writer.list_clients()
        assert len(listed) == 41
        assert len({c.revision for c in listed}) == 41
        await until(lambda: len(a.snapshot.clients) == len(b.snapshot.clients) == 41)


async def test_one_of_two_that_claim_an_audience_at_the_same_time_gets_it(tmp_path: Path, clock: MovableClock) -> None:
    async with open_keeper(tmp_path, clock) as a, open_keeper(tmp_path, clock) as b:
        term = await _fill(a)
        answers = await asyncio.gather(
            a.writer.put_client(an_api("shop", "one", "https://x.shop.svc"), term=term),
            b.writer.put_client(an_api("shop", "two", "https://x.shop.svc"), term=term),
            return_exceptions=True,
        )

        assert sum(isinstance(answer, Exception) for answer in answers) == 1
