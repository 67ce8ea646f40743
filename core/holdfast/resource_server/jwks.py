"""The issuer's keys, fetched when needed and kept: one fetch at a time, and the last good set outlives a failure.

Owns when to fetch. A key identifier nobody knows causes one fetch, but not one each: whoever sends random ones must
not turn this resource into a load on the issuer. Neighbour: `keys` judges what came.
"""

import logging
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx

from holdfast.clock import Clock, system_clock
from holdfast.resource_server.download import DownloadError, check_https, download
from holdfast.resource_server.errors import KeysUnavailable
from holdfast.resource_server.keys import KeySet, KeySetError
from holdfast.resource_server.single_flight import SingleFlight

_LOG = logging.getLogger(__name__)
_MAX_BODY = 256 * 1024  # bytes; a hundred RSA keys have 80 kB
_EPOCH = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRules:
    """When to fetch. `fresh`: how long a set is used unasked. `pause`: the least time between two fetches.

    `kept`: how long the last good set is used while fetches fail. `timeout`: seconds for one fetch.
    """

    fresh: timedelta = timedelta(minutes=1)
    pause: timedelta = timedelta(seconds=2)
    kept: timedelta = timedelta(days=1)
    timeout: float = 5.0


class JwksCache:
    """Keys of one issuer. Safe to share between threads, and between tasks of an asyncio loop."""

    def __init__(
        self,
        url: str,
        *,
        context: ssl.SSLContext | None = None,
        clock: Clock = system_clock,
        rules: FetchRules = FetchRules(),
    ) -> None:
        """`url`: the issuer's `jwks_uri`, https. `context` None: the system's trust."""
        self._url = check_https(url)
        self.context = context or ssl.create_default_context()
        self._clock = clock
        self._rules = rules
        self._flight = SingleFlight(self._refresh, "holdfast-jwks")
        self._keys: KeySet | None = None
        self._fetched = self._tried = _EPOCH

    def keys(self, kid: str) -> KeySet:
        """A set that holds `kid`, if the issuer has published it. Raises KeysUnavailable when there is no set at all."""
        # Who has its key at hand does not wait for somebody else's fetch.
        if self._due(kid):
            self._flight.run(wait=not self._knows(kid))
        return self._kept()

    async def akeys(self, kid: str) -> KeySet:
        """As `keys`, for asyncio: one thread fetches, and all tasks that need the outcome wait for it."""
        if self._due(kid):
            await self._flight.arun(wait=not self._knows(kid))
        return self._kept()

    def _refresh(self) -> None:
        if self._clock() - self._tried >= self._rules.pause:
            self._fetch()

    def _knows(self, kid: str) -> bool:
        return self._keys is not None and kid in self._keys.keys

    def _due(self, kid: str) -> bool:
        """Whether to fetch now: there are no keys yet, this one is unknown, or all are old."""
        now = self._clock()
        if now - self._tried < self._rules.pause:
            return False
        return not self._knows(kid) or now - self._fetched >= self._rules.fresh

    def _kept(self) -> KeySet:
        if self._keys is None or self._clock() - self._fetched > self._rules.kept:
            raise KeysUnavailable(f"no keys from {self._url}")
        return self._keys

    def _fetch(self) -> None:
        """Replace the set, or keep it and say why."""
        began = self._clock()
        try:
            keys = KeySet.from_json(self._download())
        except (httpx.HTTPError, DownloadError, KeySetError) as error:
            _LOG.warning("keeping the previous keys of %s: %s: %s", self._url, type(error).__name__, error)
        else:
            if keys.ignored:
                _LOG.warning("%s: %s", self._url, "; ".join(keys.ignored)[:500])
            self._keys, self._fetched = keys, began
        # Only now: until the outcome is there, whoever lacks a key has to wait for it.
        self._tried = self._clock()

    def _download(self) -> bytes:
        found = download(
            self._url,
            context=self.context,
            timeout=self._rules.timeout,
            limit=_MAX_BODY,
            accept="application/jwk-set+json, application/json",
        )
        return found.body or b""
