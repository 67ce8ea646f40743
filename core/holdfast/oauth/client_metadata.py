"""What the registry knows of a client: RFC 7591 metadata plus who owns it.

The operator writes this value, the authorization server serves from it. The JSON form uses the registered
member names (RFC 7591, RFC 8705 section 2.1.2) and `holdfast` for what no specification names.
"""

import base64
import hashlib
import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar

from holdfast.oauth.jwks import Jwk, JwkError, jwk_set_to_json, parse_jwk_set
from holdfast.x509.subject import SubjectKind, SubjectRule, SubjectRuleError, parse_subject_rule

SUBJECT_MEMBERS: Mapping[SubjectKind, str] = {
    SubjectKind.DN: "tls_client_auth_subject_dn",
    SubjectKind.DNS: "tls_client_auth_san_dns",
    SubjectKind.URI: "tls_client_auth_san_uri",
    SubjectKind.IP: "tls_client_auth_san_ip",
    SubjectKind.EMAIL: "tls_client_auth_san_email",
}
"""The one of five by which a `tls_client_auth` client is known (RFC 8705 section 2.1.2)."""


Choice = TypeVar("Choice", bound=StrEnum)
Shared = TypeVar("Shared", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an input: where, and what was expected against what was found."""

    field: str
    message: str


class InvalidClientMetadata(ValueError):
    """A registration cannot be read or breaks a rule; lists every problem (RFC 7591 section 3.2.2)."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{p.field}: {p.message}" for p in problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The object a registration was made from. `generation` orders writes within a writer's term.

    `uid` "": the object is gone and left the registration behind (`deletionPolicy: Orphan`).
    """

    namespace: str
    name: str
    uid: str
    generation: int
    service_account: str

    @property
    def is_gone(self) -> bool:
        """Whether the registration is an orphan: namespace and name only say where it came from."""
        return not self.uid


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustAnchor:
    """A CA certificate this client's chain may end in. `shared`: others may have it sign, too."""

    der: bytes = field(repr=False)
    shared: bool

    @property
    def name(self) -> str:
        """How policies name it."""
        return anchor_name(self.der)


def anchor_name(der: bytes) -> str:
    """SHA-256, hex, of the whole certificate: how policies and people name a trust anchor."""
    return hashlib.sha256(der).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedRequester:
    """Who may ask for a token for an API: a client by namespace and object name (`*`: every client there)."""

    namespace: str
    client: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceServer:
    """The client is itself an API. `allow_from` None: the clients of its own namespace, with their own scopes."""

    audiences: tuple[str, ...]
    allow_from: tuple[AllowedRequester, ...] | None


class TokenFormat(StrEnum):
    """What an access token is to whoever carries it: readable claims (RFC 9068), or nothing but a handle (RFC 7662)."""

    JWT = "JWT"
    OPAQUE = "Opaque"


class DeletionPolicy(StrEnum):
    """What becomes of a registration when its object is deleted."""

    DELETE = "Delete"
    """It is refused at once, and purged after the server's grace period."""
    ORPHAN = "Orphan"
    """It goes on as nobody's, until an object adopts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientMetadata:
    """A registered client. Tuples keep the order of the manifest: the first resource is the default audience.

    `token_lifetime`: seconds, None for the server's default. `policy`: hash of the effective policy that rules it.
    `jwks` or `jwks_uri`: the keys of a client that is known by them (RFC 7591 section 2); None: none are registered.
    `accept_expired_certificate`: a registered self-signed certificate counts outside its validity period as well.
    The two algorithms: None for whatever the server allows.
    """

    client_id: str
    owner: Owner
    token_endpoint_auth_method: str
    subject: SubjectRule | None
    trust_anchors: tuple[TrustAnchor, ...]
    grant_types: tuple[str, ...]
    scopes: tuple[str, ...]
    resources: tuple[str, ...]
    resource_server: ResourceServer | None
    certificate_bound: bool
    token_lifetime: int | None
    suspended: bool
    policy: str
    jwks: tuple[Jwk, ...] | None = None
    jwks_uri: str | None = None
    token_endpoint_auth_signing_alg: str | None = None
    introspection_signed_response_alg: str | None = None
    accept_expired_certificate: bool = False
    token_format: TokenFormat = TokenFormat.JWT
    deletion_policy: DeletionPolicy = DeletionPolicy.DELETE

    @property
    def digest(self) -> str:
        """SHA-256, hex, over all that matters to a token; the generation is order, not content."""
        value = to_json(self)
        value["holdfast"]["owner"].pop("generation")
        return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def to_json(client: ClientMetadata) -> dict[str, Any]:
    """The registration as JSON, members as RFC 7591 names them."""
    owner = client.owner
    value: dict[str, Any] = {
        "client_id": client.client_id,
        "token_endpoint_auth_method": client.token_endpoint_auth_method,
        "grant_types": list(client.grant_types),
        "scope": " ".join(client.scopes),
        "tls_client_certificate_bound_access_tokens": client.certificate_bound,
        "holdfast": {
            "owner": {
                "namespace": owner.namespace,
                "name": owner.name,
                "uid": owner.uid,
                "generation": owner.generation,
                "service_account": owner.service_account,
            },
            "trust_anchors": [{"x5c": base64.b64encode(a.der).decode(), "shared": a.shared} for a in client.trust_anchors],
            "resources": list(client.resources),
            "resource_server": _resource_server_to_json(client.resource_server),
            "token_lifetime": client.token_lifetime,
            "suspended": client.suspended,
            "policy": client.policy,
        },
    }
    if client.subject is not None:
        value[SUBJECT_MEMBERS[client.subject.kind]] = client.subject.value
    _add_optional(value, client)
    return value


def _add_optional(value: dict[str, Any], client: ClientMetadata) -> None:
    """What most clients do without is left out, so that a registration reads as it was meant."""
    if client.jwks is not None:
        value["jwks"] = jwk_set_to_json(client.jwks)
    for member in _OPTIONAL_TEXTS:
        if (text := getattr(client, member)) is not None:
            value[member] = text
    if client.accept_expired_certificate:
        value["holdfast"]["accept_expired_certificate"] = True
    if client.token_format is not TokenFormat.JWT:
        value["holdfast"]["token_format"] = client.token_format.value
    if client.deletion_policy is not DeletionPolicy.DELETE:
        value["holdfast"]["deletion_policy"] = client.deletion_policy.value


_OPTIONAL_TEXTS = ("jwks_uri", "token_endpoint_auth_signing_alg", "introspection_signed_response_alg")


def _resource_server_to_json(server: ResourceServer | None) -> dict[str, Any] | None:
    if server is None:
        return None
    allow = server.allow_from
    return {
        "audiences": list(server.audiences),
        "allow_from": None
        if allow is None
        else [{"namespace": a.namespace, "client": a.client, "scopes": list(a.scopes)} for a in allow],
    }


def from_json(value: object) -> ClientMetadata:
    """Read what `to_json` wrote.

    Raises InvalidClientMetadata with every problem. Checks form only; whether the client may have what it
    asks for is `holdfast.policy.evaluate`'s to say.
    """
    return _Reader(value).client()


@lru_cache(maxsize=4096)
def _one_copy(value: Shared) -> Shared:
    """The same object for equal values: thousands of clients trust one CA, live in one namespace, have the same scopes."""
    return value


class _Reader:
    """Reads member by member and collects what is wrong, so that one answer names all of it."""

    def __init__(self, value: object) -> None:
        self.problems: list[Problem] = []
        self.top = self._object(value, "$")
        self.own = self._object(self.top.get("holdfast"), "holdfast")

    def client(self) -> ClientMetadata:
        client = ClientMetadata(
            client_id=self._text(self.top, "client_id"),
            owner=self._owner(self._object(self.own.get("owner"), "holdfast.owner"), "holdfast.owner."),
            token_endpoint_auth_method=_one_copy(self._text(self.top, "token_endpoint_auth_method")),
            subject=self._subject(),
            trust_anchors=_one_copy(self._anchors()),
            grant_types=_one_copy(self._texts(self.top, "grant_types")),
            scopes=_one_copy(tuple(self._text(self.top, "scope", empty=True).split())),
            resources=self._texts(self.own, "resources", "holdfast."),
            resource_server=self._resource_server(),
            certificate_bound=self._flag(self.top, "tls_client_certificate_bound_access_tokens"),
            token_lifetime=self._lifetime(),
            suspended=self._flag(self.own, "suspended", "holdfast."),
            policy=_one_copy(self._text(self.own, "policy", "holdfast.")),
            jwks=self._jwks(),
            **{member: self._optional_text(member) for member in _OPTIONAL_TEXTS},
            accept_expired_certificate="accept_expired_certificate" in self.own
            and self._flag(self.own, "accept_expired_certificate", "holdfast."),
            token_format=self._choice("token_format", TokenFormat.JWT),
            deletion_policy=self._choice("deletion_policy", DeletionPolicy.DELETE),
        )
        self._check_keys(client)
        if self.problems:
            raise InvalidClientMetadata(tuple(self.problems))
        return client

    def _owner(self, owner: Mapping[str, Any], path: str) -> Owner:
        name, account = self._text(owner, "name", path), self._text(owner, "service_account", path)
        return Owner(
            namespace=_one_copy(self._text(owner, "namespace", path)),
            name=name,
            uid=self._text(owner, "uid", path, empty=True),
            generation=self._count(owner, "generation", path),
            service_account=name if account == name else account,
        )

    def _say(self, field: str, expected: str, actual: object) -> None:
        self.problems.append(Problem(field, f"expected {expected}, found {type(actual).__name__} {str(actual)[:80]!r}"))

    def _object(self, value: object, field: str) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        self._say(field, "an object", value)
        return {}

    def _text(self, of: Mapping[str, Any], name: str, path: str = "", *, empty: bool = False) -> str:
        value = of.get(name)
        if isinstance(value, str) and (value or empty) and "\0" not in value and len(value) <= 2048:
            return value
        self._say(path + name, "a string of 1 to 2048 characters", value)
        return ""

    def _texts(self, of: Mapping[str, Any], name: str, path: str = "") -> tuple[str, ...]:
        value = of.get(name)
        if isinstance(value, list) and len(value) <= 256 and all(isinstance(v, str) and v for v in value):
            return tuple(value)
        self._say(path + name, "a list of at most 256 strings", value)
        return ()

    def _flag(self, of: Mapping[str, Any], name: str, path: str = "") -> bool:
        value = of.get(name)
        if isinstance(value, bool):
            return value
        self._say(path + name, "a boolean", value)
        return False

    def _count(self, of: Mapping[str, Any], name: str, path: str = "") -> int:
        value = of.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
            return value
        self._say(path + name, "a whole number from 0 to 2**63 - 1", value)
        return 0

    def _lifetime(self) -> int | None:
        if self.own.get("token_lifetime") is None:
            return None
        return self._count(self.own, "token_lifetime", "holdfast.")

    def _optional_text(self, name: str) -> str | None:
        return self._text(self.top, name) if name in self.top else None

    def _jwks(self) -> tuple[Jwk, ...] | None:
        if "jwks" not in self.top:
            return None
        try:
            return parse_jwk_set(self.top["jwks"])
        except JwkError as error:
            self.problems.append(Problem("jwks", str(error)))
            return None

    def _choice(self, name: str, default: Choice) -> Choice:
        """One of an enum's values; left out where it is the default."""
        choices, value = type(default), self.own.get(name, default.value)
        if value in set(choices):
            return choices(value)
        self._say(f"holdfast.{name}", " or ".join(choices), value)
        return default

    def _check_keys(self, client: ClientMetadata) -> None:
        """Keys come by value or by reference, never both (RFC 7591 section 2), and a reference is https."""
        if client.jwks is not None and client.jwks_uri is not None:
            self.problems.append(Problem("jwks_uri", "expected either jwks or jwks_uri, found both"))
        if client.jwks_uri and not client.jwks_uri.startswith("https://"):
            self._say("jwks_uri", "an https URL", client.jwks_uri)

    def _subject(self) -> SubjectRule | None:
        found = [(kind, member) for kind, member in SUBJECT_MEMBERS.items() if member in self.top]
        if not found:
            return None
        if len(found) > 1:
            self._say("tls_client_auth_*", "exactly one subject member", ", ".join(m for _, m in found))
            return None
        kind, member = found[0]
        try:
            return parse_subject_rule(kind, self._text(self.top, member))
        except SubjectRuleError as error:
            self.problems.append(Problem(member, str(error)))
            return None

    def _anchors(self) -> tuple[TrustAnchor, ...]:
        value = self.own.get("trust_anchors")
        if not isinstance(value, list) or len(value) > 32:
            self._say("holdfast.trust_anchors", "a list of at most 32 anchors", value)
            return ()
        return tuple(a for i, v in enumerate(value) if (a := self._anchor(v, f"holdfast.trust_anchors[{i}]")))

    def _anchor(self, value: object, path: str) -> TrustAnchor | None:
        entry = self._object(value, path)
        try:
            der = base64.b64decode(str(entry.get("x5c", "")), validate=True)
        except ValueError:
            self._say(f"{path}.x5c", "standard base64 of DER", entry.get("x5c"))
            return None
        return TrustAnchor(der=der, shared=self._flag(entry, "shared", f"{path}."))

    def _resource_server(self) -> ResourceServer | None:
        path = "holdfast.resource_server"
        if self.own.get("resource_server") is None:
            return None
        value = self._object(self.own["resource_server"], path)
        allow = value.get("allow_from")
        return ResourceServer(
            audiences=self._texts(value, "audiences", f"{path}."),
            allow_from=None if allow is None else self._allow_from(allow, f"{path}.allow_from"),
        )

    def _allow_from(self, value: object, path: str) -> tuple[AllowedRequester, ...]:
        if not isinstance(value, list) or len(value) > 256:
            self._say(path, "a list of at most 256 entries", value)
            return ()
        return tuple([self._requester(self._object(v, f"{path}[{i}]"), f"{path}[{i}].") for i, v in enumerate(value)])

    def _requester(self, of: Mapping[str, Any], path: str) -> AllowedRequester:
        return AllowedRequester(
            namespace=self._text(of, "namespace", path),
            client=self._text(of, "client", path),
            scopes=self._texts(of, "scopes", path),
        )
