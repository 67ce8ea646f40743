"""One process of the control plane: started with its output in a file, awaited, stopped by pid.

Owns: the life of a child process. Must not know what the process is for (`commands`, `plane`).
A child dies with the thread that started it, so a killed test run leaves nothing: start it from a thread that lives.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_DIE_WITH_PARENT = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9)\n"  # PR_SET_PDEATHSIG, SIGKILL; survives exec
    "os.getppid() == int(sys.argv[1]) or sys.exit(1)\n"  # the parent died before prctl
    "os.execv(sys.argv[2], sys.argv[2:])"
)
"""Run before the program itself: a `preexec_fn` is not safe in a parent with threads."""


class ProcessError(Exception):
    """A process did not start or ended early; the message ends with the tail of its output."""


@dataclass
class Process:
    """A running child and the file that its output goes to."""

    name: str
    output: Path
    child: subprocess.Popen[bytes]

    @classmethod
    def start(cls, name: str, command: Sequence[str], logs: Path, env: Mapping[str, str] | None = None) -> "Process":
        """Starts `command`; its output goes to `<logs>/<name>.log`. Raises ProcessError when it cannot be run."""
        output = logs / f"{name}.log"
        wrapped = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]
        with output.open("ab") as log:
            child = subprocess.Popen(
                wrapped,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(os.environ) | dict(env),
                start_new_session=True,  # Ctrl-C at the terminal is for the parent, which stops us in order
            )
        return cls(name, output, child)

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def running(self) -> bool:
        return self.child.poll() is None

    def wait_until(self, ready: Callable[[], bool], seconds: float = 60) -> None:
        """Polls `ready` until it is true. Raises ProcessError when the process ends before, or time runs out."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise ProcessError(f"{self.name} ended with {self.child.returncode} before it was ready:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise ProcessError(f"{self.name} was not ready within {seconds:.0f} s:\n{self.tail()}")
            time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, if the process still runs."""
        if self.running:
            self.child.send_signal(number)

    def stop(self, seconds: float = 5) -> None:
        """SIGTERM, and SIGKILL after `seconds`; returns when the process is gone."""
        self.signal(signal.SIGTERM)
        try:
            self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def tail(self, lines: int = 25) -> str:
        """The last lines of its output."""
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-lines:])
