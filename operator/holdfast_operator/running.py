"""How a process of the operator's runs: with settings that are right, until a signal, or until a part has ended that must
not; and how its parts end.

Must not know which process it is. Neighbours: `main` and `injector`, the two composition roots; `shell`.
"""

import asyncio
import signal
import sys
from typing import TypeVar

from pydantic import ValidationError

from holdfast.settings_file import SettingsFileError, problem_lines
from holdfast_operator.shell import Shell

STOP_LIMIT = 15.0
"""Seconds for kopf to end; a thread that takes longer ends with the process."""


class WatchesEnded(Exception):
    """kopf ended by itself: without events there is nothing to do but to start anew."""


Read = TypeVar("Read")


def configured(command: str, settings: type[Read]) -> Read | None:
    """From the environment and the file; None where they are wrong, which is said in the name of `command`, a line each."""
    try:
        return settings()
    except ValidationError as error:
        for line in problem_lines(error.errors()):
            print(f"{command}: {line}", file=sys.stderr)
    except SettingsFileError as error:
        print(f"{command}: {error}", file=sys.stderr)
    return None


def stop_on_signals() -> asyncio.Event:
    """Set by SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


async def until(stopping: asyncio.Event, shell: Shell, working: "asyncio.Task[None]") -> None:
    """Until a signal, or until a part has ended that must not. Raises WatchesEnded, or what ended `working`."""
    asked = asyncio.create_task(stopping.wait())
    ended = asyncio.wrap_future(shell.ended)
    try:
        await asyncio.wait((asked, ended, working), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        if not asked.done():
            reason = ended.exception() if ended.done() else None
            raise WatchesEnded(f"the watches have ended{f': {reason}' if reason else ''}")
    finally:
        asked.cancel()


async def cancel(task: "asyncio.Task[None]") -> None:
    """End it, and wait until it has."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def end_shell(shell: Shell) -> None:
    """Ask the watches to end, and wait a while until they have."""
    shell.stop()
    await asyncio.wait((asyncio.wrap_future(shell.ended),), timeout=STOP_LIMIT)
