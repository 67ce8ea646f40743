"""A generation: one certificate with its key, the TLS contexts that show it, and the token that is bound to it.

Owns nothing that changes. Rotation makes another generation; nobody ever replaces a part of one.
"""

import itertools
import ssl
from dataclasses import dataclass, field
from datetime import datetime

from holdfast.client.identity import Identity, IdentityFiles, Stamp, read_ca

_numbers = itertools.count(1)


@dataclass(frozen=True, eq=False)
class Generation:
    """`number` grows with every generation of this process. `stamp`: of the files it was read from."""

    identity: Identity
    stamp: Stamp | None
    token_context: ssl.SSLContext
    api_context: ssl.SSLContext
    number: int = field(default_factory=lambda: next(_numbers))

    @classmethod
    def read(cls, files: IdentityFiles) -> "Generation":
        """Raises IdentityError."""
        # The stamp first: a change during the reading is then seen as one afterwards.
        stamp, identity = files.stamp(), files.read()
        trust, api_trust = read_ca(files.ca), read_ca(files.api_ca or files.ca)
        return cls(identity, stamp, identity.context(trust), identity.context(api_trust))


@dataclass(frozen=True, slots=True)
class BoundToken:
    """An access token, opaque to us. It is renewed from `renew_at` on and not used after `expires_at` (aware UTC)."""

    value: str = field(repr=False)
    renew_at: datetime
    expires_at: datetime
    scope: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """A token with the generation it was fetched by. What is sent is always one of these as a whole."""

    generation: Generation
    token: BoundToken
