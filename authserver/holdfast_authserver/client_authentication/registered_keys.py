"""The keys that a client has registered: by value (`jwks`) or by reference (`jwks_uri`), which nobody else has to know.

Owns when a set that was fetched is looked at again: once more where it lacks what a request names (M-42). Neighbours:
`jwks_cache` fetches; `self_signed_tls_client_auth` and `private_key_jwt` say what they look for.
"""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from holdfast.oauth.errors import InvalidClient
from holdfast.oauth.jwks import Jwk
from holdfast.oauth.refusal import Refusal
from holdfast_authserver.client_authentication.jwks_cache import JwksCache, KeysUnavailable
from holdfast_authserver.registry.snapshot import ServedClient

Found = TypeVar("Found")
Pick = Callable[[tuple[Jwk, ...]], Found | None]


class RegisteredKeys:
    """Shared by the methods that know a client by its keys."""

    def __init__(self, fetched: JwksCache) -> None:
        self._fetched = fetched

    async def find(self, client: ServedClient, pick: Pick[Found], at: datetime) -> Found | None:
        """What `pick` finds among the client's keys; None when it finds nothing. Raises InvalidClient: there are none."""
        metadata = client.metadata
        if metadata.jwks is not None:
            return pick(metadata.jwks)
        if metadata.jwks_uri is None:
            raise InvalidClient("the client has neither jwks nor jwks_uri", reason=Refusal.KEYS_UNAVAILABLE)
        try:
            found = pick(await self._fetched.current(metadata, at))
            if found is None:
                found = pick(await self._fetched.refreshed(metadata, at))
        except KeysUnavailable as error:
            raise InvalidClient(f"jwks_uri: {error}", reason=Refusal.KEYS_UNAVAILABLE) from error
        return found

    async def close(self) -> None:
        """End the fetches that are going on."""
        await self._fetched.close()
