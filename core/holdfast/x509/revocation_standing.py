"""Whether a certificate was revoked, by revocation lists that somebody has brought (RFC 5280 sections 5 and 6.3).

Owns which list counts for which issuer and moment, and the verdict. Nothing is ever fetched: a URL in a certificate is
never followed. Time is an argument. Must not know policies: what an unknown standing means is the caller's.
Neighbours: `revocation_list` reads one list, `certificate`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from holdfast.x509.certificate import Certificate
from holdfast.x509.leaf import key_usage
from holdfast.x509.revocation_list import RevocationList


@dataclass(frozen=True, slots=True)
class Good:
    """No certificate of the path is revoked. Holds until the first of the lists that say so ends."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Revoked:
    """`reason`: the name RFC 5280 section 5.3.1 gives it, `unspecified` where the list has none."""

    subject: str
    serial: int
    date: datetime
    reason: str

    def __str__(self) -> str:
        return f"{self.subject!r} (serial {self.serial:x}) was revoked at {self.date:%Y-%m-%dT%H:%M:%SZ}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Unknown:
    """No list that counts covers some certificate of the path."""

    reason: str


Standing = Good | Revoked | Unknown


@dataclass(frozen=True)
class RevocationLists:
    """A set of lists, by issuer. Never changes: another set is another value."""

    lists: tuple[RevocationList, ...]
    _by_issuer: Mapping[str, tuple[RevocationList, ...]]

    @classmethod
    def of(cls, lists: Iterable[RevocationList]) -> "RevocationLists":
        by_issuer: dict[str, tuple[RevocationList, ...]] = {}
        kept = tuple({found.der: found for found in lists}.values())
        for found in kept:
            by_issuer[found.issuer.canonical] = (*by_issuer.get(found.issuer.canonical, ()), found)
        return cls(kept, by_issuer)

    def standing(self, path: Sequence[Certificate], *, at: datetime, skew: timedelta) -> Standing:
        """Of a verified path, leaf first and anchor last: every certificate but the anchor is looked for."""
        found = [self._one(certificate, issuer, at, skew) for certificate, issuer in pairwise(path)]
        for kind in (Revoked, Unknown):
            if (worst := next((standing for standing in found if isinstance(standing, kind)), None)) is not None:
                return worst
        return Good(min(standing.until for standing in found if isinstance(standing, Good)))

    def _one(self, certificate: Certificate, issuer: Certificate, at: datetime, skew: timedelta) -> Standing:
        authentic, flaws = self._authentic(issuer)
        begun = [found for found in authentic if found.this_update <= at + skew]
        if not begun:
            flaws += [f"a list begins at {found.this_update:%Y-%m-%dT%H:%M:%SZ} only" for found in authentic]
            return Unknown(f"no list of {issuer.subject.text[:120]!r} counts: {'; '.join(flaws[:3]) or 'there is none'}")
        newest = max(begun, key=_age)
        # Of two that are as new as each other nobody knows which is the later one: what either lists is revoked.
        equals = [found for found in begun if _age(found) == _age(newest)]
        entry = next((entry for found in equals if (entry := found.find(certificate.serial_number))), None)
        if entry is not None:
            # Also by a list that has ended: what was revoked does not come back because nobody brought the next list.
            return Revoked(certificate.subject.text[:120], certificate.serial_number, entry.date, entry.reason)
        if at > newest.next_update + skew:
            return Unknown(f"the list of {issuer.subject.text[:120]!r} ended at {newest.next_update:%Y-%m-%dT%H:%M:%SZ}")
        return Good(newest.next_update + skew)

    def _authentic(self, issuer: Certificate) -> tuple[list[RevocationList], list[str]]:
        """The lists of this very CA that can be used, and why others of its name cannot."""
        authentic, flaws = [], []
        usage = key_usage(issuer)
        for found in self._by_issuer.get(issuer.subject.canonical, ()):
            if usage is not None and not usage.crl_sign:
                flaws.append("its key usage leaves out cRLSign")
            elif (flaw := found.flaw or found.signature_flaw(issuer)) is not None:
                flaws.append(flaw)
            else:
                authentic.append(found)
        return authentic, flaws


def _age(found: RevocationList) -> tuple[datetime, int]:
    """The greater, the newer."""
    return found.this_update, found.number
