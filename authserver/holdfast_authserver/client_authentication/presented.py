"""What a request presents to say who is asking: the client id, explicit credentials, the certificate of the connection.

Every direct endpoint reads it in the same way (M-09). Proves nothing: what is read here is what somebody claims.
"""

import base64
import binascii
from typing import NamedTuple
from urllib.parse import unquote

from holdfast.oauth.errors import InvalidClient, InvalidRequest
from holdfast.oauth.messages import Form
from holdfast.oauth.refusal import Refusal
from holdfast_authserver.client_authentication.assertion import claimed_subject
from holdfast_authserver.transport.presented import PresentedChain

CLIENT_ASSERTION = "client_assertion"
"""As an explicit method: the client authenticates with an assertion (RFC 7521 section 4.2)."""
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""The one `client_assertion_type` that is served (RFC 7523 section 2.2)."""


class PresentedCredentials(NamedTuple):
    """`explicit`: the methods other than a certificate that the request uses. `chain` None: no certificate.

    `assertion`: the JWT of a `client_assertion` of the type that is served, unread; None: there is no such.
    """

    client_id: str
    explicit: tuple[str, ...]
    chain: PresentedChain | None
    assertion: str | None = None


def read_credentials(form: Form, authorization: bytes | None, chain: PresentedChain | None) -> PresentedCredentials:
    """Raises InvalidRequest: no client id (M-01), malformed Basic (O-08), several explicit methods (M-08), an assertion
    without its type or the reverse (A-01). Raises InvalidClient: no client id, and an assertion that names none.
    """
    explicit = _explicit(form, authorization)
    basic_client_id = None if authorization is None else _basic_client_id(authorization)
    assertion = _assertion(form) if CLIENT_ASSERTION in explicit else None
    client_id = basic_client_id or form.get("client_id")
    if client_id is None:
        client_id = _client_id_of(assertion) if CLIENT_ASSERTION in explicit else form.require("client_id")
    return PresentedCredentials(client_id, explicit, chain, assertion)


def _explicit(form: Form, authorization: bytes | None) -> tuple[str, ...]:
    """A parameter counts as a method also when it is empty: its sender meant to use it."""
    values = form.values
    explicit: tuple[str, ...] = () if authorization is None else ("authorization header",)
    if "client_secret" in values:
        explicit += ("client_secret_post",)
    if "client_assertion" in values or "client_assertion_type" in values:
        explicit += (CLIENT_ASSERTION,)
    if len(explicit) > 1:
        raise InvalidRequest(
            f"several authentication methods: {', '.join(explicit)}",
            description="use one authentication method",
            reason=Refusal.SEVERAL_METHODS,
        )
    return explicit


def _assertion(form: Form) -> str | None:
    assertion, kind = form.require("client_assertion"), form.require("client_assertion_type")
    return assertion if kind == JWT_BEARER else None


def _client_id_of(assertion: str | None) -> str:
    if assertion is None:
        raise InvalidClient(f"client_assertion_type: expected {JWT_BEARER}", reason=Refusal.WRONG_METHOD)
    return claimed_subject(assertion)


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
