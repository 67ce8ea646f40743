"""The text form of a distinguished name: a lenient parser of RFC 4514 and its escapes.

Owns spelling, not meaning: what two names have in common is `names`' business. Refuses what is ambiguous: the slash
form, unknown type names, empty values.
"""

import re

from holdfast.x509.der import STRING_CODECS, DerError, read_one, read_string

MAX_LENGTH = 4096
MAX_ATTRIBUTES = 64

TYPES = {
    "cn": "2.5.4.3", "commonname": "2.5.4.3",
    "sn": "2.5.4.4", "surname": "2.5.4.4",
    "serialnumber": "2.5.4.5",
    "c": "2.5.4.6", "countryname": "2.5.4.6",
    "l": "2.5.4.7", "localityname": "2.5.4.7",
    "st": "2.5.4.8", "s": "2.5.4.8", "stateorprovincename": "2.5.4.8",
    "street": "2.5.4.9", "streetaddress": "2.5.4.9",
    "o": "2.5.4.10", "organizationname": "2.5.4.10",
    "ou": "2.5.4.11", "organizationalunitname": "2.5.4.11",
    "title": "2.5.4.12", "t": "2.5.4.12",
    "businesscategory": "2.5.4.15",
    "postalcode": "2.5.4.17",
    "gn": "2.5.4.42", "givenname": "2.5.4.42",
    "initials": "2.5.4.43",
    "generationqualifier": "2.5.4.44",
    "dnqualifier": "2.5.4.46",
    "pseudonym": "2.5.4.65",
    "organizationidentifier": "2.5.4.97",
    "uid": "0.9.2342.19200300.100.1.1", "userid": "0.9.2342.19200300.100.1.1",
    "dc": "0.9.2342.19200300.100.1.25", "domaincomponent": "0.9.2342.19200300.100.1.25",
    "email": "1.2.840.113549.1.9.1", "e": "1.2.840.113549.1.9.1", "emailaddress": "1.2.840.113549.1.9.1",
    "jurisdictionlocalityname": "1.3.6.1.4.1.311.60.2.1.1", "jurisdictionl": "1.3.6.1.4.1.311.60.2.1.1",
    "jurisdictionstateorprovincename": "1.3.6.1.4.1.311.60.2.1.2", "jurisdictionst": "1.3.6.1.4.1.311.60.2.1.2",
    "jurisdictioncountryname": "1.3.6.1.4.1.311.60.2.1.3", "jurisdictionc": "1.3.6.1.4.1.311.60.2.1.3",
}  # fmt: skip
"""Lower-case type name -> object identifier."""

SHORT_NAMES = {
    "2.5.4.3": "CN", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.6": "C",
    "2.5.4.9": "STREET", "0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
}  # fmt: skip
"""The nine names that every RFC 4514 reader knows; others are written as numbers."""

_TYPE = re.compile(r" *(?:[oO][iI][dD]\.)?([A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+) *= *")
_HEX = re.compile(r"#([0-9A-Fa-f]*)")
_PAIR = re.compile(r"[0-9A-Fa-f]{2}")
_SPECIAL = '"+,;<>\\ #='


class DistinguishedNameError(ValueError):
    """The text is no distinguished name; the message says where and what was expected."""


def escape(value: str | bytes) -> str:
    """A value as RFC 4514 writes it."""
    if isinstance(value, bytes):
        return "#" + value.hex()
    text = re.sub(r'(["+,;<>\\])', r"\\\1", value).replace("\0", "\\00")
    if len(value) > 1 and value.endswith(" "):
        text = text[:-1] + "\\ "
    return "\\" + text if value[:1] in (" ", "#") else text


def parse(text: str) -> list[list[tuple[str, str | bytes]]]:
    """RDNs in the order of the text, each a list of (object identifier, value). Raises DistinguishedNameError."""
    if not text.strip():
        raise DistinguishedNameError("expected a distinguished name such as CN=orders,O=Acme, found nothing")
    if len(text) > MAX_LENGTH:
        raise DistinguishedNameError(f"expected at most {MAX_LENGTH} characters, found {len(text)}")
    if text.lstrip().startswith("/"):
        raise DistinguishedNameError("the slash form is ambiguous: write CN=orders,O=Acme, most specific part first")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise DistinguishedNameError("the text holds a lone surrogate, which is no character")
    return _Parser(text).rdns()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.count = 0

    def rdns(self) -> list[list[tuple[str, str | bytes]]]:
        rdns = [[self._attribute()]]
        while self.at < len(self.text):
            separator = self.text[self.at]
            self.at += 1
            if separator == "+":
                rdns[-1].append(self._attribute())
            else:
                rdns.append([self._attribute()])
        return rdns

    def _fail(self, expected: str) -> DistinguishedNameError:
        found = self.text[self.at : self.at + 20]
        return DistinguishedNameError(f"at character {self.at + 1}: expected {expected}, found {found!r}")

    def _attribute(self) -> tuple[str, str | bytes]:
        self.count += 1
        if self.count > MAX_ATTRIBUTES:
            raise self._fail(f"at most {MAX_ATTRIBUTES} attributes")
        match = _TYPE.match(self.text, self.at)
        if match is None:
            raise self._fail("an attribute such as CN=orders")
        oid = self._oid(match[1])
        self.at = match.end()
        value = self._value()
        if not value:
            raise self._fail(f"a value for {match[1]}")
        return oid, value

    def _oid(self, name: str) -> str:
        if name[0].isdigit():
            return ".".join(str(int(part)) for part in name.split("."))
        try:
            return TYPES[name.lower()]
        except KeyError:
            raise self._fail(f"a known attribute type or a number such as 2.5.4.3 instead of {name}") from None

    def _value(self) -> str | bytes:
        if self.text[self.at : self.at + 1] == "#":
            return self._hex_value()
        if self.text[self.at : self.at + 1] == '"':
            return self._quoted()
        return self._plain()

    def _hex_value(self) -> str | bytes:
        match = _HEX.match(self.text, self.at)
        assert match is not None
        try:
            element = read_one(bytes.fromhex(match[1]))
        except (ValueError, DerError) as error:
            raise self._fail(f"the DER of one value in hexadecimal ({error})") from None
        self.at = match.end()
        self._end_of_value()
        text = read_string(element)
        if text is None and element.tag in STRING_CODECS:
            raise self._fail("a string in hexadecimal whose bytes are what its type says")
        return element.raw if text is None else text

    def _quoted(self) -> str:
        self.at += 1
        value = bytearray()
        while (char := self.text[self.at : self.at + 1]) != '"':
            if not char:
                raise self._fail("a closing quote")
            value += self._escaped() if char == "\\" else self._literal(char)
        self.at += 1
        self._end_of_value()
        return self._decode(value)

    def _plain(self) -> str:
        value, kept = bytearray(), 0
        while (char := self.text[self.at : self.at + 1]) and char not in ",;+":
            if char == "\\":
                value += self._escaped()
                kept = len(value)
                continue
            if char in '"<>\0':
                raise self._fail("an escaped character")
            value += self._literal(char)
            if char != " ":
                kept = len(value)
        return self._decode(value[:kept])

    def _literal(self, char: str) -> bytes:
        self.at += 1
        return char.encode()

    def _escaped(self) -> bytes:
        pair = _PAIR.match(self.text, self.at + 1)
        if pair:
            self.at += 3
            return bytes.fromhex(pair[0])
        char = self.text[self.at + 1 : self.at + 2]
        if not char or char not in _SPECIAL:
            raise self._fail("a backslash before two hexadecimal digits or a special character")
        self.at += 2
        return char.encode()

    def _end_of_value(self) -> None:
        while self.text[self.at : self.at + 1] == " ":
            self.at += 1
        if self.at < len(self.text) and self.text[self.at] not in ",;+":
            raise self._fail("a separator or the end")

    def _decode(self, value: bytearray) -> str:
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise self._fail("escaped bytes that are UTF-8") from None
