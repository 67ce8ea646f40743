"""The server's signing key (ES256), and JWS in compact form.

Owns the key files and the header of what is signed. The key belongs to one instance of the registry: a new registry has
lost its deny-list, so it gets a new key, and what the old one signed is no longer ours. Knows no claims: `tokens.py`.
"""

import base64
import hashlib
import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

_SIZE = 32  # octets of r and of s (RFC 7518 section 3.4)
_ES256 = ec.ECDSA(hashes.SHA256())
_INSTANCE = re.compile(r"[A-Za-z0-9_-]{1,64}")  # it becomes part of a file name


class SigningKeyError(Exception):
    """A key file cannot be read, written or understood; names the file, never its content."""


def base64url(data: bytes) -> bytes:
    """Without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One ES256 key. `kid` is its thumbprint (RFC 7638); `header` is the encoded header of every token it signs."""

    private: ec.EllipticCurvePrivateKey
    public: ec.EllipticCurvePublicKey
    jwk: dict[str, str]
    kid: str
    header: bytes

    @classmethod
    def of(cls, private: ec.EllipticCurvePrivateKey) -> "SigningKey":
        """Work out the public form."""
        public = private.public_key()
        numbers = public.public_numbers()
        x, y = (base64url(n.to_bytes(_SIZE, "big")).decode() for n in (numbers.x, numbers.y))
        required = {"crv": "P-256", "kty": "EC", "x": x, "y": y}  # members in the order of RFC 7638 section 3.2
        kid = base64url(hashlib.sha256(_compact(required)).digest()).decode()
        header = base64url(_compact({"alg": "ES256", "typ": "at+jwt", "kid": kid}))
        return cls(private, public, {**required, "kid": kid, "use": "sig", "alg": "ES256"}, kid, header)

    def sign(self, payload: bytes) -> str:
        """A JWS in compact form with the header of an access token."""
        message = self.header + b"." + base64url(payload)
        r, s = decode_dss_signature(self.private.sign(message, _ES256))
        return (message + b"." + base64url(r.to_bytes(_SIZE, "big") + s.to_bytes(_SIZE, "big"))).decode("ascii")

    def verified_payload(self, token: str) -> bytes | None:
        """The payload, if this key signed it with exactly the header above; else None.

        Comparing the whole header leaves nothing to interpret: no other `alg`, no `typ` of another kind of token, no
        `crit`, no key from within (RFC 8725 section 3).
        """
        try:
            header, payload, signature = token.encode("ascii").split(b".")
            raw = base64.b64decode(signature + b"==", altchars=b"-_", validate=True)
            if header != self.header or len(raw) != 2 * _SIZE or base64url(raw) != signature:
                return None
            r, s = (int.from_bytes(half, "big") for half in (raw[:_SIZE], raw[_SIZE:]))
            self.public.verify(encode_dss_signature(r, s), header + b"." + payload, _ES256)
            return base64.b64decode(payload + b"=" * (-len(payload) % 4), altchars=b"-_", validate=True)
        except (ValueError, InvalidSignature):
            return None


def _compact(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


class SigningKeys:
    """The folder of keys. Answers with the key of a registry instance, made when there is none yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._current: tuple[str, SigningKey] | None = None

    def of_instance(self, instance: str) -> SigningKey:
        """The one key that signs and is published while the registry is this instance. Raises SigningKeyError."""
        if self._current is None or self._current[0] != instance:
            self._current = (instance, self._load_or_make(instance))
        return self._current[1]

    def _load_or_make(self, instance: str) -> SigningKey:
        if not _INSTANCE.fullmatch(instance):
            raise SigningKeyError(f"registry instance {instance!r}: expected 1 to 64 letters, digits, - or _")
        path = self._folder / f"signing-{instance}.pem"
        try:
            if not path.exists():
                _write_new_key(path)
            return _read(path)
        except OSError as error:
            raise SigningKeyError(f"{error.filename or path}: {error.strerror}") from error


def _read(path: Path) -> SigningKey:
    try:
        private = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise SigningKeyError(f"{path}: expected an unencrypted PEM key; move the file away to start a new one") from error
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
        raise SigningKeyError(f"{path}: expected a P-256 key")
    return SigningKey.of(private)


def _write_new_key(path: Path) -> None:
    """Whole or not at all; of two servers that start at once, the first one's key stands."""
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # made with mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
        _sync_folder(path.parent)
    finally:
        os.unlink(temporary)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
