"""Structured field values (RFC 8941, RFC 9651), as far as RFC 9440 uses them: byte sequences, and lists of them.

A tokenizer by the algorithms of RFC 8941 section 4.2, strict where that leaves a choice: padding is needed, bits behind
the end are zero, and parameters are refused, since `Client-Cert` is an `sf-binary` and has none. Knows no certificates.
"""

import base64
import re
from collections.abc import Iterator

from holdfast_authserver.transport.forwarded.malformed_field import MalformedField

_BYTE_SEQUENCE = re.compile(r":((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?):")
_COMMA = re.compile(r"[ \t]*,[ \t]*")


def byte_sequence(field: str, text: str) -> bytes:
    """An Item that is a Byte Sequence (RFC 8941 section 3.3.5). Raises MalformedField."""
    value, end = _read(field, text, 0)
    if end != len(text):
        raise MalformedField(f"{field}: expected one byte sequence, found {_shown(text, end)} behind it")
    return value


def byte_sequences(field: str, text: str) -> tuple[bytes, ...]:
    """A List of Byte Sequences (RFC 8941 section 3.1). Raises MalformedField."""
    return tuple(_members(field, text))


def _members(field: str, text: str) -> Iterator[bytes]:
    position = 0
    while True:
        value, position = _read(field, text, position)
        yield value
        if position == len(text):
            return
        comma = _COMMA.match(text, position)
        if comma is None:
            raise MalformedField(f"{field}: expected a comma between byte sequences, found {_shown(text, position)}")
        position = comma.end()


def _read(field: str, text: str, position: int) -> tuple[bytes, int]:
    """The byte sequence that begins at `position`, and where it ends."""
    found = _BYTE_SEQUENCE.match(text, position)
    if found is None:
        raise MalformedField(f"{field}: expected a byte sequence between colons, found {_shown(text, position)}")
    value = base64.b64decode(found[1])
    if base64.b64encode(value).decode() != found[1]:
        raise MalformedField(f"{field}: expected base64 without bits behind the end")
    return value, found.end()


def _shown(text: str, position: int) -> str:
    return repr(text[position : position + 20]) if position < len(text) else "the end"
