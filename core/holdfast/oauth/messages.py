"""What a client sends to a direct endpoint: the form, and the requests that are read from it.

Owns the syntax: `application/x-www-form-urlencoded` in UTF-8, each parameter once (RFC 6749 section 3.2), scope and
resource values. Knows no client and decides nothing. Everything behind it sees values, never a form.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from holdfast.oauth.errors import InvalidRequest, InvalidScope, InvalidTarget

MAX_PARAMETERS = 64
"""More than any message of this server names; a bound on work."""

REPEATABLE = frozenset({"resource"})
"""Parameters that a specification allows to repeat (RFC 8707 section 2)."""

PARAMETERS = frozenset(
    {"grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "scope", "resource"}
    | {"token", "token_type_hint"}
)
"""The parameters that mean something at a direct endpoint, and so may not stand in its URL."""

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")
_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]+")
_MAX_VALUE = 2048  # characters of a scope or a resource; longer ones are refused before any comparison


class Form:
    """The parameters of one message. An empty value counts as absent (RFC 6749 section 3.2)."""

    __slots__ = ("is_kept", "repeated", "token_request", "values")

    def __init__(self, values: Mapping[str, str], repeated: Mapping[str, tuple[str, ...]]) -> None:
        self.values = values
        self.repeated = repeated
        self.is_kept = False
        """Whether `parse_form` gives this very form out again for the same bytes: there is no secret in it."""
        self.token_request: TokenRequest | None = None
        """What `TokenRequest.from_form` has read of it."""

    def get(self, name: str) -> str | None:
        """The value, or None when absent or empty."""
        return self.values.get(name) or None

    def require(self, name: str) -> str:
        """The value. Raises InvalidRequest when absent or empty."""
        value = self.values.get(name)
        if not value:
            raise InvalidRequest(f"parameter {name} is missing", description=f"{name} is missing")
        return value

    def all(self, name: str) -> tuple[str, ...]:
        """The non-empty values of a repeatable parameter, in order."""
        return self.repeated.get(name, ())


def parse_form(body: bytes) -> Form:
    """Read a form. Raises InvalidRequest: bad escapes, bad UTF-8, a name without `=`, a parameter that repeats (M-03)."""
    known = _KNOWN.get(body)
    if known is not None:
        return known
    form = _read_form(body)
    if len(body) <= _MAX_KNOWN_BODY and form.values.keys() <= _PUBLIC:
        if len(_KNOWN) >= _MAX_KNOWN:
            _KNOWN.clear()
        _KNOWN[body] = form
        form.is_kept = True
    return form


_KNOWN: dict[bytes, Form] = {}
"""Short forms without a secret in them: a machine client sends the very same one for each of its tokens."""
_MAX_KNOWN, _MAX_KNOWN_BODY = 1024, 512
_PUBLIC = frozenset({"grant_type", "client_id", "scope"})


def _read_form(body: bytes) -> Form:
    values: dict[str, str] = {}
    repeated: dict[str, tuple[str, ...]] = {}
    pairs = body.split(b"&") if body else []
    if len(pairs) > MAX_PARAMETERS:
        raise InvalidRequest(f"expected at most {MAX_PARAMETERS} parameters, found {len(pairs)}")
    for pair in pairs:
        raw_name, equals, raw_value = pair.partition(b"=")
        if not equals:
            raise InvalidRequest("a parameter has no =")
        name, value = _decode(raw_name), _decode(raw_value)
        if name in REPEATABLE:
            repeated[name] = (*repeated.get(name, ()), value) if value else repeated.get(name, ())
        elif name in values:
            raise InvalidRequest(f"parameter {name[:40]!r} repeats", description="a parameter repeats")
        else:
            values[name] = value
    return Form(MappingProxyType(values), MappingProxyType(repeated))


def _decode(raw: bytes) -> str:
    try:
        if b"%" not in raw and b"+" not in raw:
            return raw.decode("ascii")
        if _BAD_ESCAPE.search(raw):
            raise InvalidRequest("a parameter has a malformed percent-encoding")
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest("a parameter is not UTF-8, percent-encoded") from error


class TokenRequest(NamedTuple):
    """A token request without its client authentication (RFC 6749 section 4.4.2, RFC 8707 section 2).

    `scope` None: not asked for. `resource` None: not asked for.
    """

    grant_type: str
    scope: tuple[str, ...] | None
    resource: str | None

    @classmethod
    def from_form(cls, form: Form) -> "TokenRequest":
        """Raises InvalidRequest, InvalidScope, InvalidTarget."""
        if form.token_request is None:
            form.token_request = cls(
                grant_type=form.require("grant_type"),
                scope=parse_scope(form.get("scope")),
                resource=parse_resource(form.all("resource")),
            )
        return form.token_request


def parse_scope(text: str | None) -> tuple[str, ...] | None:
    """Scope values in order, without repeats (RFC 6749 section 3.3). Raises InvalidScope."""
    if text is None:
        return None
    if len(text) > _MAX_VALUE or not _SCOPE.fullmatch(text):
        raise InvalidScope("scope is not a list of scope tokens with one space between")
    return tuple(dict.fromkeys(text.split(" ")))


def parse_resource(values: tuple[str, ...]) -> str | None:
    """The one resource asked for. Raises InvalidTarget: not an absolute URI, a fragment, or more than one.

    One token is for one audience here (RFC 9700 section 2.3), so several resources need several requests.
    """
    if not values:
        return None
    if len(set(values)) > 1:
        raise InvalidTarget(f"expected one resource, found {len(values)}", description="ask for one resource at a time")
    value = values[0]
    if len(value) > _MAX_VALUE or not _ABSOLUTE_URI.fullmatch(value) or not _splits(value):
        raise InvalidTarget("resource is not an absolute URI without fragment")
    return value


def _splits(value: str) -> bool:
    try:
        urlsplit(value)
    except ValueError:  # an unclosed bracket in the host
        return False
    return True
