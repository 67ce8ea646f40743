"""What can go wrong on the way to a bound token, and whose trouble it is.

ClientError
├── IdentityError     certificate and key cannot be used: missing, not a pair, expired
├── TokenRefused      the authorization server said no: `error`, `error_description`, `status`
├── TokenUnavailable  it could not be asked, or its answer cannot be read: try again later
└── NotBound          the token would have gone over a connection without its certificate, so it was not sent
"""


class ClientError(Exception):
    """Root. Messages never hold a token or a key."""


class IdentityError(ClientError):
    """The files hold no certificate and key that belong together and are valid; names file and cause."""


class TokenRefused(ClientError):
    """The token endpoint answered with an error (RFC 6749 section 5.2). `status`: of HTTP.

    `decision`: the id under which the server's audit log has the reason, empty where the server names none.
    """

    def __init__(self, error: str, error_description: str, status: int, decision: str = "") -> None:
        self.decision = decision
        self.error = error
        self.error_description = error_description
        self.status = status
        super().__init__(f"{error} ({status}): {error_description}" if error_description else f"{error} ({status})")


class TokenUnavailable(ClientError):
    """No connection, no answer in time, or an answer that is none. `retry_after`: seconds, when the server said so."""

    def __init__(self, message: str, retry_after: int | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class NotBound(ClientError):
    """The client of this request cannot keep token and certificate together."""
