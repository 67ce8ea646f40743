"""Ory Hydra's clients, as `hydra list clients --format json` or `GET /admin/clients` give them.

Owns what each member means here. Neighbour: `foreign`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from holdfast_cli.importing.foreign import (
    ForeignClient,
    ForeignServer,
    Members,
    Unreadable,
    leave_audiences,
    leave_grants,
    leave_scopes,
)

_SAYS_NOTHING = (
    *("client_name", "owner", "policy_uri", "tos_uri", "client_uri", "logo_uri", "contacts", "created_at", "updated_at"),
    *("client_secret_expires_at", "registration_client_uri", "subject_type", "metadata", "response_types"),
)
"""For people, or what follows from the grants."""
_SECRETS = ("client_secret", "registration_access_token")
_OF_USERS = (
    *("redirect_uris", "post_logout_redirect_uris", "allowed_cors_origins", "request_uris", "sector_identifier_uri"),
    *("frontchannel_logout_uri", "backchannel_logout_uri"),
)


def read(text: str) -> ForeignServer:
    """Raises Unreadable."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Unreadable(f"expected JSON: {error}") from error
    return ForeignServer(tuple(_client(entry, index) for index, entry in enumerate(_entries(value))))


def _entries(value: Any) -> list[Any]:
    """A list, one client, or what the command prints: an object with the list in `items`."""
    if isinstance(value, Mapping) and isinstance(value.get("items"), list):
        value = value["items"]
    if isinstance(value, Mapping) and "client_id" in value:
        value = [value]
    if not isinstance(value, list):
        raise Unreadable("expected a list of Hydra's clients, found something else")
    return value


def _client(value: Any, index: int) -> ForeignClient:
    if not isinstance(value, Mapping) or not isinstance(value.get("client_id"), str) or not value["client_id"]:
        raise Unreadable(f"entry {index}: expected a client with client_id, found none")
    members = Members(value, f"client {value['client_id']}")
    members.forget(_SAYS_NOTHING)
    client = ForeignClient(
        client_id=members.text("client_id"),
        # Hydra's default where a client says nothing.
        method=members.text("token_endpoint_auth_method") or "client_secret_basic",
        jwks=members.mapping("jwks") or None,
        jwks_uri=members.text("jwks_uri") or None,
        signing_algorithm=members.text("token_endpoint_auth_signing_alg") or None,
        lifetime=members.text("client_credentials_grant_access_token_lifespan") or None,
        opaque=_strategy(members) == "opaque",
    )
    # RFC 7591 section 2: without grant_types a client has the authorization code.
    leave_grants(client, members.texts("grant_types") or ("authorization_code",))
    leave_scopes(client, members.text("scope").split(), "scope")
    leave_audiences(client, members.texts("audience"), "audience")
    _leave(client, members)
    return client


def _strategy(members: Members) -> str:
    """`access_token_strategy`; a client without one has its server's, which is not in the list."""
    return members.text("access_token_strategy")


def _leave(client: ForeignClient, members: Members) -> None:
    for name in _SECRETS:
        if members.take(name):
            client.leave(name, "secrets are not carried over")
    for name in _OF_USERS:
        if found := _texts(members, name):
            client.leave(name, f"{', '.join(found)}: for users, who have no place here")
    for name in members.rest():
        client.leave(name, "Holdfast has no such setting")


def _texts(members: Members, name: str) -> tuple[str, ...]:
    return tuple(_flat(members.take(name)))


def _flat(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value:
        yield value
    elif isinstance(value, list):
        yield from (entry for entry in value if isinstance(entry, str))
