"""Fetches the keys that a client publishes at its `jwks_uri`: one request, bounded in every direction.

Owns https, name resolution, the address that is really connected to, size and time. Must not remember anything: `jwks_cache`
does. Neighbour: `jwks_addresses` says where one may go.
"""

import asyncio
import ipaddress
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

from holdfast.oauth.jwks import Jwk, JwkError, read_jwk_set
from holdfast_authserver.client_authentication.jwks_addresses import AddressRules, IPAddress

MAX_BODY = 256 * 1024
"""Bytes of a set; a hundred RSA keys have 80 kB."""
_MAX_REASON = 200  # characters; what is at the other end decides about part of it
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=\"?(\d{1,9})", re.IGNORECASE)
_ACCEPT = {"accept": "application/jwk-set+json, application/json", "accept-encoding": "identity"}

Value = TypeVar("Value")


class FetchError(Exception):
    """The keys could not be fetched; says what was expected. Never holds the URL, which may be a secret of its owner."""


@dataclass(frozen=True, slots=True)
class FetchedKeys:
    """A set as it was published. `skipped`: which keys cannot be used, and why. `max_age`: seconds, where it was said."""

    keys: tuple[Jwk, ...]
    skipped: tuple[str, ...]
    max_age: int | None


class JwksFetcher:
    """`timeout`: seconds for all of one fetch. `ca_file`: PEM of the CAs to trust; None: those of the system."""

    def __init__(self, rules: AddressRules, *, timeout: float, ca_file: Path | None) -> None:
        self._rules = rules
        self._timeout = timeout
        self._ca_file = ca_file
        self._trust: tuple[object, ssl.SSLContext] | None = None

    async def fetch(self, url: str) -> FetchedKeys:
        """Raises FetchError. No redirect is followed and no proxy of the environment used."""
        try:
            async with asyncio.timeout(self._timeout):
                target = _target(url)
                body, max_age = await self._download_from_any(target, await self._resolve(target))
                keys, skipped = await _in_own_thread(lambda: read_jwk_set(_parse(body)))
        except TimeoutError as error:
            raise FetchError(f"no answer within {self._timeout:g} seconds") from error
        except JwkError as error:
            raise FetchError(f"no JWK Set: {error}"[:_MAX_REASON]) from error
        except FetchError:
            raise
        except Exception as error:
            # A stranger's name, server and bytes make libraries raise many types; here all mean that there are no keys.
            raise FetchError(f"{type(error).__name__}: {error}"[:_MAX_REASON]) from error
        return FetchedKeys(keys, skipped, max_age)

    async def _resolve(self, target: SplitResult) -> list[IPAddress]:
        """Looked up once: the addresses that were judged are the ones connected to, whatever the name says next."""
        host, port = target.hostname or "", target.port or 443
        found = await _in_own_thread(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        allowed = [address for address in addresses if self._rules.allows(host, address)]
        if not allowed:
            at = ", ".join(map(str, addresses))
            raise FetchError(f"keys may not be fetched from {host}, which is at {at}"[:_MAX_REASON])
        return allowed

    async def _download_from_any(self, target: SplitResult, addresses: list[IPAddress]) -> tuple[bytes, int | None]:
        """From the first that can be connected to: a name may have an IPv6 address that this machine has no way to."""
        from holdfast_authserver.client_authentication import https_get  # its library is large, and few servers fetch keys

        for number, address in enumerate(addresses, 1):
            try:
                answer = await https_get.get(
                    target, address, context=self._context(), seconds=self._timeout, headers=_ACCEPT, at_most=MAX_BODY
                )
                return answer.body, _max_age(answer.cache_control)
            except https_get.NotReached as error:
                if number == len(addresses):
                    raise FetchError(f"cannot be reached: {error}"[:_MAX_REASON]) from error
            except https_get.UnexpectedAnswer as error:
                raise FetchError(str(error)) from error
        raise AssertionError("an address was judged good")

    def _context(self) -> ssl.SSLContext:
        """The CAs as the file has them now: reading all of them takes milliseconds, looking whether it changed does not."""
        stamp = None if self._ca_file is None else (s := self._ca_file.stat()) and (s.st_mtime_ns, s.st_ino, s.st_size)
        if self._trust is None or self._trust[0] != stamp:
            self._trust = stamp, ssl.create_default_context(cafile=self._ca_file)
        return self._trust[1]


def _target(url: str) -> SplitResult:
    try:
        target = urlsplit(url)
        _ = target.port
    except ValueError as error:
        raise FetchError("expected an https URL") from error
    if target.scheme != "https" or not target.hostname or target.username is not None or target.fragment:
        raise FetchError("expected an https URL with a host, without user and fragment")
    return target


def _max_age(cache_control: str) -> int | None:
    """How long the set may be kept (RFC 9111 section 5.2.2); what forbids keeping it counts as zero."""
    if re.search(r"\bno-(?:store|cache)\b", cache_control, re.IGNORECASE):
        return 0
    found = _MAX_AGE.search(cache_control)
    return None if found is None else int(found[1])


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FetchError("expected a JSON document") from error


async def _in_own_thread(work: Callable[[], Value]) -> Value:
    """Not in the loop's few shared threads: a name server that never answers would keep everybody else from them."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Value] = loop.create_future()

    def settle(value: Value | None, error: Exception | None) -> None:
        if outcome.done():  # given up meanwhile
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(value)  # type: ignore[arg-type]  # there is one where there is no error

    def run() -> None:
        try:
            result, error = work(), None
        except Exception as caught:
            result, error = None, caught
        with suppress(RuntimeError):  # the loop has ended meanwhile, and nobody waits
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="holdfast-jwks", daemon=True).start()
    return await outcome
