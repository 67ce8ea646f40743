"""The deny-list: what an API that checks tokens by itself cannot see in them, as one signed document for all to keep.

Owns what enters it and when it is signed anew. Says of all tokens what `introspection.py` says of one. Neighbours:
`holdfast.oauth.deny_list` (the members and their meaning), `holdfast.resource_server.deny_list` (the reader).
"""

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from holdfast.oauth.deny_list import TYPE, DenyList, entry
from holdfast_authserver.compact_json import encode
from holdfast_authserver.endpoints.answer import Answer, Document
from holdfast_authserver.endpoints.context import EndpointContext
from holdfast_authserver.endpoints.received import Received
from holdfast_authserver.keys.signing_key import SigningKey
from holdfast_authserver.registry.revoked_tokens import LONGEST_TOKEN
from holdfast_authserver.registry.snapshot import Snapshot
from holdfast_authserver.registry.tenure import free_from

_MAX_AGE = 2  # seconds a cache may keep it; an API asks every five
_LIVES = 600  # seconds from signature to `exp`
_RENEWED = 300  # seconds before `exp`, so that a list at hand is good for as long again
_MAX_TOKENS = 150_000  # entries of 25 bytes; the reader takes 8 MiB, the registry names 100,000 (`Bounds.total`)
_SMALL = 2_000  # tokens and clients; a larger list takes longer than any other request may wait
_PAUSE = timedelta(seconds=0.5)  # between two larger lists, each of which costs up to half a second of the processor


@dataclass(frozen=True, slots=True)
class _Signed:
    """`state`: instance and revision of the registry, and the key, that it was made from. `next`: not before then."""

    state: tuple[str, int, str]
    content: DenyList
    document: Document
    made: datetime
    next: datetime


@dataclass(frozen=True, slots=True)
class _Facts:
    """All that a list is made from, so that it can be made in a thread."""

    issuer: str
    snapshot: Snapshot
    revoked: list[str]
    revoked_before: Mapping[str, int]
    key: SigningKey
    at: datetime

    @property
    def state(self) -> tuple[str, int, str]:
        return self.snapshot.instance, self.snapshot.revision, self.key.kid

    @property
    def small(self) -> bool:
        return len(self.revoked) + len(self.snapshot.clients) <= _SMALL


class DenyListDocument:
    """GET /oauth2/deny-list. Read by anybody; entries are hashes. Signed only when something has changed."""

    def __init__(self, context: EndpointContext) -> None:
        self._context = context
        self._signed: _Signed | None = None
        self._hashes: dict[str, str] = {}
        self._making = asyncio.Lock()

    async def __call__(self, received: Received) -> Answer:
        """Raises TemporarilyUnavailable: no key, or a registry that has not been confirmed yet."""
        self._context.check_hold()
        signed = self._kept(self._context.clock())
        if signed is None:
            signed = await self._make()
        return signed.document.answer(received.header(b"if-none-match"))

    def _kept(self, at: datetime) -> _Signed | None:
        """The list at hand, if it says what there is to say. Raises TemporarilyUnavailable."""
        old, snapshot, key = self._signed, self._context.keeper.snapshot, self._context.signing_key()
        if old is None or not _lives(old, at):
            return None
        if old.made <= at < old.next and (snapshot.instance, key.kid) == (old.state[0], old.state[2]):
            return old
        return old if old.state == (snapshot.instance, snapshot.revision, key.kid) else None

    async def _make(self) -> _Signed:
        """One at a time; whoever asks meanwhile gets the same."""
        async with self._making:
            at = self._context.clock()
            signed = self._kept(at)
            if signed is None:
                facts = self._facts(at)
                signed = self._sign(facts) if facts.small else await asyncio.to_thread(self._sign, facts)
                self._signed = signed
        return signed

    def _facts(self, at: datetime) -> _Facts:
        keeper = self._context.keeper
        revoked, before = keeper.revoked.live(at), keeper.revoked.before
        return _Facts(self._context.urls.issuer, keeper.snapshot, revoked, before, self._context.signing_key(), at)

    def _sign(self, facts: _Facts) -> _Signed:
        content, old, key = self._content(facts), self._signed, facts.key
        next_one = facts.at if facts.small else facts.at + _PAUSE
        if old is not None and _lives(old, facts.at) and old.state[2] == key.kid and _same(content, old.content):
            return replace(old, state=facts.state, made=facts.at, next=next_one)
        payload = encode(content.to_json())
        # A signature differs each time, the content does not: weak, so that all workers agree on it.
        tag = b'W/"%s"' % hashlib.sha256(key.kid.encode() + payload).hexdigest()[:32].encode()
        body = key.sign(payload, typ=TYPE).encode()
        document = Document.of(body, b"application/jwt", max_age=_MAX_AGE, etag=tag)
        return _Signed(facts.state, content, document, facts.at, next_one)

    def _content(self, facts: _Facts) -> DenyList:
        """`iat` is the beginning of a period, so that workers that see the same make the same."""
        now = int(facts.at.timestamp())
        begun = now - now % _RENEWED
        hashes, snapshot = self._hashes, facts.snapshot
        self._hashes = {jti: hashes.get(jti) or entry(jti) for jti in facts.revoked[:_MAX_TOKENS]}
        return DenyList(
            iss=facts.issuer,
            iat=begun,
            exp=begun + _LIVES,
            valid_from=int(snapshot.instance_created.timestamp()),
            tokens=frozenset(self._hashes.values()),
            clients=_clients(facts),
            certificates=frozenset(map(entry, snapshot.denied_thumbprints)),
            complete=len(facts.revoked) <= _MAX_TOKENS,
        )


def _lives(signed: _Signed, at: datetime) -> bool:
    return signed.content.iat <= at.timestamp() < signed.content.exp - _RENEWED


def _same(one: DenyList, other: DenyList) -> bool:
    """But for a token that has ended meanwhile: that it is still named does no harm."""
    return replace(one, iat=other.iat, exp=other.exp) == other


def _clients(facts: _Facts) -> Mapping[str, int | None]:
    """By hash; whoever lost tokens in several ways lost all that any of them takes."""
    found: dict[str, int | None] = dict(facts.revoked_before)
    for client_id, before in _denied_clients(facts.snapshot, facts.at):
        known = found.get(client_id, 0)
        found[client_id] = None if before is None or known is None else max(before, known)
    return MappingProxyType({entry(client_id): before for client_id, before in found.items()})


def _denied_clients(snapshot: Snapshot, at: datetime) -> Iterator[tuple[str, int | None]]:
    """Who lost its tokens: all of them while suspended or denied, those of earlier when the id has changed hands.

    A client that is new is listed for a day as well, since nobody knows any more whether its id was somebody's before.
    """
    lately = at - LONGEST_TOKEN
    for client_id, left in snapshot.departed.items():
        yield client_id, int(free_from(left).timestamp())
    for client_id, client in snapshot.clients.items():
        if client.metadata.suspended or not client.decision.allowed:
            yield client_id, None
        elif client.since > lately:
            yield client_id, int(client.since.timestamp())
