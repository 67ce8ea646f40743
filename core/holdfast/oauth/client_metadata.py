"""What the registry knows of a client: RFC 7591 metadata plus who owns it.

The operator writes this value, the authorization server serves from it. The JSON form uses the registered
member names (RFC 7591, RFC 8705 section 2.1.2) and `holdfast` for what no specification names. Neighbour:
`client_metadata_reader` reads that form back.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from holdfast.oauth.jwks import Jwk, jwk_set_to_json
from holdfast.x509.subject import SubjectKind, SubjectRule

SUBJECT_MEMBERS: Mapping[SubjectKind, str] = {
    SubjectKind.DN: "tls_client_auth_subject_dn",
    SubjectKind.DNS: "tls_client_auth_san_dns",
    SubjectKind.URI: "tls_client_auth_san_uri",
    SubjectKind.IP: "tls_client_auth_san_ip",
    SubjectKind.EMAIL: "tls_client_auth_san_email",
}
"""The one of five by which a `tls_client_auth` client is known (RFC 8705 section 2.1.2)."""


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
    for member in OPTIONAL_TEXTS:
        if (text := getattr(client, member)) is not None:
            value[member] = text
    if client.accept_expired_certificate:
        value["holdfast"]["accept_expired_certificate"] = True
    if client.token_format is not TokenFormat.JWT:
        value["holdfast"]["token_format"] = client.token_format.value
    if client.deletion_policy is not DeletionPolicy.DELETE:
        value["holdfast"]["deletion_policy"] = client.deletion_policy.value


OPTIONAL_TEXTS = ("jwks_uri", "token_endpoint_auth_signing_alg", "introspection_signed_response_alg")
"""Members of text that most clients do without."""


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
