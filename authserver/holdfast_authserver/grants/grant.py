"""What every grant is given and answers with, and the table of grant types."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from holdfast.oauth.messages import TokenRequest
from holdfast_authserver.client_authentication.authenticate import AuthenticatedClient
from holdfast_authserver.registry.snapshot import Snapshot


class GrantContext(NamedTuple):
    """What a grant may look at beside client and request. `default_lifetime`: seconds, for a client that does not say.

    Not the time: what is granted may be remembered (`endpoints/repeats.py`).
    """

    snapshot: Snapshot
    issuer: str
    default_lifetime: int


class Granted(NamedTuple):
    """What the token shall say. `lifetime`: seconds, where the certificate lives longer.

    `bound`: to the certificate of this connection.
    """

    audience: str
    scope: tuple[str, ...]
    lifetime: int
    bound: bool


Grant = Callable[[AuthenticatedClient, TokenRequest, GrantContext], Granted]
"""Raises an OAuthError when there is nothing to grant."""

Grants = Mapping[str, Grant]
