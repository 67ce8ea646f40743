"""Which client of a guarded issuer a subject belongs to, where policies let clients of several namespaces claim it.

Owns an index over what events show: who is registered with a subject keeps it while it stays written and the registration
is there, else the older object has it. The registry refuses the later one as well, but only when it has its certificate,
and with that it could be the other client. Whether policies allow it the subject is not known here. Pure but for what it
remembers. Neighbours: `owner` asks;
`admission.claimants` reads a client's object.
"""

from collections.abc import Collection, Iterable

from holdfast.x509.subject import SubjectRule
from holdfast_operator.admission.claimants import claimant_of, key_of
from holdfast_operator.reconcile.names import mapping
from holdfast_operator.reconcile.ports import Key, Kind, Object

_Claim = tuple[str, str, str]
"""Issuer, kind and canonical value of a subject."""
_Rank = tuple[bool, str, Key]
"""Sorts first who has the subject."""


class Holders:
    """Belongs to one event loop. `issuers`: names of the guarded ClusterIssuers."""

    def __init__(self, issuers: Collection[str]) -> None:
        self._issuers = issuers
        self._claim_of: dict[Key, _Claim] = {}
        self._ranks: dict[_Claim, dict[Key, _Rank]] = {}
        self._shown: set[Key] | None = None
        """Clients that an event has shown since a listing began; None: none is under way."""

    def begin_listing(self) -> None:
        """From now on what events show is newer than what the listing will."""
        self._shown = set()

    def take_in(self, listed: Iterable[Object]) -> None:
        """All clients, as the listing that began last has them."""
        shown, self._shown = self._shown or set(), None
        for client in listed:
            if key_of(client) not in shown:
                self.observe(client)

    def observe(self, client: Object, *, deleted: bool = False) -> None:
        """Take in an event of an OAuthClient. Never raises."""
        key, claim = key_of(client), None if deleted else self._claim(client)
        if self._shown is not None:
            self._shown.add(key)
        before = self._claim_of.get(key)
        held = before is not None and before == claim and self.is_registered(key)
        self._drop(key)
        if claim is not None:
            keeps = held and bool(mapping(client.get("status")).get("registration"))
            waits = not (keeps or claimant_of(client).holds)
            self._claim_of[key] = claim
            self._ranks.setdefault(claim, {})[key] = (waits, str(client["metadata"].get("creationTimestamp")), key)

    def is_registered(self, key: Key) -> bool:
        """Whether that client is registered with the subject that it writes."""
        claim = self._claim_of.get(key)
        return claim is not None and not self._ranks[claim][key][0]

    def before(self, client: Object, issuer: str, subject: SubjectRule) -> list[Key]:
        """Who else writes the subject and comes before this client, the first one first; of any namespace."""
        ranks = self._ranks.get((issuer, subject.kind.value, subject.canonical), {})
        own = key_of(client)
        ranked = sorted(ranks, key=ranks.__getitem__)
        return ranked[: ranked.index(own)] if own in ranks else ranked

    def _claim(self, client: Object) -> _Claim | None:
        found = claimant_of(client)
        kind, name = found.issuer or (Kind.ISSUER, "")
        if found.subject is None or kind is not Kind.CLUSTER_ISSUER or name not in self._issuers:
            return None
        return name, found.subject.kind.value, found.subject.canonical

    def _drop(self, key: Key) -> None:
        claim = self._claim_of.pop(key, None)
        if claim is not None:
            del self._ranks[claim][key]
            if not self._ranks[claim]:
                del self._ranks[claim]
