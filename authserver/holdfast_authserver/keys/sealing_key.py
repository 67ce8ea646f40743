"""One key that seals: opaque tokens that hold what they say, readable by nobody but the servers of one registry.

Owns the form of such a token: prefix, then base64url of key id, nonce, ciphertext and tag. The cipher is XAES-256-GCM
(https://c2sp.org/XAES-256-GCM): AES-256-GCM under a key that is derived anew for each nonce of 192 bits, so that random
nonces stay safe at any rate of tokens; plain AES-GCM would not over a month. Knows no claims: `tokens.py`.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from holdfast.base64url import from_base64url, to_base64url

ALGORITHM = "XAES-256-GCM"
PREFIX = "hfat_"
"""Tells an opaque access token of this server from a JWT, and a secret scanner what it has found."""
KEY_SIZE = 32
_KID = 12  # octets; random, so that a stranger's token names no key of ours by accident
_NONCE = 24
_TAG = 16
_ZERO = bytes(16)


class SealingKey:
    """`kid`: 12 octets in base64url. `instance` is bound in: another registry's token does not open."""

    __slots__ = ("_associated", "_prefix", "_root", "_subkey", "kid")

    def __init__(self, kid: str, secret: bytes, instance: str) -> None:
        self.kid = kid
        self._root = Cipher(algorithms.AES256(secret), modes.ECB())  # noqa: S305 - single blocks of a key derivation
        self._subkey = _doubled(self._encrypt(_ZERO))
        self._prefix = from_base64url(kid.encode())
        self._associated = f"{PREFIX}\n{instance}\n{kid}".encode()

    @staticmethod
    def generate() -> tuple[str, bytes]:
        """A new key's id and secret."""
        return to_base64url(os.urandom(_KID)).decode(), os.urandom(KEY_SIZE)

    def seal(self, plaintext: bytes) -> str:
        nonce = os.urandom(_NONCE)
        sealed = self.cipher(nonce[:12]).encrypt(nonce[12:], plaintext, self._associated)
        return PREFIX + to_base64url(self._prefix + nonce + sealed).decode("ascii")

    def unseal(self, body: bytes) -> bytes | None:
        """What was sealed. `body`: nonce, ciphertext and tag as `parts` gave them."""
        try:
            return self.cipher(body[:12]).decrypt(body[12:_NONCE], body[_NONCE:], self._associated)
        except InvalidTag:
            return None

    def cipher(self, first_half: bytes) -> AESGCM:
        """AES-256-GCM under the key that belongs to the first half of the nonce (CMAC in counter mode, SP 800-108)."""
        blocks = (b"\0" + bytes([counter]) + b"X\0" + first_half for counter in (1, 2))
        masked = b"".join((int.from_bytes(block, "big") ^ self._subkey).to_bytes(16, "big") for block in blocks)
        return AESGCM(self._encrypt(masked))

    def _encrypt(self, blocks: bytes) -> bytes:
        return self._root.encryptor().update(blocks)

    def __repr__(self) -> str:
        return f"SealingKey({self.kid})"


def _doubled(block: bytes) -> int:
    """The block times x in GF(2^128), which is CMAC's subkey for whole blocks (RFC 4493 section 2.3)."""
    number = int.from_bytes(block, "big") << 1
    return number ^ 0x87 ^ (1 << 128) if number >> 128 else number


def parts(token: str) -> tuple[str, bytes] | None:
    """Key id and the rest of a token that may be sealed; None where its form is another. One text for one token."""
    if not token.startswith(PREFIX):
        return None
    try:
        raw = from_base64url(token[len(PREFIX) :].encode("ascii"))
    except ValueError:
        return None
    if len(raw) < _KID + _NONCE + _TAG:
        return None
    return to_base64url(raw[:_KID]).decode(), raw[_KID:]
