"""Rings over real folders for tests, under a clock that is moved."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from holdfast_authserver.keys.folder_store import FolderStore
from holdfast_authserver.keys.ring import KeyRing
from tests.authserver.running import MovingClock

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def ring_in(folder: Path, clock: MovingClock, instance: str = "one", **changes: Any) -> KeyRing:
    """A ring as one process has it; several of them over a folder are several processes."""
    return KeyRing(FolderStore(folder), clock, instance=lambda: instance, **changes)


def book_file(folder: Path, instance: str = "one") -> Path:
    return folder / f"keys-{instance}.json"
