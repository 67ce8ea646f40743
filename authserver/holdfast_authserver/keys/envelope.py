"""Encryption of a book of keys at rest: AES-256-GCM under a key that the operator of the server provides.

Owns the form of what a store holds, plain or encrypted, and that nothing is taken for a book but what was written with a
key of ours for the same registry instance. Must not know where it is kept. Neighbours: `book`, `opening` (the settings).
"""

import base64
import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from holdfast.base64url import to_base64url
from holdfast_authserver.keys.book import KeyBook, from_json, to_json

_CIPHER = "A256GCM"
_NONCE = 12
KEY_SIZE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """`key` None: books are kept in the clear. `previous`: read, too. `plain`: one that is not encrypted yet is read, too.

    Where a key is set, a plain book is refused unless `plain` says so: whoever may write to the store could otherwise
    give the server keys of his own.
    """

    key: bytes | None = field(default=None, repr=False)
    previous: bytes | None = field(default=None, repr=False)
    plain: bool = False

    def close(self, book: KeyBook) -> bytes:
        """What a store shall hold."""
        if self.key is None:
            return to_json(book)
        nonce = os.urandom(_NONCE)
        name = key_name(self.key)
        sealed = AESGCM(self.key).encrypt(nonce, to_json(book), _associated(book.instance, name))
        value = {"encryption": _CIPHER, "key": name, "nonce": _text(nonce), "ciphertext": _text(sealed)}
        return json.dumps(value).encode()

    def open(self, value: bytes, instance: str) -> KeyBook:
        """The book. Raises ValueError, which says what is wrong and tells nothing of the content."""
        form = _form(value)
        if "encryption" in form:
            value = self._decrypted(form, instance)
        else:
            self.check_plain()
        book = from_json(value)
        if book.instance != instance:
            raise ValueError(f"holds keys of registry instance {book.instance!r}, expected {instance!r}")
        return book

    def check_plain(self) -> None:
        """Raises ValueError where what is not encrypted must not be read."""
        if self.key is not None and not self.plain:
            raise ValueError("is not encrypted; to have it encrypted, start once with key_encryption_key_previous: none")

    def is_current(self, value: bytes) -> bool:
        """Whether `value`, which was opened, is kept as the settings ask."""
        return _form(value).get("key") == (None if self.key is None else key_name(self.key))

    def _decrypted(self, form: dict[str, Any], instance: str) -> bytes:
        keys = {key_name(key): key for key in (self.key, self.previous) if key is not None}
        name = form.get("key")
        if not keys:
            raise ValueError("is encrypted; set key_encryption_key or key_encryption_key_file")
        if name not in keys:
            raise ValueError(f"is encrypted with another key ({name!r}) than key_encryption_key ({', '.join(keys)})")
        try:
            nonce, sealed = (base64.b64decode(form[member], validate=True) for member in ("nonce", "ciphertext"))
            return AESGCM(keys[name]).decrypt(nonce, sealed, _associated(instance, name))
        except (InvalidTag, KeyError, TypeError, ValueError):
            raise ValueError("damaged, or keys of another registry instance: it cannot be decrypted") from None


def key_name(key: bytes) -> str:
    """Tells keys apart without telling anything of them."""
    return to_base64url(hashlib.sha256(b"holdfast key encryption\0" + key).digest()[:6]).decode()


def _form(value: bytes) -> dict[str, Any]:
    try:
        form = json.loads(value)
    except (ValueError, RecursionError):
        form = None
    if not isinstance(form, dict):
        raise ValueError("damaged: not the form that keys are kept in")
    return form


def _associated(instance: str, name: str) -> bytes:
    """What the ciphertext holds for: one registry instance, under one key."""
    return f"holdfast keys\n{instance}\n{name}".encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
