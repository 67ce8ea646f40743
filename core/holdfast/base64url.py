"""base64url without padding (RFC 7515 section 2), as tokens, JWS and thumbprints have it.

Owns that bytes have one text alone, so that whoever changes a text changes what it says. Must not know what is encoded.
"""

import base64


def to_base64url(data: bytes) -> bytes:
    """The text, in ASCII."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def from_base64url(text: bytes) -> bytes:
    """The way back. Raises ValueError for what is no base64url, and for every other text than the one of its bytes."""
    data = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if to_base64url(data) != text:
        raise ValueError("expected the one base64url text of these bytes, found another")
    return data
