"""`holdfast dev` as a process for the demo: started on a copy of the manifests, watched by its ready file, ended for sure.

Owns the process. Neighbour: `demo`.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

START_LIMIT = 20.0  # seconds; the whole demo has 30
STOP_LIMIT = 5.0  # seconds; what `holdfast dev` promises


class DevFailed(Exception):
    """It did not start, or did not become ready; the message ends with what it said."""


class Dev:
    """A running `holdfast dev` and the folder it follows."""

    def __init__(self, folder: Path, process: asyncio.subprocess.Process) -> None:
        self.manifests = folder / "manifests"
        self._ready_file = folder / "ready.json"
        self._log = folder / "dev.log"
        self._process = process

    @property
    def ready(self) -> dict[str, Any]:
        """The ready file as it is now."""
        value: dict[str, Any] = json.loads(self._ready_file.read_bytes())
        return value

    def client(self, name: str) -> dict[str, Any]:
        """A client of the ready file."""
        return next(client for client in self.ready["clients"] if client["name"] == name)

    async def until_ready(self) -> None:
        """Wait until every client is ready. Raises DevFailed."""

        def done() -> bool:
            if self._process.returncode is not None:
                raise DevFailed(f"holdfast dev ended with {self._process.returncode}: {self._said()}")
            with suppress(OSError):
                return bool(self.ready["clients"]) and all(client["ready"] for client in self.ready["clients"])
            return False

        if not await within(START_LIMIT, done):
            raise DevFailed(f"holdfast dev had no ready clients after {START_LIMIT:.0f} s: {self._said()}")

    def suspend(self, name: str) -> None:
        """Set `suspend: true` in the client's manifest, as an editor would."""
        for path in self.manifests.glob("*.yaml"):
            documents = [d for d in yaml.safe_load_all(path.read_text()) if d is not None]
            for document in documents:
                if document["kind"] == "OAuthClient" and document["metadata"]["name"] == name:
                    document["spec"]["suspend"] = True
            path.write_text(yaml.safe_dump_all(documents, sort_keys=False))

    async def stop(self) -> None:
        """End it and all it started."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), STOP_LIMIT)
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    def _said(self) -> str:
        return " ".join(self._log.read_text().split())[-800:]


@asynccontextmanager
async def running_dev(folder: Path, manifests: Path) -> AsyncIterator[Dev]:
    """Run `holdfast dev` on a copy of `manifests`, everything below `folder`, on free ports."""
    shutil.copytree(manifests, folder / "manifests")
    command = [sys.executable, "-m", "holdfast_cli.main", "dev", str(folder / "manifests"), "--data", str(folder / "data")]
    command += ["--public-port", "0", "--mtls-port", "0", "--ready-file", str(folder / "ready.json")]
    log = os.open(folder / "dev.log", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        # A session of its own, so that all it starts can be ended with it.
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, start_new_session=True)
    finally:
        os.close(log)
    dev = Dev(folder, process)
    try:
        await dev.until_ready()
        yield dev
    finally:
        await dev.stop()


async def within(limit: float, condition: Callable[[], bool]) -> bool:
    """Whether `condition` comes true within `limit` seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + limit
    while not condition():
        if loop.time() > end:
            return False
        await asyncio.sleep(0.05)
    return True
