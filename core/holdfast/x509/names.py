"""Distinguished names: read from DER, parsed from RFC 4514 text, compared by `distinguishedNameMatch`.

Owns the judgement whether two names are the same (RFC 4517 section 4.2.15, RFC 5280 section 7.1), narrowed so that
characters nobody can see never make two different names equal. Must not know certificates or policy.
Neighbours: `der` and `dn_text` read, `preparation` folds.
"""

import unicodedata
from dataclasses import dataclass
from functools import cached_property

from holdfast.x509 import dn_text
from holdfast.x509.der import OBJECT_IDENTIFIER, SEQUENCE, SET, DerError, read_all, read_oid, read_one, read_string
from holdfast.x509.dn_text import DistinguishedNameError
from holdfast.x509.preparation import comparison_key, hidden_character

__all__ = ["Attribute", "DistinguishedName", "DistinguishedNameError", "parse_dn", "read_name"]


@dataclass(frozen=True)
class Attribute:
    """One type and value. `value` is text where its ASN.1 type is a string, else the DER of the value."""

    oid: str
    value: str | bytes

    @cached_property
    def key(self) -> object:
        """What is compared; None compares equal to nothing."""
        if isinstance(self.value, bytes):
            return self.oid, self.value
        key = comparison_key(self.oid, self.value)
        return None if key is None else (self.oid, key)

    @property
    def exact_key(self) -> object:
        """What is compared where case and blanks count as well; two that are equal in it have equal keys."""
        value = self.value if isinstance(self.value, bytes) else unicodedata.normalize("NFC", self.value)
        return self.oid, value

    @property
    def text(self) -> str:
        return f"{dn_text.SHORT_NAMES.get(self.oid, self.oid)}={dn_text.escape(self.value)}"


@dataclass(frozen=True)
class DistinguishedName:
    """RDNs in the order of their encoding: the most general first, as in DER, the reverse of the text form."""

    rdns: tuple[tuple[Attribute, ...], ...]

    @cached_property
    def _keys(self) -> tuple[object, ...] | None:
        keys = []
        for rdn in self.rdns:
            found = [a.key for a in rdn]
            if None in found:
                return None
            keys.append(tuple(sorted(found, key=repr)))
        return tuple(keys)

    def matches(self, other: "DistinguishedName", *, exact: bool = False) -> bool:
        """distinguishedNameMatch: same RDNs in the same order, attributes inside one RDN in any order.

        `exact`: values besides are the same character for character, so that it never says yes where the rule says no.
        """
        if not self.rdns or self._keys is None or self._keys != other._keys:
            return False
        return not exact or self._exact_keys() == other._exact_keys()

    def _exact_keys(self) -> list[list[object]]:
        return [sorted((a.exact_key for a in rdn), key=repr) for rdn in self.rdns]

    def ends_with(self, trailing: "DistinguishedName") -> bool:
        """Whether the most general RDNs (the end of the text form) are those of `trailing`."""
        if self._keys is None or not trailing._keys:
            return False
        return self._keys[: len(trailing._keys)] == trailing._keys

    def reversed(self) -> "DistinguishedName":
        """The name as somebody meant it who wrote it in the order of `openssl x509 -subject`."""
        return DistinguishedName(self.rdns[::-1])

    @property
    def text(self) -> str:
        """RFC 4514: the most specific RDN first."""
        return ",".join("+".join(a.text for a in rdn) for rdn in reversed(self.rdns))

    @property
    def canonical(self) -> str:
        """A text that two names share exactly when they match (each value folded, each RDN sorted)."""
        return ",".join("+".join(sorted(_folded(a) for a in rdn)) for rdn in reversed(self.rdns))

    def __str__(self) -> str:
        return self.text


def _folded(attribute: Attribute) -> str:
    if isinstance(attribute.value, bytes):
        return attribute.text
    key = comparison_key(attribute.oid, attribute.value)
    return Attribute(attribute.oid, attribute.value if key is None else key).text


def parse_dn(text: str) -> DistinguishedName:
    """Read a name as people register it: RFC 4514, the usual further short names, blanks around separators.

    Raises DistinguishedNameError, also for a value with characters that cannot be seen or that look like others.
    """
    rdns = tuple(tuple(Attribute(oid, value) for oid, value in rdn) for rdn in dn_text.parse(text))
    for attribute in (a for rdn in rdns for a in rdn):
        _refuse_hidden(attribute)
    return DistinguishedName(rdns[::-1])


def _refuse_hidden(attribute: Attribute) -> None:
    if isinstance(attribute.value, str) and (found := hidden_character(attribute.value)) is not None:
        name = dn_text.SHORT_NAMES.get(attribute.oid, attribute.oid)
        raise DistinguishedNameError(f"the value of {name} holds {found}, which cannot be told from other text")
    if attribute.key is None:
        raise DistinguishedNameError(f"the value of {attribute.oid} has characters its type does not allow")


def read_name(der: bytes) -> DistinguishedName:
    """Read a Name from its DER. Raises DerError when the structure is not a Name's; odd values just match nothing."""
    outer = read_one(der)
    if outer.tag != SEQUENCE:
        raise DerError("a Name is a SEQUENCE")
    return DistinguishedName(tuple(_read_rdn(rdn.tag, rdn.content) for rdn in read_all(outer.content)))


def _read_rdn(tag: int, content: bytes) -> tuple[Attribute, ...]:
    if tag != SET:
        raise DerError("a RelativeDistinguishedName is a SET")
    return tuple(_read_attribute(pair.content) for pair in read_all(content))


def _read_attribute(content: bytes) -> Attribute:
    parts = list(read_all(content))
    if len(parts) != 2 or parts[0].tag != OBJECT_IDENTIFIER:
        raise DerError("an AttributeTypeAndValue is an object identifier and a value")
    text = read_string(parts[1])
    return Attribute(read_oid(parts[0].content), parts[1].raw if text is None else text)
