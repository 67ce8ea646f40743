"""A client as another server has it, in the words of RFC 7591, and what of it was left behind on the way here.

Owns the values that every format is read into. Neighbours: `keycloak`, `hydra`, `cloudentity` make them, `manifest` uses.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

CLIENT_CREDENTIALS = "client_credentials"


class Unreadable(ValueError):
    """The input is not of the format; the message says what was expected and what was found."""


@dataclass(frozen=True, slots=True)
class Left:
    """A field that cannot be carried over, and why, or what has to be done about it."""

    field: str
    why: str


@dataclass(slots=True, kw_only=True)
class ForeignClient:
    """`subject`: kind of `authentication.subject` and value. `method`: a `token_endpoint_auth_method`.

    `refusal`: why the client as a whole cannot come; empty while it can. `own`: it is the foreign server's own, and of no
    use elsewhere.
    """

    client_id: str
    method: str
    subject: tuple[str, str] | None = None
    jwks: Mapping[str, Any] | None = None
    jwks_uri: str | None = None
    signing_algorithm: str | None = None
    grant_types: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
    lifetime: str | None = None
    opaque: bool = False
    suspended: bool = False
    refusal: str = ""
    own: bool = False
    left: list[Left] = field(default_factory=list)

    def leave(self, name: str, why: str) -> None:
        """Tell that a field was left behind."""
        self.left.append(Left(name, why))


@dataclass(frozen=True, slots=True)
class ForeignServer:
    """Everything that was read. `left`: what belongs to no single client."""

    clients: tuple[ForeignClient, ...]
    left: tuple[Left, ...] = ()


_KINDS: Mapping[type, str] = {str: "a string", list: "a list", bool: "true", int: "a number", float: "a number"}
"""What a value that is not empty is called."""


class Members:
    """The members of a foreign object, each read once; `rest` is what nobody asked for."""

    def __init__(self, value: Mapping[str, Any], whose: str, path: str = "") -> None:
        """`whose`: the client or other object, for what is said of them."""
        self._value = dict(value)
        self._whose = whose
        self._path = path

    def take(self, name: str) -> Any:
        """Its value, None where it is absent."""
        return self._value.pop(name, None)

    def text(self, name: str) -> str:
        """Empty where it is absent or no string."""
        found = self.take(name)
        return found if isinstance(found, str) else ""

    def flag(self, name: str, default: bool = False) -> bool:
        """Also in the form of a string, as Keycloak has it in attributes."""
        found = self.take(name)
        return default if found is None else found is True or found == "true"

    def texts(self, name: str) -> tuple[str, ...]:
        """Every string of a list; none where it is no list."""
        found = self.take(name)
        return tuple(entry for entry in found if isinstance(entry, str)) if isinstance(found, list) else ()

    def mapping(self, name: str) -> Mapping[str, Any]:
        """Empty where it is absent or empty. Raises Unreadable for anything else, without the value, maybe a secret."""
        found = self.take(name) or {}
        if not isinstance(found, Mapping):
            kind = _KINDS.get(type(found), "something else")
            raise Unreadable(f"{self._whose}: {self._path}{name}: expected an object, found {kind}")
        return found

    def forget(self, names: Iterable[str]) -> None:
        """These say nothing about what the client may do."""
        for name in names:
            self._value.pop(name, None)

    def rest(self) -> tuple[str, ...]:
        """Paths of what was not read and says something: neither empty nor false, nor zero."""
        return tuple(f"{self._path}{name}" for name, value in sorted(self._value.items()) if _says_something(value))


def _says_something(value: Any) -> bool:
    if isinstance(value, str):
        return value not in ("", "false", "none", "0s")
    return bool(value)


_USER_GRANTS = "it needs a user, and Holdfast serves workloads: client_credentials only"


def leave_grants(client: ForeignClient, grants: Iterable[str]) -> None:
    """Keep what Holdfast has; without any of it there is no client."""
    wanted = tuple(dict.fromkeys(grants))
    client.grant_types = tuple(g for g in wanted if g == CLIENT_CREDENTIALS)
    for grant in wanted:
        if grant != CLIENT_CREDENTIALS:
            client.leave(f"grant {grant}", _USER_GRANTS)
    if not client.grant_types and not client.refusal:
        client.refusal = f"no grant that Holdfast has: expected client_credentials, found {', '.join(wanted) or 'none'}"


OF_USERS = frozenset({"openid", "profile", "email", "address", "phone", "offline", "offline_access"})
"""Scopes of OpenID Connect (Core section 5.4, 11) and Hydra's word for one of them: they ask for claims about a user."""


def leave_scopes(client: ForeignClient, scopes: Iterable[str], field_name: str) -> None:
    """Keep those that are about what a workload may do."""
    found = tuple(dict.fromkeys(scopes))
    client.scopes = tuple(s for s in found if s not in OF_USERS)
    if about := [s for s in found if s in OF_USERS]:
        client.leave(field_name, f"{', '.join(about)}: about users")


def leave_audiences(client: ForeignClient, audiences: Iterable[str], field_name: str) -> None:
    """Keep what can be a resource indicator (RFC 8707): an https URI."""
    for audience in dict.fromkeys(audiences):
        if audience.startswith("https://"):
            client.audiences += (audience,)
        else:
            client.leave(field_name, f"{audience}: no https URI, which spec.resources has to hold; give the API one")
