"""`tls_client_auth` (RFC 8705 section 2.1): a path to an anchor pinned for this client, and the one registered subject.

Verdicts are remembered by certificate and client. One holds only as long as what it was made from is still what is
served: the very record of the client (with its policy and anchors), the set of denied certificates, where the policy asks
for revocation the set of lists, and the time window of the path. Neighbours: `tls_judgement` judges,
`revocation_source` keeps the lists, `tls_explanation` shows a judgement step by step.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from holdfast.oauth.errors import InvalidClient, OAuthError, TemporarilyUnavailable
from holdfast.oauth.refusal import Refusal
from holdfast.policy.model import RevocationMode
from holdfast.x509.explain import Step
from holdfast.x509.revocation_standing import RevocationLists
from holdfast_authserver.client_authentication.presented import PresentedCredentials
from holdfast_authserver.client_authentication.proof import Proof
from holdfast_authserver.client_authentication.revocation_source import RevocationSource
from holdfast_authserver.client_authentication.tls_explanation import explain
from holdfast_authserver.client_authentication.tls_judgement import Accepted, judge
from holdfast_authserver.registry.snapshot import ServedClient, Snapshot
from holdfast_authserver.transport.presented import PresentedChain

__all__ = ["NAME", "Step", "TlsClientAuth", "explain"]

NAME = "tls_client_auth"
_MAX_VERDICTS = 8192  # about 8 MB at worst: certificates are remembered by digest, reasons are cut short
_REFUSAL_HOLDS = timedelta(seconds=10)  # so that a storm of bad requests costs no path validation each
_NO_LISTS = RevocationLists.of(())


class Record(Protocol):
    """Writes a line to the audit log."""

    def __call__(self, event: str, decision: str, **members: object) -> None: ...


@dataclass(frozen=True, slots=True)
class _Verdict:
    """`lists` None: no list had a say. `refusal` None: accepted."""

    client: ServedClient
    denied: frozenset[str]
    lists: RevocationLists | None
    valid_from: datetime
    valid_until: datetime
    expires: datetime
    refusal: Callable[[], OAuthError] | None


class TlsClientAuth:
    """The method, with the verdicts it remembers.

    `snapshot`: what is served now. `skew`: how far ahead an issuer's clock may be. `record`: told of certificates that
    passed although their standing is unknown (policy `SoftFail`).
    """

    def __init__(
        self, snapshot: Callable[[], Snapshot], revocation: RevocationSource, record: Record, *, skew: timedelta
    ) -> None:
        self._snapshot = snapshot
        self._revocation = revocation
        self._record = record
        self._skew = skew
        self._denied: frozenset[str] = frozenset()
        self._verdicts: dict[tuple[str, bytes], _Verdict] = {}

    async def verify(self, client: ServedClient, presented: PresentedCredentials, at: datetime) -> Proof:
        """Raises InvalidClient, TemporarilyUnavailable (M-22)."""
        chain = presented.chain
        if chain is None:
            raise InvalidClient("no client certificate on the connection", reason=Refusal.NO_CERTIFICATE)
        lists = None
        if client.policy.revocation is not RevocationMode.DISABLED:
            wanted = self._snapshot().revocation_lists
            # Asked only where something changed, since most requests find all as it was.
            lists = self._revocation.ready(wanted, at) or await self._revocation.load(wanted, at)
        verdict = self._verdict(client, chain, lists, at)
        if verdict.refusal is not None:
            raise verdict.refusal()
        # A list may be loaded anew, or grow too old, without any change of the registry.
        return Proof(verdict.expires, verdict.valid_until if lists is None else None)

    def _verdict(self, client: ServedClient, chain: PresentedChain, lists: RevocationLists | None, at: datetime) -> _Verdict:
        denied = self._current_denied()
        key = (client.metadata.client_id, chain.digest)
        verdict = self._verdicts.get(key)
        if (
            verdict is not None
            and verdict.client is client
            and verdict.denied is denied
            and verdict.lists is lists
            and verdict.valid_from <= at <= verdict.valid_until
        ):
            return verdict
        return self._remember(key, self._judge(client, chain, denied, lists, at))

    def _current_denied(self) -> frozenset[str]:
        """The same object as long as the set is the same: a snapshot brings a new one with every change of anything."""
        now = self._snapshot().denied_thumbprints
        if now is not self._denied and now != self._denied:
            self._denied = now
        return self._denied

    def _judge(
        self,
        client: ServedClient,
        chain: PresentedChain,
        denied: frozenset[str],
        lists: RevocationLists | None,
        at: datetime,
    ) -> _Verdict:
        try:
            found = judge(client, chain.ders, at=at, skew=self._skew, denied=denied, lists=lists or _NO_LISTS)
        except OAuthError as error:
            return _Verdict(client, denied, lists, at, at + _REFUSAL_HOLDS, at, _again(error))
        if found.unknown is not None:
            self._tell(client, chain, found)
        return _Verdict(client, denied, lists, found.valid_from, found.valid_until, found.expires, None)

    def _tell(self, client: ServedClient, chain: PresentedChain, found: Accepted) -> None:
        self._record(
            "revocation.unknown",
            os.urandom(8).hex(),
            client_id=client.metadata.client_id,
            thumbprint=chain.thumbprint,
            reason=found.unknown,
        )

    def _remember(self, key: tuple[str, bytes], verdict: _Verdict) -> _Verdict:
        self._verdicts.pop(key, None)
        if len(self._verdicts) >= _MAX_VERDICTS:
            del self._verdicts[next(iter(self._verdicts))]
        self._verdicts[key] = verdict
        return verdict


def _again(error: OAuthError) -> Callable[[], OAuthError]:
    """Makes the error anew for each request: one that is kept would keep the first request alive with it."""
    if isinstance(error, TemporarilyUnavailable):
        return partial(TemporarilyUnavailable, error.detail, retry_after=error.retry_after, reason=error.reason)
    return partial(InvalidClient, error.detail, reason=error.reason)
