"""The revocation lists that hold now: those of the registry and those of files, each parsed once.

Owns when they are looked for again. Reading and parsing run in a thread, one at a time; whoever asks meanwhile waits, so
that nobody is judged by lists that are known to be old. Nothing is fetched from anywhere.
"""

import asyncio
import logging
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta

from holdfast.x509.revocation_list import RevocationList, RevocationListError
from holdfast.x509.revocation_standing import RevocationLists
from holdfast_authserver.client_authentication.revocation_files import RevocationFiles

_LOG = logging.getLogger(__name__)
_LOOK_AGAIN = timedelta(seconds=2)  # after which files are looked at again; a look costs one `stat` a file


class RevocationSource:
    """Answers with the same object as long as no list has come or gone, so that verdicts can be tied to it."""

    def __init__(self, files: RevocationFiles) -> None:
        self._files = files
        self._current = RevocationLists.of(())
        self._registry: tuple[bytes, ...] | None = None
        self._looked: datetime | None = None
        self._known: dict[bytes, RevocationList | None] = {}
        self._loading = asyncio.Lock()
        self._in_thread = threading.Lock()  # a request that is given up leaves its thread running

    def ready(self, registry: tuple[bytes, ...], at: datetime) -> RevocationLists | None:
        """What holds with these lists of the registry (DER); None: it has to be loaded first."""
        if registry is not self._registry:
            return None
        if self._files.paths and not (self._looked is not None and self._looked <= at < self._looked + _LOOK_AGAIN):
            return None
        return self._current

    async def load(self, registry: tuple[bytes, ...], at: datetime) -> RevocationLists:
        """Look again at files, and parse what is new. A list that cannot be read is named in the log and left out."""
        async with self._loading:
            found = self.ready(registry, at)
            if found is None:
                self._current = await asyncio.to_thread(self._load, registry)
                self._registry, self._looked = registry, at
                found = self._current
        return found

    def _load(self, registry: tuple[bytes, ...]) -> RevocationLists:
        with self._in_thread:
            lists = RevocationLists.of((*self._parsed(registry), *self._files.read()))
            self._known = {der: self._known[der] for der in registry}
        return self._current if set(lists.lists) == set(self._current.lists) else lists

    def _parsed(self, registry: tuple[bytes, ...]) -> Iterator[RevocationList]:
        for der in registry:
            if der not in self._known:
                self._known[der] = _parse(der)
            if (found := self._known[der]) is not None:
                yield found


def _parse(der: bytes) -> RevocationList | None:
    try:
        return RevocationList.from_der(der)
    except RevocationListError as error:
        _LOG.error("revocation lists: one of the registry: %s", error)
        return None
