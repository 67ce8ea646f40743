"""RFC 4518 string preparation, narrowed: what remains is case folding and blanks, which is what people expect.

Owns which characters a name's value may hold and when two values are equal. The full rule maps soft hyphens and NUL to
nothing and folds look-alike forms, so a CA that compares raw strings could be talked into a name that equals another's.
"""

import re
import stringprep
import unicodedata

CASE_IGNORE = frozenset(f"2.5.4.{n}" for n in (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 17, 42, 43, 44, 46, 65, 97)) | frozenset(
    {"0.9.2342.19200300.100.1.1"} | {f"1.3.6.1.4.1.311.60.2.1.{n}" for n in (1, 2, 3)}
)
"""Attribute types compared by caseIgnoreMatch."""
CASE_IGNORE_IA5 = frozenset({"0.9.2342.19200300.100.1.25", "1.2.840.113549.1.9.1"})
"""Attribute types compared by caseIgnoreIA5Match: DC and emailAddress."""

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
_MAPPED_TO_NOTHING = frozenset("\u00ad\u034f\u1806\ufffc") | {
    chr(c) for c in (*range(0x180B, 0x180E), *range(0xFE00, 0xFE10))
}


def hidden_character(value: str) -> str | None:
    """Why `value` is refused in a name, as `U+200B` and alike; None when there is nothing to refuse."""
    for char in value:
        if _is_hidden(char):
            return f"U+{ord(char):04X}"
    composed = unicodedata.normalize("NFC", value)
    if unicodedata.normalize("NFKC", composed) != composed:
        odd = next((c for c in composed if unicodedata.normalize("NFKC", c) != c), composed[0])
        return f"U+{ord(odd):04X}"
    return None


def _is_hidden(char: str) -> bool:
    category = unicodedata.category(char)
    if category in _HIDDEN_CATEGORIES or (category == "Zs" and char != " "):
        return True
    return char in _MAPPED_TO_NOTHING or stringprep.in_table_b1(char)


def comparison_key(oid: str, value: str) -> str | None:
    """The text by which a value is compared; None: it equals nothing."""
    if hidden_character(value) is not None:
        return None
    composed = unicodedata.normalize("NFC", value)
    if oid in CASE_IGNORE_IA5:
        return _collapse(composed.lower()) if composed.isascii() else None
    if oid not in CASE_IGNORE or _newer_than_unicode_3_2(composed):
        return composed
    # Composed again: `J` and a caron are two characters, `ǰ` is one.
    return _collapse(unicodedata.normalize("NFC", "".join(_fold(char) for char in composed)))


def _newer_than_unicode_3_2(value: str) -> bool:
    return any(unicodedata.ucd_3_2_0.category(char) == "Cn" for char in value)


def _fold(char: str) -> str:
    """Table B.2, but only where one character stays one: `ß` is not `ss`."""
    folded = stringprep.map_table_b2(char)
    return folded if len(folded) == 1 else char


def _collapse(value: str) -> str:
    return re.sub(" +", " ", value.strip(" "))
