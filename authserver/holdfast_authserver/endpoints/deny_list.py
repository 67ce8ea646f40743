"""The deny-list: what an API that checks tokens by itself cannot see in them, as one signed document for all to keep.

Owns what enters it and when it is signed anew. Says of all tokens what `introspection.py` says of one. Neighbours:
`holdfast.oauth.deny_list` (the members and their meaning), `holdfast.resource_server.deny_list` (the reader).
"""

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
from holdfast_authserver.registry.snapshot import Snapshot

_MAX_AGE = 2  # seconds a cache may keep it; an API asks every five
_LIVES = 600  # seconds from signature to `exp`
_RENEWED = 300  # seconds before `exp`, so that a list at hand is good for as long again
_MAX_TOKENS = 100_000  # entries of 25 bytes; the reader takes 8 MiB
_LONGEST_TOKEN = timedelta(hours=24)  # the most the registry lets an access token live


@dataclass(frozen=True, slots=True)
class _Signed:
    """`state`: instance and revision of the registry, and the key, that it was made from."""

    state: tuple[str, int, str]
    content: DenyList
    document: Document


class DenyListDocument:
    """GET /oauth2/deny-list. Read by anybody; entries are hashes. Signed only when something has changed."""

    def __init__(self, context: EndpointContext) -> None:
        self._context = context
        self._signed: _Signed | None = None
        self._hashes: dict[str, str] = {}

    async def __call__(self, received: Received) -> Answer:
        """Raises TemporarilyUnavailable: no key, or a registry that has not been confirmed yet."""
        self._context.check_hold()
        return self._current(self._context.clock()).document.answer(received.header(b"if-none-match"))

    def _current(self, at: datetime) -> _Signed:
        snapshot, key = self._context.keeper.snapshot, self._context.signing_key()
        state, now, old = (snapshot.instance, snapshot.revision, key.kid), int(at.timestamp()), self._signed
        lives = old is not None and old.content.iat <= now < old.content.exp - _RENEWED
        if old is not None and lives and old.state == state:
            return old
        content = self._content(snapshot, at)
        if old is not None and lives and old.state[2] == key.kid and _same(content, old.content):
            self._signed = replace(old, state=state)
            return self._signed
        payload = encode(content.to_json())
        # A signature differs each time, the content does not: weak, so that all workers agree on it.
        tag = b'W/"%s"' % hashlib.sha256(key.kid.encode() + payload).hexdigest()[:32].encode()
        body = key.sign(payload, typ=TYPE).encode()
        document = Document.of(body, b"application/jwt", max_age=_MAX_AGE, etag=tag)
        self._signed = _Signed(state, content, document)
        return self._signed

    def _content(self, snapshot: Snapshot, at: datetime) -> DenyList:
        """`iat` is the beginning of a period, so that workers that see the same make the same."""
        now = int(at.timestamp())
        begun = now - now % _RENEWED
        revoked = [jti for jti, exp in self._context.keeper.revoked_jtis().items() if exp > at]
        hashes = self._hashes
        self._hashes = {jti: hashes.get(jti) or entry(jti) for jti in revoked[:_MAX_TOKENS]}
        return DenyList(
            iss=self._context.urls.issuer,
            iat=begun,
            exp=begun + _LIVES,
            valid_from=int(snapshot.instance_created.timestamp()),
            tokens=frozenset(self._hashes.values()),
            clients=_clients(snapshot, at),
            certificates=frozenset(map(entry, snapshot.denied_thumbprints)),
            complete=len(revoked) <= _MAX_TOKENS,
        )


def _same(one: DenyList, other: DenyList) -> bool:
    """But for a token that has ended meanwhile: that it is still named does no harm."""
    return replace(one, iat=other.iat, exp=other.exp) == other


def _clients(snapshot: Snapshot, at: datetime) -> Mapping[str, int | None]:
    return MappingProxyType({entry(client_id): before for client_id, before in _denied_clients(snapshot, at)})


def _denied_clients(snapshot: Snapshot, at: datetime) -> Iterator[tuple[str, int | None]]:
    """Who lost its tokens: all of them while suspended or denied, those of earlier when the id has changed hands.

    A client that is new is listed for a day as well, since nobody knows any more whether its id was somebody's before.
    """
    lately = at - _LONGEST_TOKEN
    for client_id, left in snapshot.departed.items():
        yield client_id, int(left.timestamp()) + 1
    for client_id, client in snapshot.clients.items():
        if client.metadata.suspended or not client.decision.allowed:
            yield client_id, None
        elif client.since > lately:
            yield client_id, int(client.since.timestamp())
