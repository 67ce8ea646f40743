"""Failed authentications, counted by client and address: how often somebody may be wrong.

Two token buckets hold for a failure: of the client id from that address, and of the address alone. Owns the counts, in
bounded memory; time is an argument. Nobody can lock a client out: elsewhere other buckets hold, and at the same address a
certificate that has authenticated the client before passes whatever the buckets say, since nobody else can show it.
What does not pass learns nothing: an unknown client is counted like a known one.
"""

import math
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from holdfast.oauth.errors import TooManyFailures
from holdfast_authserver.transport.addresses import is_loopback, peer_of

_MAX_BUCKETS = 20_000  # about 5 MB; the one that failed longest ago makes room
_MAX_PROVEN = 20_000
_MAX_CLIENT_ID = 256  # characters; what is claimed may be longer than any real one


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleRules:
    """Failures at once, and again after `window` seconds; 0: any number. `loopback`: whether this machine counts."""

    per_client: int
    per_address: int
    window: float
    loopback: bool


@dataclass(slots=True)
class _Bucket:
    left: float
    seen: float

    def refill(self, now: float, size: int, window: float) -> None:
        """A clock that was set back refills nothing."""
        self.left = min(size, self.left + max(0.0, now - self.seen) * size / window)
        self.seen = now


class Attempt(NamedTuple):
    """Who says to be whom, from where. `address` None: not known, and not counted. `thumbprint`: of the certificate."""

    client_id: str
    address: str | None
    thumbprint: str | None


class FailureThrottle:
    """Of one process."""

    def __init__(self, rules: ThrottleRules) -> None:
        self._rules = rules
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()
        self._proven: OrderedDict[tuple[str, str], None] = OrderedDict()

    def check(self, attempt: Attempt, at: datetime) -> None:
        """Whether this attempt may be made. Raises TooManyFailures."""
        if not self._buckets or (attempt.client_id, attempt.thumbprint) in self._proven:
            return
        now = at.timestamp()
        for key, size in self._holding(attempt):
            bucket = self._buckets.get(key)
            if bucket is None:
                continue
            bucket.refill(now, size, self._rules.window)
            if bucket.left < 1:
                wait = math.ceil((1 - bucket.left) * self._rules.window / size)
                raise TooManyFailures(f"more than {size} failures from {key}", retry_after=max(1, wait))

    def failed(self, attempt: Attempt, at: datetime) -> None:
        """It was made, and the client was not who it said."""
        now = at.timestamp()
        for key, size in self._holding(attempt):
            bucket = self._buckets.setdefault(key, _Bucket(size, now))
            bucket.refill(now, size, self._rules.window)
            bucket.left = max(0.0, bucket.left - 1)
            self._buckets.move_to_end(key)
        while len(self._buckets) > _MAX_BUCKETS:
            self._buckets.popitem(last=False)

    def succeeded(self, attempt: Attempt) -> None:
        """It was made, and the client was who it said."""
        if attempt.thumbprint is None or (attempt.client_id, attempt.thumbprint) in self._proven:
            return
        self._proven[attempt.client_id, attempt.thumbprint] = None
        if len(self._proven) > _MAX_PROVEN:
            self._proven.popitem(last=False)

    def _holding(self, attempt: Attempt) -> list[tuple[Hashable, int]]:
        """The buckets that hold for an attempt, with their size."""
        address, rules = attempt.address, self._rules
        if address is None or (not rules.loopback and is_loopback(address)):
            return []
        peer = peer_of(address)
        buckets = [((attempt.client_id[:_MAX_CLIENT_ID], peer), rules.per_client), (peer, rules.per_address)]
        return [(key, size) for key, size in buckets if size]
