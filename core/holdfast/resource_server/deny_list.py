"""The issuer's deny-list, fetched when it is due and kept: what was revoked reaches an API that checks tokens by itself.

Owns when to fetch, whether what came may be believed, and when it is too old to mean anything. Neighbours:
`holdfast.oauth.deny_list` (the document), `jwks` (the keys it is signed with), `verifier` (asks for each token).

    verifier = TokenVerifier(expected, jwks, deny_list=True)
"""

import json
import logging
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import httpx

from holdfast.clock import Clock, system_clock
from holdfast.oauth.deny_list import TYPE, DenyList, DenyListError
from holdfast.resource_server.download import Downloaded, DownloadError, check_https, download
from holdfast.resource_server.errors import DenyListUnavailable, InvalidToken, IssuerUnavailable
from holdfast.resource_server.jwks import JwksCache
from holdfast.resource_server.single_flight import SingleFlight
from holdfast.resource_server.verification import key_id, verified_payload

_LOG = logging.getLogger(__name__)
_MAX_BODY = 8 * 1024 * 1024  # bytes; the server ends its list at 100,000 tokens, which is half of that
_LEEWAY = timedelta(seconds=30)  # by which the issuer's clock may differ from ours
_EPOCH = datetime.min.replace(tzinfo=UTC)


class WhenTooOld(StrEnum):
    """What to do while there is no list that is young enough."""

    REFUSE = "Refuse"
    """503 for every token: nobody can say which of them were revoked."""
    ACCEPT = "Accept"
    """Take tokens without asking, as if there were no deny-list, and log it once for as long as it lasts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DenyListRules:
    """When to fetch. `fresh`: a list this old is fetched anew while requests go on being judged by it.

    `waited`: for one older than this, a request waits until a fetch is done. `max_age`: an older one is not used.
    `pause`: the least time between two fetches. `timeout`: seconds for one fetch.
    """

    fresh: timedelta = timedelta(seconds=5)
    waited: timedelta = timedelta(seconds=15)
    max_age: timedelta = timedelta(minutes=1)
    pause: timedelta = timedelta(seconds=1)
    timeout: float = 5.0
    when_too_old: WhenTooOld = WhenTooOld.REFUSE


class _Held(NamedTuple):
    document: DenyList
    etag: str | None


class DenyListCache:
    """The list of one issuer. Safe to share between threads, and between tasks of an asyncio loop."""

    def __init__(
        self,
        url: str,
        issuer: str,
        jwks: JwksCache,
        *,
        context: ssl.SSLContext | None = None,
        clock: Clock = system_clock,
        rules: DenyListRules = DenyListRules(),
    ) -> None:
        """`url`: the issuer's `deny_list_uri`, https. `context` None: as the keys are fetched."""
        self._url = check_https(url)
        self._issuer = issuer
        self._jwks = jwks
        self._context = context or jwks.context
        self._clock = clock
        self._rules = rules
        self._flight = SingleFlight(self._refresh, "holdfast-deny-list")
        self._held: _Held | None = None
        self._current = self._tried = _EPOCH
        self._told = False

    def current(self) -> DenyList | None:
        """The list to judge by; None: judge without one. Raises DenyListUnavailable."""
        if self._due():
            self._flight.run(wait=self._age() > self._rules.waited)
        return self._usable()

    async def acurrent(self) -> DenyList | None:
        """As `current`, for asyncio."""
        if self._due():
            await self._flight.arun(wait=self._age() > self._rules.waited)
        return self._usable()

    def _age(self) -> timedelta:
        """Since the issuer last said that this is its list."""
        return self._clock() - self._current

    def _due(self) -> bool:
        return self._age() >= self._rules.fresh and self._clock() - self._tried >= self._rules.pause

    def _usable(self) -> DenyList | None:
        now, held = self._clock(), self._held
        if held is not None and now - self._current <= self._rules.max_age and now.timestamp() < held.document.exp:
            if held.document.complete:
                self._told = False
                return held.document
            self._go_without("holds less than there is to name")
        else:
            self._go_without("was never fetched" if held is None else f"is older than {self._rules.max_age}")
        return None

    def _go_without(self, why: str) -> None:
        if self._rules.when_too_old is WhenTooOld.REFUSE:
            raise DenyListUnavailable(f"the deny-list of {self._url} {why}")
        if not self._told:
            self._told = True
            _LOG.error("the deny-list of %s %s: revoked tokens are accepted until it is back", self._url, why)

    def _refresh(self) -> None:
        """Replace the list, confirm it, or keep it and say why."""
        began = self._clock()
        if not self._due():
            return
        try:
            self._take(self._download(), began)
        except (httpx.HTTPError, DownloadError, DenyListError, InvalidToken, IssuerUnavailable) as error:
            _LOG.warning("no newer deny-list from %s: %s: %s", self._url, type(error).__name__, error)
        # Only now: until the outcome is there, whoever has no list that counts has to wait for it.
        self._tried = self._clock()

    def _download(self) -> Downloaded:
        return download(
            self._url,
            context=self._context,
            timeout=self._rules.timeout,
            limit=_MAX_BODY,
            accept="application/jwt",
            etag=None if self._held is None else self._held.etag,
        )

    def _take(self, found: Downloaded, began: datetime) -> None:
        if found.body is not None:
            self._held = _Held(self._read(found.body, began), found.etag)
        elif self._held is not None and began.timestamp() >= self._held.document.exp:
            self._held = None  # the next fetch asks for the whole of it
            raise DenyListError("exp: not modified, and the list at hand has expired")
        self._current = began

    def _read(self, body: bytes, now: datetime) -> DenyList:
        """Signature, type, issuer and age. Raises InvalidToken, DenyListError, KeysUnavailable."""
        token = body.decode("ascii", "replace").strip()
        keys = self._jwks.keys(key_id(token, limit=_MAX_BODY))
        payload = verified_payload(token, keys, typ=TYPE, limit=_MAX_BODY)
        try:
            document = DenyList.from_json(json.loads(payload))
        except (ValueError, RecursionError) as error:
            raise error if isinstance(error, DenyListError) else DenyListError("expected JSON") from error
        if document.iss != self._issuer:
            raise DenyListError(f"iss: expected {self._issuer!r}, found {document.iss!r:.200}")
        if document.iat > (now + _LEEWAY).timestamp() or document.exp <= now.timestamp():
            raise DenyListError(f"iat, exp: expected a list of now, found one from {document.iat} to {document.exp}")
        return document
