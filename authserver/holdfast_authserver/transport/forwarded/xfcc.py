"""`x-forwarded-client-cert` (XFCC) as Envoy and Istio write it.

A list of elements, one for each proxy; an element is a list of pairs, and a value that holds a separator is in quotes.
Only `Cert` is taken for a certificate, and `Hash` and `Chain` must agree with it. Envoy writes `URI` and `DNS` without
quotes, so whoever chooses the names of a certificate can write a comma and a further element: there must never be more
elements than proxies, and no key that means something may come twice.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping

from holdfast_authserver.transport.forwarded.encodings import escaped_pem, one_escaped_pem
from holdfast_authserver.transport.forwarded.malformed_field import MalformedField

FIELD = "x-forwarded-client-cert"
_PAIR = re.compile(r'[ \t]*([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^",;]*))[ \t]*')
_ESCAPE = re.compile(r"\\(.)")
_MAX_ELEMENTS = 16  # proxies in a row; a header of nothing but commas must not cost more than a look
Element = dict[str, str]


def read_xfcc(values: Mapping[str, str], *, hops: int) -> tuple[bytes, ...]:
    """DER of the leaf and of what came with it, from the element of the outermost of `hops` trusted proxies.

    With one proxy that is the last element. Fewer elements than proxies: the outermost saw no certificate. Raises
    MalformedField; also for more elements than proxies, and for an element without `Cert`.
    """
    if FIELD not in values:
        return ()
    elements = list(_elements(values[FIELD]))
    if len(elements) > hops:
        raise MalformedField(f"{FIELD}: expected at most {hops} elements (forwarded_trusted_hops), found {len(elements)}")
    return _certificates(elements[-hops]) if len(elements) == hops else ()


def _certificates(element: Element) -> tuple[bytes, ...]:
    if "cert" not in element:
        raise MalformedField(f"{FIELD}: expected Cert in the element, found {', '.join(element) or 'nothing'}")
    leaf = one_escaped_pem(f"{FIELD}: Cert", element["cert"])
    digest = hashlib.sha256(leaf).hexdigest()
    if element.get("hash", digest).lower() != digest:
        raise MalformedField(f"{FIELD}: Hash is not that of Cert, {digest}")
    if not element.get("chain"):
        return (leaf,)
    chain = escaped_pem(f"{FIELD}: Chain", element["chain"])
    if chain[0] != leaf:
        raise MalformedField(f"{FIELD}: expected Chain to begin with Cert")
    return chain


def _elements(text: str) -> Iterator[Element]:
    element: Element = {}
    for count, (key, value, separator) in enumerate(_pairs(text)):
        if count >= _MAX_ELEMENTS * 64:
            raise MalformedField(f"{FIELD}: expected at most {_MAX_ELEMENTS} elements of 64 pairs")
        if key in element and key in ("cert", "chain", "hash"):
            raise MalformedField(f"{FIELD}: {key} stands twice in an element")
        element[key] = value
        if separator == ",":
            yield element
            element = {}
    yield element


def _pairs(text: str) -> Iterator[tuple[str, str, str]]:
    """Key in lower case (Envoy takes any), value without quotes and escapes, and what stands behind: `;`, `,` or nothing."""
    position = 0
    while True:
        pair = _PAIR.match(text, position)
        if pair is None:
            raise MalformedField(f"{FIELD}: expected key=value, found {text[position : position + 20]!r}")
        key, quoted, bare = pair.groups()
        separator = text[pair.end() : pair.end() + 1]
        if separator not in ("", ",", ";"):
            raise MalformedField(f"{FIELD}: expected a separator behind {key}, found {separator!r}")
        yield key.lower(), _ESCAPE.sub(r"\1", quoted) if quoted is not None else bare, separator
        if not separator:
            return
        position = pair.end() + 1
