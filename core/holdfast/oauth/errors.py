"""The OAuth errors a server answers with: one class per registered code.

Each carries what the caller may read (`code`, `description`: constant and dull) apart from what only the log may
(`reason`: one word of a closed set; `detail`: precise). Turning one into a response is the server's (one writer);
raising one is anybody's.

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
    │   └── TooManyFailures       429
    └── ServerError               500  server_error
"""

from typing import ClassVar

from holdfast.oauth.refusal import Refusal


class OAuthError(Exception):
    """Root. `description` replaces the class's own public text; it must be a constant, never what a caller sent.

    `detail` and `reason` go to the log alone; metrics count by `reason`. A class has a reason for those that name none.
    Public text is printable ASCII without quote and backslash (RFC 6749 section 5.2).
    """

    code: ClassVar[str]
    status: ClassVar[int] = 400
    description: str
    reason: Refusal = Refusal.UNSPECIFIED

    def __init__(self, detail: str = "", *, description: str | None = None, reason: Refusal | None = None) -> None:
        self.detail = detail
        if reason is not None:
            self.reason = reason
        if description is not None:
            self.description = description
        super().__init__(f"{self.code}: {detail or self.description}")


class InvalidRequest(OAuthError):
    """A parameter is missing, repeated or malformed (RFC 6749 section 5.2)."""

    code = "invalid_request"
    description = "the request is malformed"
    reason = Refusal.MALFORMED_REQUEST


class UnknownPath(InvalidRequest):
    """Nothing is served at this path."""

    status = 404
    description = "nothing is served at this path"
    reason = Refusal.UNKNOWN_PATH


class MethodNotAllowed(InvalidRequest):
    """The path exists, the method does not. `allow`: the value of the Allow header (RFC 9110 section 15.5.6)."""

    status = 405
    description = "this method is not served at this path"
    reason = Refusal.METHOD_NOT_ALLOWED

    def __init__(self, allow: str) -> None:
        super().__init__(f"expected {allow}")
        self.allow = allow


class RequestTooLarge(InvalidRequest):
    """The body is longer than any request of this server has to be."""

    status = 413
    description = "the request body is too large"
    reason = Refusal.REQUEST_TOO_LARGE


class UnsupportedEncoding(InvalidRequest):
    """The body is compressed, which nothing here needs (RFC 9110 section 15.5.16)."""

    status = 415
    description = "the content encoding is not supported"
    reason = Refusal.UNSUPPORTED_ENCODING


class HeaderTooLarge(InvalidRequest):
    """Request line and headers together are too long (RFC 6585 section 5)."""

    status = 431
    description = "the request header is too large"
    reason = Refusal.HEADER_TOO_LARGE


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
    reason = Refusal.POLICY


class UnsupportedGrantType(OAuthError):
    """No grant of this name is served."""

    code = "unsupported_grant_type"
    description = "the grant type is not supported"
    reason = Refusal.GRANT_TYPE


class InvalidScope(OAuthError):
    """The scope is malformed, or more than this client may have."""

    code = "invalid_scope"
    description = "the scope is malformed or not allowed"
    reason = Refusal.SCOPE


class InvalidTarget(OAuthError):
    """The resource is malformed, unknown, or not for this client (RFC 8707 section 2)."""

    code = "invalid_target"
    description = "the resource is malformed or not allowed"
    reason = Refusal.RESOURCE


class UnsupportedTokenType(OAuthError):
    """Tokens of this kind cannot be revoked here (RFC 7009 section 2.2.1)."""

    code = "unsupported_token_type"
    description = "tokens of this type are not supported"


class TemporarilyUnavailable(OAuthError):
    """Try again. `retry_after`: seconds, for the Retry-After header."""

    code = "temporarily_unavailable"
    status = 503
    description = "the server is not ready, try again"
    reason = Refusal.NOT_READY

    def __init__(self, detail: str = "", *, retry_after: int = 1, reason: Refusal | None = None) -> None:
        super().__init__(detail, reason=reason)
        self.retry_after = retry_after


class TooManyFailures(TemporarilyUnavailable):
    """Authentication failed too often, and is not tried again for a while (RFC 6585 section 4)."""

    status = 429
    description = "authentication failed too often, try again later"
    reason = Refusal.THROTTLED


class ServerError(OAuthError):
    """A defect of this server. The log has the story under the decision id."""

    code = "server_error"
    status = 500
    description = "the server failed"
    reason = Refusal.DEFECT
