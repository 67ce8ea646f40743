"""One signing key: its public form, and JWS in compact form with a header that is made once for each kind of token.

Owns the header of what is signed, and that nothing in it is interpreted on the way back. Knows no claims (`tokens.py`),
and neither when the key is in use nor where it is kept (`view`, `ring`).
"""

import hashlib
from typing import Any

from holdfast.base64url import from_base64url, to_base64url
from holdfast_authserver.compact_json import encode
from holdfast_authserver.keys.algorithms import ALGORITHMS, KeyPair

ACCESS_TOKEN = "at+jwt"  # noqa: S105 - the name of a kind
"""`typ` of an access token (RFC 9068 section 2.1)."""


class SigningKeyError(Exception):
    """Keys cannot be read, written, understood or used; names where they are kept, never what they are."""


class SigningKey:
    """A key with its algorithm. `kid` is its thumbprint (RFC 7638); `jwk` its public form (RFC 7517)."""

    __slots__ = ("_headers", "_pair", "algorithm", "jwk", "kid")

    def __init__(self, algorithm: str, pair: KeyPair) -> None:
        members = pair.members
        self.algorithm = algorithm
        self.kid = to_base64url(hashlib.sha256(encode(members)).digest()).decode()
        self.jwk: dict[str, str] = {**members, "kid": self.kid, "use": "sig", "alg": algorithm}
        self._pair = pair
        self._headers: dict[str, bytes] = {}

    @classmethod
    def generate(cls, algorithm: str) -> "SigningKey":
        """A new one. Raises KeyError for an algorithm that tokens are not signed with."""
        return cls(algorithm, ALGORITHMS[algorithm].generate())

    @property
    def pair(self) -> KeyPair:
        """The private half, for the store."""
        return self._pair

    def header(self, typ: str = ACCESS_TOKEN) -> bytes:
        """The encoded header of everything this key signs as `typ`."""
        found = self._headers.get(typ)
        if found is None:
            found = self._headers[typ] = to_base64url(encode({"alg": self.algorithm, "typ": typ, "kid": self.kid}))
        return found

    def sign(self, payload: bytes, *, typ: str = ACCESS_TOKEN) -> str:
        """A JWS in compact form (RFC 7515 section 3.1)."""
        message = self.header(typ) + b"." + to_base64url(payload)
        return (message + b"." + to_base64url(self._pair.sign(message))).decode("ascii")

    def verified_payload(self, token: str, *, typ: str = ACCESS_TOKEN) -> bytes | None:
        """The payload, if this key signed it with exactly the header of `typ`; else None.

        Comparing the whole header leaves nothing to interpret: no other `alg`, no `typ` of another kind of token, no
        `crit`, no key from within (RFC 8725 section 3).
        """
        try:
            header, payload, encoded = token.encode("ascii").split(b".")
            if header != self.header(typ):
                return None
            if not self._pair.verify(from_base64url(encoded), header + b"." + payload):
                return None
            return from_base64url(payload)
        except ValueError:
            return None

    def __repr__(self) -> str:
        return f"SigningKey({self.algorithm} {self.kid})"

    def __reduce__(self) -> Any:
        raise TypeError("a signing key is not copied out of its process")
