"""Which headers of a request carry the certificate, and which only look as if they did.

Owns the choice, before any value is read: one field of each name, no twin with underscores, nothing that a `Connection`
header declares to be for one hop. Whatever is in doubt is no certificate, so that the request has never more rights than
without. Must not know what a value means. Neighbours: `formats` names the fields, `adapter` asks.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from holdfast_authserver.transport.forwarded.malformed_field import MalformedField

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(slots=True)
class SelectedFields:
    """`values`: by name, not empty. `ignored`: why what was there does not count, for the log. `size`: octets of values."""

    values: dict[str, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    size: int = 0

    def ignore_all(self, why: str) -> None:
        """Count none of them."""
        if self.values:
            self.ignored.append(f"{', '.join(self.values)}: {why}")
            self.values.clear()


def select_fields(headers: Headers, names: Mapping[bytes, str], lists: frozenset[str] = frozenset()) -> SelectedFields:
    """`headers`: names in lower case, as ASGI has them. `names`: of the one format, and `lists` those of them that may
    come in several lines (RFC 9110 section 5.3). Raises MalformedField for any other that comes twice.
    """
    selected, hops = SelectedFields(), b""
    for name, value in headers:
        known = names.get(name)
        if known is not None:
            _add(selected, known, value, many=known in lists)
        elif name == b"connection":
            hops += b"," + value.lower()
        elif b"_" in name and (twin := names.get(name.replace(b"_", b"-"))) is not None:
            selected.ignored.append(f"{name.decode('latin-1')}: expected the name {twin}")
    named = [name.strip().decode("latin-1") for name in hops.split(b",") if name.strip().replace(b"_", b"-") in names]
    if named:
        selected.ignore_all(f"the Connection header names {', '.join(named)}")
    return selected


def _add(selected: SelectedFields, name: str, value: bytes, *, many: bool) -> None:
    selected.size += len(value)
    if not value.strip():
        return  # the same as absent: how a terminator says that there was no certificate
    try:
        text = value.decode("ascii")
    except UnicodeDecodeError as error:
        raise MalformedField(f"{name}: expected ASCII, found octet {value[error.start]:#04x}") from error
    if name not in selected.values:
        selected.values[name] = text
    elif many:
        selected.values[name] += f", {text}"
    else:
        raise MalformedField(f"{name}: expected one field, found several")
