"""Says when something in a folder may have changed.

Owns the ways to notice: the kernel's, and looking at names and times where that one fails. Does not read any file.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

from watchfiles import Change, awatch

DEBOUNCE = 50  # milliseconds: an editor's several writes are one change
STEP = 20  # milliseconds between two looks at the kernel's queue
CHECK = 500  # milliseconds after which we look ourselves, in case the kernel did not tell

State = frozenset[tuple[str, int, int, int]]
"""Path, time, size and inode of every file that may hold manifests."""


def look(root: Path, skip: Path) -> State:
    """What the folder looks like now; what cannot be seen is left out."""
    found = set()
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and Path(folder, name) != skip]
        for name in names:
            if not name.endswith((".yaml", ".yml")):
                continue
            path = os.path.join(folder, name)
            try:
                stat = os.stat(path)
            except OSError:
                continue
            found.add((path, stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return frozenset(found)


async def changes(root: Path, *, skip: Path, since: State) -> AsyncIterator[None]:
    """Yield after each change below `root`, but for `skip`, since it looked like `since`.

    Never ends by itself; survives the loss of the folder, and a kernel that cannot tell.
    """
    while True:
        async for _ in _wakes(root, skip):
            now = await asyncio.to_thread(look, root, skip)
            if now != since:
                since = now
                yield


async def _wakes(root: Path, skip: Path) -> AsyncIterator[None]:
    """Yields when it is worth looking. Ends when the path leads to another folder than at the beginning."""

    def wanted(_: Change, path: str) -> bool:
        return not Path(path).is_relative_to(skip)

    try:
        identity = _identity(root)
        async for _ in awatch(
            root, watch_filter=wanted, debounce=DEBOUNCE, step=STEP, rust_timeout=CHECK, yield_on_timeout=True
        ):
            yield
            if _identity(root) != identity:
                return
    except Exception:
        # No inotify (a limit, a file system without it), a name that is not UTF-8 (the watcher answers with an exception
        # group), or the folder is gone: look ourselves for a while.
        await asyncio.sleep(CHECK / 1000)
        yield


def _identity(root: Path) -> tuple[int, int]:
    found = root.stat()
    return found.st_dev, found.st_ino
