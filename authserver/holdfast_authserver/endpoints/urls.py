"""Where this server is reached: computed from settings and sockets, never from a request (E-04)."""

from dataclasses import dataclass
from urllib.parse import urlsplit

TOKEN, INTROSPECT, REVOKE, JWKS = "/oauth2/token", "/oauth2/introspect", "/oauth2/revoke", "/oauth2/jwks"
DENY_LIST = "/oauth2/deny-list"
_AUTHORIZATION_SERVER, _OPENID = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class ServerUrls:
    """`issuer` and `mtls`: https URLs without a slash at the end. `mtls_issuer`: whether `mtls` is offered as one."""

    issuer: str
    mtls: str
    mtls_issuer: bool


def path_of(url: str) -> str:
    """The path of a base URL: what stands before every path served there."""
    return urlsplit(url).path


def well_known_paths(issuer: str) -> tuple[str, ...]:
    """Inserted before the issuer's path (RFC 8414 section 3.1), and appended as OpenID Connect Discovery does."""
    path = path_of(issuer)
    return tuple(dict.fromkeys((f"{_AUTHORIZATION_SERVER}{path}", f"{path}{_OPENID}", f"{_OPENID}{path}")))
