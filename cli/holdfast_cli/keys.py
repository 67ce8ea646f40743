"""`holdfast keys`: shows, rotates and retires the keys of an authorization server, beside it and by the same settings.

Owns the commands and what they say. What they do is the server's own (`holdfast_authserver.keys`); a running server
follows within a second. Neighbour: `keys_table`, which says what each key is for.
"""

import asyncio
from collections.abc import Awaitable, Callable

import click
from pydantic import ValidationError

from holdfast.clock import Clock, system_clock
from holdfast.settings_file import SettingsFileError, problem_lines
from holdfast_authserver.keys import rotation
from holdfast_authserver.keys.book import KeyBook
from holdfast_authserver.keys.opening import ring_beside_server
from holdfast_authserver.keys.ring import KeyRing
from holdfast_authserver.keys.rotation import TooEarly
from holdfast_authserver.keys.signing_key import SigningKeyError
from holdfast_authserver.settings import Settings
from holdfast_cli.failure import REFUSED, Failure, say
from holdfast_cli.keys_table import heir_lines, moment, table

_CLOCK: Clock = system_clock


@click.group(name="keys")
def command() -> None:
    """Show, rotate and retire the keys of the authorization server.

    Run it where the server runs, with the server's settings (HOLDFAST_… and HOLDFAST_CONFIG_FILE) and as its user. A
    running server follows within a second. Exit codes: 0 done; 1 the answer is no; 2 it could not be asked.
    """


@command.command(name="list")
def list_() -> None:
    """Show every key: what it is for, and until when its tokens count."""

    async def work(ring: KeyRing, book: KeyBook) -> None:
        say(table(book, _CLOCK(), ring.times))

    _run("list", work)


@command.command()
@click.option("--now", is_flag=True, help="Also when the next key has not been published for long enough.")
def rotate(now: bool) -> None:
    """Put the next keys to use. The earlier ones are accepted until their last token has ended."""

    async def work(ring: KeyRing, book: KeyBook) -> None:
        at = _CLOCK()
        try:
            after = await ring.change(lambda newest: rotation.promoted(newest, at, ring.times, unpublished=now))
        except TooEarly as error:
            text = f"next key {error.kid} is not published for long enough; it can be used from {moment(error.usable_from)}"
            raise Failure(f"{text}, or at once with --now", REFUSED, command="keys rotate") from error
        say(table(after, at, ring.times))

    _run("rotate", work)


# One name in sixty-four begins with a dash, and some of those with that of -h.
@command.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("kid")
def retire(kid: str) -> None:
    """Accept the key KID no more, because it was stolen: none of its tokens counts from now on.

    Where it was in use, the next key takes its place at once. An API that checks tokens by itself accepts them for as
    long as it keeps the key set it has: restart it, or wait for its cache.
    """

    async def work(ring: KeyRing, book: KeyBook) -> None:
        at = _CLOCK()
        try:
            after = await ring.change(lambda newest: rotation.without(newest, kid, at, ring.times))
        except KeyError:
            known = ", ".join(key.kid for key in book.keys)
            raise Failure(f"no key {kid!r}; there are {known}", REFUSED, command="keys retire") from None
        say(f"{kid} is retired: none of its tokens counts any more")
        for line in heir_lines(book, after, kid, at, ring.times):
            say(line)

    _run("retire", work)


def _run(name: str, work: Callable[[KeyRing, KeyBook], Awaitable[None]]) -> None:
    """Do `work` with the ring that the settings name. Raises Failure."""
    try:
        asyncio.run(_with_ring(work))
    except ValidationError as error:
        raise Failure("; ".join(problem_lines(error.errors())), command=f"keys {name}") from error
    except (SettingsFileError, SigningKeyError) as error:
        raise Failure(str(error), command=f"keys {name}") from error


async def _with_ring(work: Callable[[KeyRing, KeyBook], Awaitable[None]]) -> None:
    async with ring_beside_server(Settings().key_options, _CLOCK) as ring:
        book = await ring.look()
        if book is None:
            raise SigningKeyError("there are no keys yet; the server makes them at its first start")
        await work(ring, book)
