"""Revoke a token of a registry under test, and ask for it, by its id alone."""

from datetime import datetime

from holdfast_authserver.registry.keeper import RegistryKeeper
from holdfast_authserver.registry.revoked_tokens import RevokedToken

CLIENT = "shop.orders"
_HOUR = 3600


def token(jti: str, end: datetime, client_id: str = CLIENT) -> RevokedToken:
    """One that was issued an hour before its end."""
    return RevokedToken(jti, client_id, int(end.timestamp()) - _HOUR, end)


async def revoke(keeper: RegistryKeeper, jti: str, end: datetime, client_id: str = CLIENT) -> None:
    await keeper.revoke(token(jti, end, client_id))


def is_revoked(keeper: RegistryKeeper, jti: str) -> bool:
    """By its id, not because it is older than what its client lost."""
    return keeper.revoked.hold(jti, "another.client", 1 << 40)
