"""What the registry holds, as it last said: with ten thousand clients a question for each of them would be half of all work.

Owns which records are known and for how long that may be believed: as long as the registry was heard of a moment ago, since
a change that is not ours shows in what it says of itself, and leads to a listing. Must not do I/O. Neighbour:
`fenced_registry`, which asks and tells.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from holdfast.registry.records import ClientSummary, StoredClient, TokenSeen


class Remembered:
    """`age`: seconds since the registry was last heard of for which its records are believed; 0: never."""

    def __init__(self, age: float, now: Callable[[], float] = time.monotonic) -> None:
        self._age, self._now = age, now
        self._records: dict[str, StoredClient] = {}
        self._complete = False
        self._heard: float | None = None

    @property
    def current(self) -> bool:
        """Whether `get` may be believed, for what it has and for what it has not."""
        return self._complete and self._heard is not None and self._now() - self._heard < self._age

    def get(self, client_id: str) -> StoredClient | None:
        return self._records.get(client_id)

    def heard(self) -> None:
        """The registry has answered."""
        self._heard = self._now()

    def lost(self) -> None:
        """It did not: what it holds is not known until it is listed again."""
        self._heard, self._complete = None, False

    def forget(self) -> None:
        """It is another one."""
        self._records.clear()
        self._complete = False

    def note(self, stored: StoredClient) -> None:
        if self._age:
            self._records[stored.metadata.client_id] = stored

    def got_tokens(self, seen: Iterable[TokenSeen]) -> None:
        """Which changes nothing of a record but when its client last got a token."""
        for token in seen:
            stored = self._records.get(token.client_id)
            if stored is not None and stored.last_token_at != token.at:
                self._records[token.client_id] = replace(stored, last_token_at=token.at)

    def drop(self, client_id: str) -> None:
        self._records.pop(client_id, None)

    def compare(self, listed: Iterable[ClientSummary]) -> list[str]:
        """Take in a listing; answers the ids whose records have to be read. Call `complete` when that is done."""
        known, self._records = self._records, {}
        unknown = []
        for summary in listed:
            stored = known.get(summary.client_id)
            if stored is None or _differs(stored, summary):
                unknown.append(summary.client_id)
            else:
                fresh = stored.last_token_at == summary.last_token_at
                self._records[summary.client_id] = stored if fresh else replace(stored, last_token_at=summary.last_token_at)
        return unknown if self._age else []

    def complete(self) -> None:
        """Whatever is not known now is not there."""
        self._complete = True


def _differs(stored: StoredClient, summary: ClientSummary) -> bool:
    owner = stored.metadata.owner
    return (stored.digest, stored.revision, owner) != (summary.digest, summary.revision, summary.owner)
