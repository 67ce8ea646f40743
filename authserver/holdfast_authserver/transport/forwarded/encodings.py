"""The older ways of putting a certificate into a header: PEM with percent-encoding, and base64 without armour.

`+` stands for itself, as nginx and AWS mean it: a form decoder would make a space of it and break base64.
Neighbours: `xfcc`, `nginx`, `alb` and `traefik` are built from these.
"""

import base64
import binascii
import re
from urllib.parse import unquote_to_bytes

from holdfast_authserver.transport.forwarded.malformed_field import MalformedField

_ESCAPED = re.compile(r"(?:[!-$&-~]|%[0-9A-Fa-f]{2})*")
_BLOCK = re.compile(rb"\s*-----BEGIN CERTIFICATE-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END CERTIFICATE-----\s*")


def escaped_pem(field: str, text: str) -> tuple[bytes, ...]:
    """The DER of each certificate of a percent-encoded PEM text, at least one. Raises MalformedField."""
    if _ESCAPED.fullmatch(text) is None:
        raise MalformedField(f"{field}: expected percent-encoded text, found a stray % or a character that is no ASCII")
    pem, position, found = unquote_to_bytes(text), 0, []
    while position < len(pem):
        block = _BLOCK.match(pem, position)
        if block is None:
            raise MalformedField(f"{field}: expected PEM blocks of certificates, found {pem[position : position + 28]!r}")
        found.append(bare_base64(field, re.sub(rb"[\r\n]", b"", block[1])))
        position = block.end()
    if not found:
        raise MalformedField(f"{field}: expected a certificate, found none")
    return tuple(found)


def one_escaped_pem(field: str, text: str) -> bytes:
    """The DER of the only certificate of a percent-encoded PEM text. Raises MalformedField."""
    found = escaped_pem(field, text)
    if len(found) != 1:
        raise MalformedField(f"{field}: expected one certificate, found {len(found)}")
    return found[0]


def bare_base64(field: str, text: str | bytes) -> bytes:
    """Base64 of the standard alphabet with its padding (RFC 4648 section 4). Raises MalformedField."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedField(f"{field}: expected base64, and {error}") from error
    if not value:
        raise MalformedField(f"{field}: expected base64, found nothing")
    return value
