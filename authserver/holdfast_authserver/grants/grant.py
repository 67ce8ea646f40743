"""What every grant is given and answers with, and the table of grant types."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from holdfast.oauth.messages import TokenRequest
from holdfast_authserver.client_authentication.authenticate import AuthenticatedClient
from holdfast_authserver.registry.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantContext:
    """The moment of a request. `default_lifetime`: seconds, for a client that does not say."""

    snapshot: Snapshot
    issuer: str
    default_lifetime: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What the token shall say. `lifetime`: seconds. `bound`: to the certificate of this connection."""

    audience: str
    scope: tuple[str, ...]
    lifetime: int
    bound: bool


Grant = Callable[[AuthenticatedClient, TokenRequest, GrantContext], Granted]
"""Raises an OAuthError when there is nothing to grant."""

Grants = Mapping[str, Grant]
