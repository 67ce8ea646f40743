"""The OAuth errors a server answers with: one class per registered code.

Each carries what the caller may read (`code`, `description`: constant and dull) apart from what only the log may
(`detail`: precise). Turning one into a response is the server's (one writer); raising one is anybody's.

    OAuthError
    ├── InvalidRequest            400  invalid_request
    │   ├── UnknownPath           404
    │   ├── MethodNotAllowed      405
    │   ├── RequestTooLarge       413
    │   ├── UnsupportedEncoding   415
    │   └── HeaderTooLarge        431
    ├── InvalidClient             401  invalid_client
    ├── InvalidGrant              400  invalid_grant
    ├── UnauthorizedClient        400  unauthorized_client
    ├── UnsupportedGrantType      400  unsupported_grant_type
    ├── InvalidScope              400  invalid_scope
    ├── InvalidTarget             400  invalid_target
    ├── UnsupportedTokenType      400  unsupported_token_type
    ├── TemporarilyUnavailable    503  temporarily_unavailable
    └── ServerError               500  server_error
"""

from typing import ClassVar


class OAuthError(Exception):
    """Root. `description` replaces the class's own public text; it must be a constant, never what a caller sent.

    `detail` goes to the log alone. Public text is printable ASCII without quote and backslash (RFC 6749 section 5.2).
    """

    code: ClassVar[str]
    status: ClassVar[int] = 400
    description: str

    def __init__(self, detail: str = "", *, description: str | None = None) -> None:
        self.detail = detail
        if description is not None:
            self.description = description
        super().__init__(f"{self.code}: {detail or self.description}")


class InvalidRequest(OAuthError):
    """A parameter is missing, repeated or malformed (RFC 6749 section 5.2)."""

    code = "invalid_request"
    description = "the request is malformed"


class UnknownPath(InvalidRequest):
    """Nothing is served at this path."""

    status = 404
    description = "nothing is served at this path"


class MethodNotAllowed(InvalidRequest):
    """The path exists, the method does not. `allow`: the value of the Allow header (RFC 9110 section 15.5.6)."""

    status = 405
    description = "this method is not served at this path"

    def __init__(self, allow: str) -> None:
        super().__init__(f"expected {allow}")
        self.allow = allow


class RequestTooLarge(InvalidRequest):
    """The body is longer than any request of this server has to be."""

    status = 413
    description = "the request body is too large"


class UnsupportedEncoding(InvalidRequest):
    """The body is compressed, which nothing here needs (RFC 9110 section 15.5.16)."""

    status = 415
    description = "the content encoding is not supported"


class HeaderTooLarge(InvalidRequest):
    """Request line and headers together are too long (RFC 6585 section 5)."""

    status = 431
    description = "the request header is too large"


class InvalidClient(OAuthError):
    """Authentication failed. One text for every cause, so that causes cannot be told apart."""

    code = "invalid_client"
    status = 401
    description = "client authentication failed"


class InvalidGrant(OAuthError):
    """The grant presented is invalid, expired, revoked or another client's."""

    code = "invalid_grant"
    description = "the grant is not valid"


class UnauthorizedClient(OAuthError):
    """The client is who it says it is and may not do this."""

    code = "unauthorized_client"
    description = "the client may not do this"


class UnsupportedGrantType(OAuthError):
    """No grant of this name is served."""

    code = "unsupported_grant_type"
    description = "the grant type is not supported"


class InvalidScope(OAuthError):
    """The scope is malformed, or more than this client may have."""

    code = "invalid_scope"
    description = "the scope is malformed or not allowed"


class InvalidTarget(OAuthError):
    """The resource is malformed, unknown, or not for this client (RFC 8707 section 2)."""

    code = "invalid_target"
    description = "the resource is malformed or not allowed"


class UnsupportedTokenType(OAuthError):
    """Tokens of this kind cannot be revoked here (RFC 7009 section 2.2.1)."""

    code = "unsupported_token_type"
    description = "tokens of this type are not supported"


class TemporarilyUnavailable(OAuthError):
    """Try again. `retry_after`: seconds, for the Retry-After header."""

    code = "temporarily_unavailable"
    status = 503
    description = "the server is not ready, try again"

    def __init__(self, detail: str = "", *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class ServerError(OAuthError):
    """A defect of this server. The log has the story under the decision id."""

    code = "server_error"
    status = 500
    description = "the server failed"
