"""Which client of a guarded issuer a subject belongs to, where policies let clients of several namespaces claim it.

Owns an index over what events show: who is registered with a subject keeps it while it stays written, else the older object
has it. The registry refuses the later one as well, but only when it has its certificate, and with that it could be the other
client. Pure but for what it remembers. Neighbours: `owner` asks; `admission.claimants` reads a client's object.
"""

from collections.abc import Collection

from holdfast.x509.subject import SubjectRule
from holdfast_operator.admission.claimants import claimant_of, key_of
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

    def observe(self, client: Object, *, deleted: bool = False) -> None:
        """Take in an event of an OAuthClient. Never raises."""
        key, claim = key_of(client), None if deleted else self._claim(client)
        before = self._claim_of.get(key)
        held = before is not None and before == claim and not self._ranks[before][key][0]
        self._drop(key)
        if claim is not None:
            waits = not (held or claimant_of(client).holds)
            self._claim_of[key] = claim
            self._ranks.setdefault(claim, {})[key] = (waits, str(client["metadata"].get("creationTimestamp")), key)

    def rival(self, client: Object, issuer: str, subject: SubjectRule) -> Key | None:
        """The client of another namespace whose subject it is; None: it is this client's, or of another in its namespace."""
        ranks = self._ranks.get((issuer, subject.kind.value, subject.canonical), {})
        first = min(ranks, key=ranks.__getitem__, default=None)
        return first if first is not None and first.namespace != client["metadata"]["namespace"] else None

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
