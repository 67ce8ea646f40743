"""What the registry says of itself and of a client."""

from dataclasses import dataclass
from datetime import datetime

from holdfast.oauth.client_metadata import ClientMetadata, DeletionPolicy, Owner


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryDescription:
    """`instance` changes when the store is a new one; `revision` grows with each change; `digest` covers all live
    clients and the policies they refer to, so that equal digests mean equal content. `term`: the latest writer's.
    `confirmed`: a writer has compared the whole registry with its objects since this server started. `denials`: digest of
    the denied certificates and CRLs (`registry.digest.denials_digest`). `token_lifetime`: seconds that a token lives where
    neither client nor policy says how long. `tokens`: who got one lately, for the first time or the first in a day, newest
    first; of many, the newest alone."""

    instance: str
    revision: int
    digest: str
    term: int
    confirmed: bool
    endpoints: "Endpoints"
    denials: str = ""
    token_lifetime: int = 300
    tokens: "tuple[TokenSeen, ...]" = ()


@dataclass(frozen=True, slots=True)
class TokenSeen:
    """A client has got a token. `namespace`, `name`: of its object."""

    client_id: str
    namespace: str
    name: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where clients of this server go (RFC 8414, RFC 8705 section 5): https URLs."""

    issuer: str
    token_endpoint: str
    """The one on the mTLS host."""
    introspection_endpoint: str
    """The one on the mTLS host."""
    revocation_endpoint: str = ""
    """The one on the mTLS host."""
    jwks_uri: str = ""
    deny_list_uri: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredClient:
    """A client as the registry holds it, read back from the store."""

    metadata: ClientMetadata
    digest: str
    revision: int
    updated_at: datetime
    last_token_at: datetime | None
    since: datetime | None = None
    """From when on it gets tokens: in the future where another object had its client id a moment ago. None: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSummary:
    """One row of the whole listing: enough to find drift and orphans without one read per client."""

    client_id: str
    owner: Owner
    digest: str
    policy: str
    revision: int
    last_token_at: datetime | None
    deletion_policy: DeletionPolicy = DeletionPolicy.DELETE
    """What is to become of it without its object."""
