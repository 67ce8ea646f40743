"""Client scopes and protocol mappers of a Keycloak realm: which of them say something about a workload's token.

Owns that a scope of Keycloak is a bundle of claims, and a scope of OAuth only where it is shown in the token. Neighbours:
`keycloak`, `foreign`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from holdfast_cli.importing.foreign import OF_USERS, ForeignClient, Members, leave_audiences, leave_scopes

_BUNDLES = frozenset(
    {"acr", "basic", "roles", "web-origins", "role_list", "service_account", "microprofile-jwt", "organization"}
)
"""Keycloak's own, in every realm: bundles of claims about users and sessions."""
_AUDIENCE = "oidc-audience-mapper"


class RealmScopes:
    """The realm's scopes by name."""

    def __init__(self, realm: Mapping[str, Any]) -> None:
        listed = realm.get("clientScopes")
        entries = [e for e in listed if isinstance(e, Mapping)] if isinstance(listed, list) else []
        self._scopes = {str(entry.get("name")): entry for entry in entries}

    def is_shown(self, name: str) -> bool:
        """Whether the token's `scope` names it; one that the realm's export does not describe is taken to be shown.

        Raises Unreadable.
        """
        attributes = Members(self._scopes.get(name, {}), f"client scope {name}").mapping("attributes")
        return str(attributes.get("include.in.token.scope", "true")) == "true"

    def mappers(self, name: str) -> list[Any]:
        """What it puts into tokens."""
        found = self._scopes.get(name, {}).get("protocolMappers")
        return found if isinstance(found, list) else []


def leave_realm_scopes(client: ForeignClient, names: Iterable[str], scopes: RealmScopes) -> None:
    """Keep those that a token shows; tell what else they would have put into it."""
    own = [name for name in dict.fromkeys(names) if name not in _BUNDLES]
    leave_scopes(client, [name for name in own if scopes.is_shown(name)], "clientScopes")
    for name in [name for name in own if name not in OF_USERS]:
        leave_mappers(client, scopes.mappers(name), f"clientScopes.{name}.protocolMappers")


def leave_mappers(client: ForeignClient, mappers: Any, field_name: str) -> None:
    """Audiences are kept; other claims have no place in a token of a workload. Raises Unreadable."""
    for mapper in mappers if isinstance(mappers, list) else ():
        if not isinstance(mapper, Mapping):
            continue
        config = Members(mapper, f"client {client.client_id}", f"{field_name}.").mapping("config")
        if mapper.get("protocolMapper") == _AUDIENCE and config.get("included.custom.audience"):
            leave_audiences(client, [str(config["included.custom.audience"])], field_name)
        else:
            client.leave(field_name, f"{mapper.get('name')} ({mapper.get('protocolMapper')}): claims are not made to order")
