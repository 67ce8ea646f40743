"""Patterns by which a policy says which subjects may be claimed.

`*` stands for one path segment of a URI or one label of a host name; IP patterns are CIDRs; e-mail patterns are a
mailbox or `*@host`; DN patterns are trailing RDNs. Must not know which policy a pattern came from.
"""

import ipaddress
from dataclasses import dataclass

from holdfast.x509.names import DistinguishedName, DistinguishedNameError, parse_dn
from holdfast.x509.subject import SubjectKind, SubjectRule, SubjectRuleError, parse_subject_rule


@dataclass(frozen=True, slots=True)
class SubjectPattern:
    """A checked pattern; `parts` is what its kind compares."""

    kind: SubjectKind
    text: str
    parts: tuple[str, ...] = ()


def parse_subject_pattern(kind: SubjectKind, pattern: str) -> SubjectPattern:
    """Raises SubjectRuleError, naming what was expected."""
    if kind is SubjectKind.IP:
        return SubjectPattern(kind, pattern, (str(_network(pattern)),))
    if kind is SubjectKind.DN:
        return SubjectPattern(kind, pattern, (_name(pattern).text,))
    filled = parse_subject_rule(kind, _fill(kind, pattern)).canonical
    return SubjectPattern(kind, pattern, _split(kind, filled))


_STAR = "holdfast-star"
"""Stands in for `*` while a pattern is checked as an ordinary value."""


def _fill(kind: SubjectKind, pattern: str) -> str:
    separator = {SubjectKind.URI: "/", SubjectKind.DNS: ".", SubjectKind.EMAIL: "@"}[kind]
    parts = pattern.split(separator)
    if kind is SubjectKind.EMAIL and "*" in parts[1:]:
        raise SubjectRuleError(f"email: `*` may stand for the part before the @ only, found {pattern!r}")
    if kind is SubjectKind.URI and "*" in parts[:3]:
        raise SubjectRuleError(f"uri: `*` stands for one path segment, never for scheme or host, found {pattern!r}")
    if any("*" in part and part != "*" for part in parts) or _STAR in pattern:
        raise SubjectRuleError(f"{kind}: `*` stands for a whole segment or label, found {pattern!r}")
    return separator.join(_STAR if part == "*" else part for part in parts)


def _split(kind: SubjectKind, canonical: str) -> tuple[str, ...]:
    separator = {SubjectKind.URI: "/", SubjectKind.DNS: ".", SubjectKind.EMAIL: "@"}[kind]
    return tuple("*" if part == _STAR else part for part in canonical.split(separator))


def _network(pattern: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(pattern)
    except ValueError as error:
        raise SubjectRuleError(f"ip: expected a CIDR such as 10.0.0.0/8, found {pattern!r} ({error})") from None


def _name(pattern: str) -> DistinguishedName:
    try:
        return parse_dn(pattern)
    except DistinguishedNameError as error:
        raise SubjectRuleError(f"dn: {error}") from None


def subject_allowed(rule: SubjectRule, pattern: SubjectPattern) -> bool:
    """Whether every certificate that satisfies `rule` is inside `pattern`."""
    if rule.kind is not pattern.kind:
        return False
    if rule.kind is SubjectKind.IP:
        return ipaddress.ip_address(rule.canonical) in ipaddress.ip_network(pattern.parts[0])
    if rule.kind is SubjectKind.DN:
        return parse_dn(rule.value).ends_with(parse_dn(pattern.parts[0]))
    asked = _split(rule.kind, rule.canonical)
    return len(asked) == len(pattern.parts) and all(map(_part_allowed, pattern.parts, asked))


def _part_allowed(want: str, have: str) -> bool:
    """`*` takes a plain segment only: no query or fragment, and nothing that a reader may resolve to another path."""
    if want != "*":
        return want == have
    return have not in ("", ".", "..") and not set("?#%") & set(have)
