"""Keeps the current pair of token and certificate: renews before the end, swaps both when the files change.

Owns when to renew and who does it: one at a time, and all who wait share the outcome, be it a pair or a failure.
Must not know requests to APIs. Neighbours: `generation` (what a pair is), `token_endpoint` (where tokens come from).
"""

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from weakref import WeakKeyDictionary

from holdfast.client.errors import ClientError, IdentityError, TokenUnavailable
from holdfast.client.generation import Generation, Pair
from holdfast.client.identity import IdentityFiles
from holdfast.client.token_endpoint import TokenEndpoint, TokenRequest
from holdfast.clock import Clock

_LOG = logging.getLogger(__name__)
_PAUSE = timedelta(seconds=1)
"""Between two attempts to renew a pair that can still be used."""
_ROUNDS = 3  # whoever finds that the attempt it waited for was made for another reason looks again
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class PairKeeper:
    """Safe to share between threads, and between tasks of asyncio loops."""

    def __init__(self, files: IdentityFiles, endpoint: TokenEndpoint, request: TokenRequest, clock: Clock) -> None:
        self._files = files
        self._endpoint = endpoint
        self._request = request
        self._clock = clock
        self._lock = threading.Lock()
        self._current: Pair | None = None
        self._bare: Generation | None = None
        self._attempts = 0
        self._failure: ClientError | None = None
        self._failed_at = _LONG_AGO
        # Its own thread: the loop's are the application's, which may wait in them for us.
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="holdfast-token")
        self._flights: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Future[None]] = WeakKeyDictionary()

    def pair(self, rejected: str | None = None) -> Pair:
        """The pair to use now. `rejected`: a token that an API has just refused, so not that one. Raises ClientError."""
        for _ in range(_ROUNDS):
            if (pair := self._ready(rejected)) is not None:
                return pair
            self._renew_once(self._attempts, rejected)
            if (pair := self._outcome(rejected)) is not None:
                return pair
        raise TokenUnavailable("the server issues tokens that end before they can be used")

    async def apair(self, rejected: str | None = None) -> Pair:
        """As `pair`, for asyncio: one thread renews, and all tasks wait for it. Raises ClientError."""
        for _ in range(_ROUNDS):
            if (pair := self._ready(rejected)) is not None:
                return pair
            # A request that is cancelled leaves the renewal to the others.
            await asyncio.shield(self._flight(rejected))
            if (pair := self._outcome(rejected)) is not None:
                return pair
        raise TokenUnavailable("the server issues tokens that end before they can be used")

    def _flight(self, rejected: str | None) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        flight = self._flights.get(loop)
        if flight is None or flight.done():
            flight = self._flights[loop] = loop.run_in_executor(self._worker, self._renew_once, self._attempts, rejected)
        return flight

    def generation(self) -> Generation:
        """The certificate to show on a connection that carries no token. Raises IdentityError."""
        known = self._bare if self._current is None else self._current.generation
        if known is not None and known.stamp == self._files.stamp():
            return known
        self._bare = Generation.read(self._files)
        return self._bare

    def _ready(self, rejected: str | None) -> Pair | None:
        """The current pair, unless it cannot be used or ought to be renewed now."""
        pair, now = self._current, self._clock()
        if pair is None or not _usable(pair, rejected, now):
            return None
        due = now >= pair.token.renew_at or self._files.stamp() != pair.generation.stamp
        return None if due and now - self._failed_at >= _PAUSE else pair

    def _renew_once(self, seen: int, rejected: str | None) -> None:
        """Renew, unless somebody has while we waited for the lock."""
        with self._lock:
            if self._attempts != seen or self._ready(rejected) is not None:
                return
            self._attempts += 1
            try:
                self._current, self._failure = self._renewed(), None
            except ClientError as error:
                self._failure, self._failed_at = error, self._clock()

    def _renewed(self) -> Pair:
        """A new token, by a new generation when the files have changed. Raises ClientError."""
        now, previous = self._clock(), self._current
        if previous is not None and self._files.stamp() == previous.generation.stamp:
            generation = previous.generation
        else:
            generation = Generation.read(self._files)
        leaf = generation.identity.leaf
        if now >= leaf.not_after:
            raise IdentityError(f"the certificate {leaf.x5t_s256} has expired at {leaf.not_after:%Y-%m-%d %H:%M:%S} UTC")
        return Pair(generation, self._endpoint.fetch(self._request, generation, now))

    def _outcome(self, rejected: str | None) -> Pair | None:
        """What the attempt has led to: the new pair, or the old one while it lasts. Raises why there is none."""
        pair, failure = self._current, self._failure
        if pair is None or not _usable(pair, rejected, self._clock()):
            if failure is not None:
                raise failure.with_traceback(None)
            return None
        if failure is not None:
            _LOG.warning("keeping the previous token and certificate: %s", failure)
        return pair


def _usable(pair: Pair, rejected: str | None, now: datetime) -> bool:
    return pair.token.value != rejected and now < min(pair.token.expires_at, pair.generation.identity.leaf.not_after)
