"""The form in which a server kept its one key before there were rings: `signing-INSTANCE.pem`, ES256, not encrypted.

Owns reading it. A server that is upgraded goes on with that key, so that no token ends early.
"""

from dataclasses import replace
from datetime import datetime

from cryptography.hazmat.primitives import serialization

from holdfast_authserver.keys.algorithms import ALGORITHMS
from holdfast_authserver.keys.book import KeyBook, KeyRecord, pkcs8
from holdfast_authserver.keys.signing_key import SigningKey

_ALGORITHM = "ES256"


def with_earlier(book: KeyBook, pem: bytes, at: datetime) -> KeyBook:
    """`book` with that key as one that is in use from now on, unless it is there, or was retired. Raises ValueError."""
    try:
        private = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        raise ValueError("expected an unencrypted PEM key; move the file away to start a new one") from None
    key = SigningKey(_ALGORITHM, ALGORITHMS[_ALGORITHM].of(private))
    if key.kid in {*(known.kid for known in book.keys), *(retired.kid for retired in book.retired)}:
        return book
    record = KeyRecord(kid=key.kid, algorithm=_ALGORITHM, created_at=at, active_from=at, secret=pkcs8(private))
    return replace(book, keys=(*book.keys, record))
