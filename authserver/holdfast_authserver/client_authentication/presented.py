"""What a request presents to say who is asking: the client id, explicit credentials, the certificate of the connection.

Every direct endpoint reads it in the same way (M-09).
"""

import base64
import binascii
from dataclasses import dataclass
from urllib.parse import unquote

from holdfast.oauth.errors import InvalidRequest
from holdfast.oauth.messages import Form
from holdfast_authserver.transport.presented import PresentedChain


@dataclass(frozen=True, slots=True)
class PresentedCredentials:
    """`explicit`: the methods other than a certificate that the request uses. `chain` None: no certificate."""

    client_id: str
    explicit: tuple[str, ...]
    chain: PresentedChain | None


def read_credentials(form: Form, authorization: bytes | None, chain: PresentedChain | None) -> PresentedCredentials:
    """Raises InvalidRequest: no client id (M-01), malformed Basic (O-08), several explicit methods (M-08)."""
    explicit: list[str] = []
    basic_client_id = None
    if authorization is not None:
        explicit.append("authorization header")
        basic_client_id = _basic_client_id(authorization)
    if "client_secret" in form.values:
        explicit.append("client_secret_post")
    if "client_assertion" in form.values or "client_assertion_type" in form.values:
        explicit.append("client_assertion")
    if len(explicit) > 1:
        raise InvalidRequest(
            f"several authentication methods: {', '.join(explicit)}", description="use one authentication method"
        )
    client_id = basic_client_id or form.require("client_id")
    return PresentedCredentials(client_id, tuple(explicit), chain)


def _basic_client_id(authorization: bytes) -> str | None:
    """The user of Basic credentials, form-decoded (RFC 6749 section 2.3.1); None for another scheme."""
    scheme, _, credentials = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user, colon, _ = base64.b64decode(credentials.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidRequest("malformed Basic credentials") from error
    if not colon:
        raise InvalidRequest("malformed Basic credentials: no colon")
    return unquote(user.replace("+", " ")) or None
