"""What a protected resource answers with: the three codes of RFC 6750 section 3.1, and what has no code.

`description` is what the caller may read, constant and dull; `detail` is for the log alone and never holds a token.

    Refusal
    ├── NoCredentials       401  no code: a bare challenge
    ├── InvalidRequest      400  invalid_request
    ├── InvalidToken        401  invalid_token
    ├── InsufficientScope   403  insufficient_scope
    └── IssuerUnavailable   503  no code: our own trouble, never a verdict
        ├── KeysUnavailable
        └── DenyListUnavailable
"""

from collections.abc import Iterable
from typing import ClassVar


class Refusal(Exception):
    """Root: the request is not let through. `code` None: the challenge has no error attribute."""

    status: ClassVar[int]
    code: ClassVar[str | None] = None
    description: ClassVar[str] = ""

    def __init__(self, detail: str = "") -> None:
        self.detail = detail
        super().__init__(detail or self.description)

    @property
    def challenge(self) -> str | None:
        """The value of WWW-Authenticate (RFC 6750 section 3), or None when there is none."""
        if self.code is None:
            return "Bearer"
        return f'Bearer error="{self.code}", error_description="{self.description}"'


class NoCredentials(Refusal):
    """Nothing was presented that this resource understands."""

    status = 401


class InvalidRequest(Refusal):
    """The token is presented twice, in the query, or malformed."""

    status = 400
    code = "invalid_request"
    description = "the access token is not presented as one Authorization header"


class InvalidToken(Refusal):
    """The token is not good here, or not for the certificate of this connection. One text for every cause."""

    status = 401
    code = "invalid_token"
    description = "the access token is not valid for this request"


class InsufficientScope(Refusal):
    """The token is good, and too small. `required`: the scope values that the request needs."""

    status = 403
    code = "insufficient_scope"
    description = "the access token does not have the scope that this request needs"

    def __init__(self, required: Iterable[str], detail: str = "") -> None:
        super().__init__(detail)
        self.required = tuple(required)

    @property
    def challenge(self) -> str:
        return f'{super().challenge}, scope="{" ".join(self.required)}"'


class IssuerUnavailable(Refusal):
    """What a verdict needs of the issuer is not at hand, and cannot be fetched now. `retry_after`: seconds."""

    status = 503
    retry_after = 1

    @property
    def challenge(self) -> None:
        return None


class KeysUnavailable(IssuerUnavailable):
    """The issuer's keys have never been fetched, or too long ago."""


class DenyListUnavailable(IssuerUnavailable):
    """The issuer's deny-list has never been fetched, too long ago, or holds less than there is to name."""
