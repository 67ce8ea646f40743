"""Just enough DER to read a name from its own bytes: tag, length, value; object identifiers; string types.

Must not interpret anything beyond X.690's basic rules. Neighbours: `names` uses it for certificates and `#hex` values.
"""

from collections.abc import Iterator
from typing import NamedTuple

SEQUENCE, SET, OBJECT_IDENTIFIER = 0x30, 0x31, 0x06
STRING_CODECS = {
    0x0C: "utf-8",  # UTF8String
    0x12: "ascii",  # NumericString
    0x13: "ascii",  # PrintableString
    0x14: "latin-1",  # TeletexString, as everybody really uses it
    0x16: "ascii",  # IA5String
    0x1A: "ascii",  # VisibleString
    0x1C: "utf-32-be",  # UniversalString
    0x1E: "utf-16-be",  # BMPString
}


MAX_OID = 63
"""Bytes; more than any registered identifier, and few enough that reading one costs nothing."""


class DerError(ValueError):
    """The bytes are not the DER they should be."""


class Element(NamedTuple):
    """One tag-length-value. `raw` are its bytes from the tag on."""

    tag: int
    content: bytes
    raw: bytes


def read_one(data: bytes) -> Element:
    """The one element that `data` is. Raises DerError when bytes are missing or left over."""
    elements = list(read_all(data))
    if len(elements) != 1:
        raise DerError(f"expected one element, found {len(elements)}")
    return elements[0]


def read_all(data: bytes) -> Iterator[Element]:
    """The elements that follow each other in `data`. Raises DerError."""
    at = 0
    while at < len(data):
        start = at
        if len(data) - at < 2:
            raise DerError("truncated before the length")
        tag, length, at = data[at], data[at + 1], at + 2
        if tag & 0x1F == 0x1F:
            raise DerError("a tag number above 30 has no place in a name")
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= 4 or len(data) - at < count:
                raise DerError("indefinite, oversized or truncated length")
            length, at = int.from_bytes(data[at : at + count], "big"), at + count
        if len(data) - at < length:
            raise DerError(f"truncated: {length} bytes announced, {len(data) - at} left")
        yield Element(tag, data[at : at + length], data[start : at + length])
        at += length


def read_oid(content: bytes) -> str:
    """The dotted form of an object identifier's content bytes. Raises DerError."""
    if not 0 < len(content) <= MAX_OID or content[-1] & 0x80:
        raise DerError("truncated or oversized object identifier")
    numbers, value = [], 0
    for byte in content:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(str(n) for n in (first, numbers[0] - 40 * first, *numbers[1:]))


def read_string(element: Element) -> str | None:
    """The text of a string type, or None when it is none or its bytes are not what its type says."""
    codec = STRING_CODECS.get(element.tag)
    if codec is None:
        return None
    try:
        return element.content.decode(codec)
    except UnicodeDecodeError:
        return None
