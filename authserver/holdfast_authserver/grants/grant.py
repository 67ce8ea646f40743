"""What every grant is given and answers with, and the table of grant types."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

from holdfast.oauth.messages import TokenRequest
from holdfast_authserver.client_authentication.authenticate import AuthenticatedClient
from holdfast_authserver.registry.snapshot import Snapshot


class GrantContext(NamedTuple):
    """The moment of a request. `default_lifetime`: seconds, for a client that does not say."""

    snapshot: Snapshot
    issuer: str
    default_lifetime: int
    at: datetime


class Granted(NamedTuple):
    """What the token shall say. `lifetime`: seconds. `bound`: to the certificate of this connection."""

    audience: str
    scope: tuple[str, ...]
    lifetime: int
    bound: bool


Grant = Callable[[AuthenticatedClient, TokenRequest, GrantContext], Granted]
"""Raises an OAuthError when there is nothing to grant."""

Grants = Mapping[str, Grant]
