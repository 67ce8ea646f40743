"""The book: all keys of one registry instance as one value, and its form as JSON.

One value, because then every change of the keys is one write: whole or not at all, whoever dies in between. Owns what is
written down about a key. Neighbours: `rotation` (how it changes), `envelope` (its encryption), the stores.
"""

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from holdfast_authserver.keys import sealing_key
from holdfast_authserver.keys.algorithms import ALGORITHMS
from holdfast_authserver.keys.sealing_key import SealingKey
from holdfast_authserver.keys.signing_key import SigningKey

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """One key. In use from `active_from` until another of the same algorithm is; known to all since `created_at`.

    `secret`: PKCS #8 in DER for a key that signs, 32 octets for one that seals.
    """

    kid: str
    algorithm: str
    created_at: datetime
    active_from: datetime
    secret: bytes = field(repr=False)

    def signing_key(self) -> SigningKey:
        """Raises ValueError when the secret is none of the algorithm's, or another key's."""
        private = serialization.load_der_private_key(self.secret, None)
        key = SigningKey(self.algorithm, ALGORITHMS[self.algorithm].of(private))
        if key.kid != self.kid:
            raise ValueError(f"key {self.kid}: its secret is another key's")
        return key

    def sealing_key(self, instance: str) -> SealingKey:
        """Raises ValueError when the secret has another length."""
        if len(self.secret) != sealing_key.KEY_SIZE:
            raise ValueError(f"key {self.kid}: expected {sealing_key.KEY_SIZE} octets, found {len(self.secret)}")
        return SealingKey(self.kid, self.secret, instance)

    @property
    def seals(self) -> bool:
        return self.algorithm == sealing_key.ALGORITHM


@dataclass(frozen=True, slots=True)
class RetiredKey:
    """A key that counts no more, kept by name so that it can be told apart from one that never was."""

    kid: str
    algorithm: str
    retired_at: datetime


@dataclass(frozen=True, slots=True)
class KeyBook:
    """`keys` in the order in which they were made."""

    instance: str
    keys: tuple[KeyRecord, ...] = ()
    retired: tuple[RetiredKey, ...] = ()

    def of(self, algorithm: str) -> tuple[KeyRecord, ...]:
        """The keys of one algorithm, in the order of their use."""
        return tuple(sorted((k for k in self.keys if k.algorithm == algorithm), key=lambda k: k.active_from))

    @property
    def algorithms(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(key.algorithm for key in self.keys))


def new_record(algorithm: str, *, created_at: datetime, active_from: datetime) -> KeyRecord:
    """Make a key. Slow for RSA: a tenth of a second and more."""
    if algorithm == sealing_key.ALGORITHM:
        kid, secret = SealingKey.generate()
    else:
        key = SigningKey.generate(algorithm)
        kid, secret = key.kid, pkcs8(key.pair.private)
    return KeyRecord(kid=kid, algorithm=algorithm, created_at=created_at, active_from=active_from, secret=secret)


def pkcs8(private: PrivateKeyTypes) -> bytes:
    return private.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def to_json(book: KeyBook) -> bytes:
    """One text for one book; the private parts are in it."""
    value = {
        "version": VERSION,
        "instance": book.instance,
        "keys": [
            {
                "kid": key.kid,
                "algorithm": key.algorithm,
                "created_at": _micros(key.created_at),
                "active_from": _micros(key.active_from),
                "secret": base64.b64encode(key.secret).decode(),
            }
            for key in book.keys
        ],
        "retired": [{"kid": r.kid, "algorithm": r.algorithm, "retired_at": _micros(r.retired_at)} for r in book.retired],
    }
    return json.dumps(value, separators=(",", ":")).encode()


def from_json(text: bytes) -> KeyBook:
    """The way back. Raises ValueError, which tells nothing of the content."""
    try:
        value = json.loads(text)
        if value["version"] != VERSION:
            raise ValueError("expected version 1 of the form that keys are kept in")
        keys = tuple(_record(item) for item in value["keys"])
        retired = tuple(RetiredKey(i["kid"], i["algorithm"], _moment(i["retired_at"])) for i in value["retired"])
        book = KeyBook(value["instance"], keys, retired)
    except (KeyError, TypeError, AttributeError, RecursionError, OverflowError, json.JSONDecodeError, UnicodeDecodeError):
        raise ValueError("damaged: not the form that keys are kept in") from None
    for key in book.keys:
        if not key.seals and key.algorithm not in ALGORITHMS:
            raise ValueError(f"key {key.kid!r} is for {key.algorithm!r}, expected one of {', '.join(ALGORITHMS)}")
    return book


def _record(item: dict[str, Any]) -> KeyRecord:
    return KeyRecord(
        kid=item["kid"],
        algorithm=item["algorithm"],
        created_at=_moment(item["created_at"]),
        active_from=_moment(item["active_from"]),
        secret=base64.b64decode(item["secret"], validate=True),
    )


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
