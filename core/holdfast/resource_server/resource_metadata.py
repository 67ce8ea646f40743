"""Protected resource metadata (RFC 9728): where a client that was refused learns who issues tokens for this API.

Owns the document and the path it is served at. Neighbour: `middleware` serves it and names it in every challenge.
"""

import json
from dataclasses import dataclass
from urllib.parse import urlsplit

WELL_KNOWN = "/.well-known/oauth-protected-resource"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceMetadata:
    """`resource`: the API's identifier, which clients ask for as `resource` (RFC 8707). Raises ValueError.

    `authorization_servers`: issuers. `scopes`: those a client may need here. `bound`: tokens must be bound to the
    client's certificate.
    """

    resource: str
    authorization_servers: tuple[str, ...]
    scopes: tuple[str, ...] = ()
    bound: bool = True

    def __post_init__(self) -> None:
        parts = urlsplit(self.resource)
        if parts.scheme != "https" or not parts.netloc or "#" in self.resource:
            raise ValueError(f"resource: expected an https URL without fragment, found {self.resource!r}")

    @property
    def path(self) -> str:
        """Inserted between host and path (RFC 9728 section 3.1); a slash that is the whole path is left out."""
        path = urlsplit(self.resource).path
        return WELL_KNOWN + ("" if path == "/" else path)

    @property
    def url(self) -> str:
        """Where the document is, for the `resource_metadata` of a challenge (section 5.1)."""
        parts = urlsplit(self.resource)
        return parts._replace(path=self.path).geturl()

    def document(self) -> bytes:
        """RFC 9728 section 2; lists without an element are left out (section 3.2)."""
        members = {
            "resource": self.resource,
            "authorization_servers": list(self.authorization_servers),
            "scopes_supported": list(self.scopes),
            "bearer_methods_supported": ["header"],
            "tls_client_certificate_bound_access_tokens": self.bound,
        }
        return json.dumps({name: value for name, value in members.items() if value != []}).encode()
