"""Cloudentity's clients, as its configuration tool `cac pull` lays them into a folder.

Owns where the tool puts them (`workspaces/*/clients/*.yaml`) and what each member means here. Neighbour: `foreign`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from holdfast_cli.importing.foreign import (
    ForeignClient,
    ForeignServer,
    Left,
    Members,
    Unreadable,
    leave_audiences,
    leave_grants,
    leave_scopes,
)
from holdfast_operator.adapters.folder import yaml_text
from holdfast_operator.adapters.folder.documents import read_text

_SUBJECTS = {
    "tls_client_auth_subject_dn": "dn",
    "tls_client_auth_san_dns": "dns",
    "tls_client_auth_san_uri": "uri",
    "tls_client_auth_san_ip": "ip",
    "tls_client_auth_san_email": "email",
}
_SAYS_NOTHING = (
    *("application_type", "application_types", "client_id_issued_at", "client_name", "client_secret_expires_at"),
    *(
        "client_type",
        "client_uri",
        "app_url",
        "created_at",
        "updated_at",
        "description",
        "logo_uri",
        "policy_uri",
        "tos_uri",
    ),
    *("software_id", "software_version", "subject_type", "metadata", "developer_id", "developer_metadata"),
    *("dynamically_registered", "response_types", "scope", "organisation_id"),
)
"""For people, or said by another member as well."""
_SECRETS = ("client_secret", "hashed_secret", "rotated_secrets", "hashed_rotated_secrets", "registration_token")
_OF_USERS = (
    *("redirect_uris", "post_logout_redirect_uris", "request_uris", "backchannel_logout_uri", "sector_identifier_uri"),
    *("default_acr_values",),
)
_METHODS = ("introspection_endpoint_auth_method", "revocation_endpoint_auth_method")


def read(folder: Path) -> ForeignServer:
    """Every workspace below `folder`, or `folder` as one of them. Raises Unreadable."""
    found = [path for root in _workspaces(folder) for path in sorted((root / "clients").glob("*.y*ml"))]
    if not found:
        raise Unreadable(f"{folder}: expected workspaces/*/clients/*.yaml as cac lays them out, found none")
    clients = tuple(_read_client(path) for path in found)
    return ForeignServer(clients, tuple(_left_files(folder)))


def _workspaces(folder: Path) -> list[Path]:
    if (folder / "clients").is_dir():
        return [folder]
    root = folder if folder.name == "workspaces" else folder / "workspaces"
    return sorted(path for path in root.glob("*") if path.is_dir())


def _left_files(folder: Path) -> Iterator[Left]:
    """One line for each file or folder beside `clients`."""
    for workspace in _workspaces(folder):
        for path in sorted(workspace.iterdir()):
            if path.name != "clients" and not path.name.startswith("."):
                yield Left(f"{workspace.name}/{path.name}", "not about clients: what it says has to be said anew, if at all")


def _read_client(path: Path) -> ForeignClient:
    try:
        parts = [yaml_text.load(part) for part in yaml_text.split(read_text(path))]
    except OSError as error:
        raise Unreadable(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise Unreadable(f"{path}: {error}; templates have to be filled in first") from error
    if len(parts) != 1 or not isinstance(parts[0], Mapping) or not isinstance(parts[0].get("id"), str):
        raise Unreadable(f"{path}: expected one client with its id, found something else")
    return _client(parts[0])


def _client(value: Mapping[str, Any]) -> ForeignClient:
    members = Members(value, f"client {value['id']}")
    if members.text("client_type") == "saml":
        return ForeignClient(client_id=value["id"], method="", refusal="a SAML service provider")
    members.forget(_SAYS_NOTHING)
    client = ForeignClient(
        client_id=members.text("id"),
        method=members.text("token_endpoint_auth_method") or "client_secret_basic",
        jwks=members.mapping("jwks") or None,
        jwks_uri=members.text("jwks_uri") or None,
        signing_algorithm=members.text("token_endpoint_auth_signing_alg") or None,
        suspended=members.text("client_status") == "inactive",
        own=members.flag("system"),
    )
    client.subject = _subject(client, members)
    leave_grants(client, members.texts("grant_types"))
    leave_scopes(client, members.texts("scopes"), "scopes")
    leave_audiences(client, members.texts("audience"), "audience")
    members.flag("tls_client_certificate_bound_access_tokens")  # bound is what tokens are here
    _leave(client, members)
    return client


def _subject(client: ForeignClient, members: Members) -> tuple[str, str] | None:
    """Exactly one counts (RFC 8705 section 2.1.2)."""
    found = [(kind, text) for name, kind in _SUBJECTS.items() if (text := members.text(name))]
    if len(found) > 1:
        client.refusal = f"expected one subject, found {', '.join(kind for kind, _ in found)}"
    return found[0] if len(found) == 1 else None


def _leave(client: ForeignClient, members: Members) -> None:
    for name in _SECRETS:
        if members.take(name):
            client.leave(name, "secrets are not carried over")
    for name in _OF_USERS:
        if found := members.texts(name):
            client.leave(name, f"{', '.join(found)}: for users, who have no place here")
    for name in _METHODS:
        if (other := members.text(name)) and other != client.method:
            client.leave(name, f"{other}: a client has one method at all endpoints")
    if members.flag("use_custom_token_ttls"):
        client.leave("token_ttls", "set tokens.lifetime by hand: at most 24h")
    members.forget(("token_ttls", "trusted"))
    for name in members.rest():
        client.leave(name, "Holdfast has no such setting")
