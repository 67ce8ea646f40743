"""What is denied for every client alike: certificates by thumbprint, and the CRLs that certification authorities signed.

Owns what may be stored, and the statements. Each set is put as a whole, and one digest over both tells a reader whether
anything changed. Whether a CRL is authentic is judged where it is used, by its signature. Neighbours: `writer`, `loading`.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from cryptography import x509
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from holdfast.oauth.client_metadata import Problem
from holdfast.registry.digest import denials_digest
from holdfast.registry.port import RefusalReason, RegistrationRefused
from holdfast_authserver.registry.tables import denied_thumbprints, instance, revocation_lists
from holdfast_authserver.registry.writing import next_revision

_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
"""x5t#S256 (RFC 8705 section 3.1): 32 octets in base64url without padding; the last digit carries four bits."""


@dataclass(frozen=True, slots=True)
class Denials:
    """`thumbprints`: x5t#S256; `crls`: DER, each once, in the order of their digests."""

    thumbprints: frozenset[str] = frozenset()
    crls: tuple[bytes, ...] = ()

    @property
    def digest(self) -> str:
        """Empty when nothing is denied."""
        return denials_digest(self.thumbprints, self.crls)


def check_thumbprints(thumbprints: Iterable[str]) -> None:
    """Raises RegistrationRefused with every problem, by place in the sorted set."""
    _refuse(
        Problem(f"thumbprints[{i}]", f"expected 43 characters of base64url (x5t#S256), found {value[:80]!r}")
        for i, value in enumerate(sorted(thumbprints))
        if not _THUMBPRINT.fullmatch(value)
    )


def check_revocation_lists(crls: Iterable[bytes]) -> None:
    """Raises RegistrationRefused with every problem. Reads each to its end, which takes a while: not in an event loop."""
    _refuse(_crl_problems(crls))


def _crl_problems(crls: Iterable[bytes]) -> Iterator[Problem]:
    for i, der in enumerate(crls):
        try:
            crl = x509.load_der_x509_crl(der)
            _ = crl.issuer, crl.last_update_utc, crl.next_update_utc, crl.extensions
            for entry in crl:
                _ = entry.serial_number, entry.extensions
        except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
            yield Problem(f"crls[{i}]", f"expected a certificate revocation list in DER: {str(error)[:200]}")


def _refuse(found: Iterable[Problem]) -> None:
    problems = tuple(found)
    if problems:
        text = "; ".join(f"{problem.field}: {problem.message}" for problem in problems[:10])
        raise RegistrationRefused(RefusalReason.INVALID_CLIENT_METADATA, text, problems)


async def read_denials(connection: AsyncConnection) -> Denials:
    thumbprints = (await connection.execute(select(denied_thumbprints.c.thumbprint))).scalars()
    crls = (await connection.execute(select(revocation_lists.c.der).order_by(revocation_lists.c.digest))).scalars()
    return Denials(frozenset(thumbprints), tuple(crls))


async def save_denials(connection: AsyncConnection, wanted: Denials) -> None:
    """Replace both sets. The same again is no change and no new revision."""
    stored = await read_denials(connection)
    if stored.digest == wanted.digest:
        return
    if stored.thumbprints != wanted.thumbprints:
        await connection.execute(delete(denied_thumbprints))
        if wanted.thumbprints:
            await connection.execute(insert(denied_thumbprints), [{"thumbprint": t} for t in sorted(wanted.thumbprints)])
    await _save_crls(connection, {sha256(der).hexdigest(): der for der in wanted.crls})
    await connection.execute(update(instance).values(denials=wanted.digest))
    await next_revision(connection)


async def _save_crls(connection: AsyncConnection, wanted: dict[str, bytes]) -> None:
    stored = set((await connection.execute(select(revocation_lists.c.digest))).scalars())
    gone, new = stored - wanted.keys(), wanted.keys() - stored
    if gone:
        await connection.execute(delete(revocation_lists).where(revocation_lists.c.digest.in_(sorted(gone))))
    if new:
        await connection.execute(insert(revocation_lists), [{"digest": d, "der": wanted[d]} for d in sorted(new)])
