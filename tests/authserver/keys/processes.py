"""Processes that share a folder of keys, for tests: some begin at the same moment, some die in the middle of a write.

    python -m tests.authserver.keys.processes race FOLDER NOW
    python -m tests.authserver.keys.processes die FOLDER NOW

`race`: eight processes read the ring of FOLDER at once, each prints the kids of the book that it ended with. `die`: for
each file operation of one refresh, a process in FOLDER/N that ends just before its Nth, like one that is killed there.
"""

import asyncio
import os
import shutil
import sys
from datetime import datetime
from pathlib import Path

from tests.authserver.keys.rings import ring_in
from tests.authserver.running import MovingClock

RACERS = 8
_FILE_OPERATIONS = ("open", "tempfile.mkstemp", "os.rename", "os.remove", "os.mkdir", "fcntl.flock", "os.chown")


def _refresh(folder: Path, now: datetime) -> str:
    async def work() -> str:
        ring = ring_in(folder, MovingClock(now))
        await ring.refresh()
        return " ".join(key.kid for key in ring.book.keys)

    return asyncio.run(work())


def race(folder: Path, now: datetime) -> None:
    start, ready = os.pipe()
    for _ in range(RACERS):
        if os.fork() == 0:
            os.close(ready)
            os.read(start, 1)  # ends when the parent closes its side
            os.write(1, f"{_refresh(folder, now)}\n".encode())
            os._exit(0)
    os.close(ready)
    for _ in range(RACERS):
        assert os.wait()[1] == 0


def die(folder: Path, now: datetime) -> None:
    """The last process is the one that lives; prints how many died."""
    for number in range(1, 100):
        place = folder / str(number)
        shutil.copytree(folder / "begin", place)
        child = os.fork()
        if child == 0:
            _end_before(number, place)
            _refresh(place, now)
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
            print(number - 1)
            return


def _end_before(number: int, folder: Path) -> None:
    left = number

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        of_folder = event == "fcntl.flock" or any(str(folder) in str(argument) for argument in arguments)
        if event in _FILE_OPERATIONS and of_folder:
            left -= 1
            if left == 0:
                os._exit(9)

    sys.addaudithook(hook)


if __name__ == "__main__":
    {"race": race, "die": die}[sys.argv[1]](Path(sys.argv[2]), datetime.fromisoformat(sys.argv[3]))
