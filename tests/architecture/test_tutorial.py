"""The tutorial is run as it stands: its files written, its commands typed, its outputs seen.

`…` in an output stands for anything. Ports are replaced by free ones, so that it runs beside other things.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT
from tests.controlplane.plane.ports import free_ports

PAGE = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
BLOCK = re.compile(r"(?P<before>[^\n]*)\n+```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL)
MISSING = [tool for tool in ("bash", "curl", "openssl") if shutil.which(tool) is None]
PORTS = ("10443", "8443", "9443")
DEADLINE = 20.0  # seconds for something to appear that takes one on a quiet machine


class Reader:
    """Somebody who follows the page in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
        self._running: list[subprocess.Popen[bytes]] = []
        self._screen: Callable[[], str] = str
        """What `holdfast dev` has printed so far."""
        self._seen: Callable[[], str] = str
        """What there is to look at after the last command: what it printed, else the screen."""

    def follow(self, before: str, kind: str, text: str) -> None:
        text = re.sub("|".join(PORTS), lambda m: self._ports[m[0]], text)
        if kind == "sh":
            self._type(text.strip())
        elif kind == "text":
            self._expect(text)
        else:
            self._write(re.findall(r"`([^`]+)`", before)[-1], text)

    def stop(self) -> list[int]:
        for process in self._running:
            process.terminate()
        return [process.wait(timeout=10) for process in self._running]

    def _write(self, name: str, text: str) -> None:
        (self._folder / name).parent.mkdir(exist_ok=True)
        with self._taken_in(name):
            (self._folder / name).write_text(text, "utf-8")

    def _type(self, command: str) -> None:
        if command.startswith("holdfast dev"):
            ports = f"--public-port {self._ports['8443']} --mtls-port {self._ports['9443']}"
            self._screen = self._start(f"{command} {ports} --ready-file ready.json", lambda: self._published() > 0)
            self._seen = self._screen
        elif command == "python api.py":
            self._start(command, lambda: _listens(int(self._ports["10443"])))
        else:
            with self._taken_in(command):
                done = self._run(command)
            self._seen = self._screen if "clients/" in command and not done else lambda: done

    def _run(self, command: str) -> str:
        """Runs it to its end, which has to be a good one."""
        done = subprocess.run(
            ["bash", "-ec", command], cwd=self._folder, env=_environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _start(self, command: str, up: Callable[[], bool]) -> Callable[[], str]:
        """Leaves it running in a terminal of its own; answers with how to read that."""
        screen = self._folder / f"screen-{len(self._running)}"
        with screen.open("wb") as out:
            arguments = ["bash", "-c", f"exec {command}"]
            process = subprocess.Popen(arguments, cwd=self._folder, env=_environment(), stdout=out, stderr=out)
        self._running.append(process)
        _wait(lambda: process.poll() is not None or up(), command)
        assert process.poll() is None, screen.read_text("utf-8")
        return lambda: screen.read_text("utf-8")

    def _expect(self, text: str) -> None:
        """Each line of the page is a line that was printed, in this order, however wide its columns."""
        lines = [_pattern(line) for line in text.splitlines() if line.strip()]
        whole = re.compile(r"[\s\S]*?".join(lines), re.MULTILINE)
        _wait(lambda: whole.search(self._seen()) is not None, f"{text}in what was printed:\n{self._seen()}")

    @contextmanager
    def _taken_in(self, what: str) -> Iterator[None]:
        """Around a change of the folder: the running `holdfast dev` has shown it, or has had twice the time it needs."""
        before, until = self._published(), time.monotonic() + 2.0  # seconds; the page says one
        yield
        if "clients/" in what and self._running:
            _wait(lambda: self._published() != before or time.monotonic() > until, f"holdfast dev to take in: {what}")

    def _published(self) -> int:
        ready = self._folder / "ready.json"
        return ready.stat().st_mtime_ns if ready.exists() else 0


@pytest.mark.skipif(bool(MISSING), reason=f"the tutorial needs {' and '.join(MISSING)}, not installed here")
def test_the_tutorial_goes_as_it_says(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    try:
        for block in BLOCK.finditer(PAGE):
            reader.follow(block["before"], block["kind"], block["text"])
    finally:
        ended = reader.stop()

    assert ended[0] == 0, "holdfast dev stops cleanly"


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}


def _pattern(line: str) -> str:
    words = [r"[^\n]*".join(map(re.escape, word.split("…"))) for word in line.split()]
    return r"^[ \t]*" + r"[ \t]+".join(words) + r"[ \t\r]*$"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait(done: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + DEADLINE
    while not done():
        assert time.monotonic() < until, f"waited for {what}"
        time.sleep(0.05)
