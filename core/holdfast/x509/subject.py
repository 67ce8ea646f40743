"""The five subject rules of RFC 8705 section 2.1.2: how one is registered, and which certificate satisfies it.

Owns: what a registered value may look like, its canonical form, and whether a leaf satisfies it. Each kind is compared
only with entries of its own kind; there is no fall-back to the common name.
Must not know policies or clients. Neighbours: `names` (DNs), `certificate`, `patterns`.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from holdfast.x509.certificate import Certificate
from holdfast.x509.names import DistinguishedNameError, parse_dn

MAX_VALUE = 2048
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")
"""The characters of RFC 3986; an absolute URI in its sense of having a scheme."""
_SPIFFE_ID = re.compile(r"spiffe://[a-z0-9._-]{1,255}(?:/[A-Za-z0-9._-]+)*")
_LOCAL_PART = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}")


class SubjectKind(StrEnum):
    """Which of the five a rule is."""

    DN = "dn"
    DNS = "dns"
    URI = "uri"
    IP = "ip"
    EMAIL = "email"


class SubjectRuleError(ValueError):
    """A value cannot be a rule of its kind; the message says what was expected."""


class SubjectMismatch(Exception):
    """The certificate does not satisfy the rule. `reasons`: for the audit log, never for the caller."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        self.reasons = reasons
        super().__init__("; ".join(reasons))


@dataclass(frozen=True, slots=True)
class SubjectRule:
    """`value` as registered and read back, `canonical` as compared."""

    kind: SubjectKind
    value: str
    canonical: str


def parse_subject_rule(kind: SubjectKind, value: str) -> SubjectRule:
    """Raises SubjectRuleError (RFC 8705 section 2.1.2; RFC 7591's invalid_client_metadata)."""
    if not value or len(value) > MAX_VALUE:
        raise SubjectRuleError(f"{kind}: expected 1 to {MAX_VALUE} characters, found {len(value)}")
    return SubjectRule(kind, value, _CANONICAL[kind](value))


def _canonical_dn(value: str) -> str:
    try:
        return parse_dn(value).canonical
    except DistinguishedNameError as error:
        raise SubjectRuleError(f"dn: {error}") from None


def _canonical_dns(value: str) -> str:
    name = value
    if not value.isascii():
        try:
            name = value.encode("idna").decode()
        except UnicodeError as error:
            raise SubjectRuleError(f"dns: {value!r} is no host name ({error})") from None
    name = name.lower()
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise SubjectRuleError(f"dns: expected a host name without wildcard or trailing dot, found {value!r}")
    if labels[-1].isdigit():
        raise SubjectRuleError(f"dns: expected a host name, found {value!r}, which reads as an IP address (use ip)")
    return name


def _canonical_uri(value: str) -> str:
    if not _URI.fullmatch(value):
        raise SubjectRuleError(f"uri: expected an absolute URI of the characters of RFC 3986, found {value!r}")
    try:
        parts = urlsplit(value)
    except ValueError as error:
        raise SubjectRuleError(f"uri: {value!r} is no URI ({error})") from None
    scheme = parts.scheme.lower()
    if scheme != "spiffe":
        return f"{scheme}:{_lower_authority(value[len(parts.scheme) + 1 :])}"
    if not _SPIFFE_ID.fullmatch(value) or {".", ".."} & set(parts.path.split("/")):
        raise SubjectRuleError(f"uri: expected a SPIFFE ID such as spiffe://cluster.local/ns/a/sa/b, found {value!r}")
    return value


def _lower_authority(rest: str) -> str:
    if not rest.startswith("//"):
        return rest
    end = next((i for i, char in enumerate(rest) if i > 1 and char in "/?#"), len(rest))
    user, at, host = rest[2:end].rpartition("@")
    return f"//{user}{at}{host.lower()}{rest[end:]}"


def _canonical_ip(value: str) -> str:
    if "%" in value:
        raise SubjectRuleError(f"ip: expected an address without zone, found {value!r}")
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise SubjectRuleError(f"ip: expected one IPv4 or IPv6 address, found {value!r}") from None


def _canonical_email(value: str) -> str:
    local, at, domain = value.rpartition("@")
    if not at or not _LOCAL_PART.fullmatch(local) or local.startswith(".") or local.endswith(".") or ".." in local:
        raise SubjectRuleError(f"email: expected one mailbox such as orders@example.org, found {value!r}")
    try:
        return f"{local}@{_canonical_dns(domain)}"
    except SubjectRuleError:
        raise SubjectRuleError(f"email: expected a host name after the @, found {value!r}") from None


_CANONICAL: Mapping[SubjectKind, Callable[[str], str]] = {
    SubjectKind.DN: _canonical_dn,
    SubjectKind.DNS: _canonical_dns,
    SubjectKind.URI: _canonical_uri,
    SubjectKind.IP: _canonical_ip,
    SubjectKind.EMAIL: _canonical_email,
}


def verify_subject(certificate: Certificate, rule: SubjectRule, *, exact_dn: bool = False) -> None:
    """Raises SubjectMismatch unless the leaf has an entry of the rule's kind that equals it (RFC 8705 section 2.1).

    `exact_dn`: values of distinguished names compare character for character instead of by their types' own rules.
    """
    if rule.kind is SubjectKind.DN:
        return _verify_dn(certificate, rule, exact_dn)
    if any(_same(rule, entry) for entry in _entries(certificate, rule.kind)):
        return None
    raise SubjectMismatch((f"expected {rule.kind} {rule.value!r}, the certificate has {shown(certificate, rule.kind)}",))


def shown(certificate: Certificate, kind: SubjectKind) -> str:
    """What a certificate has of a kind, for people: at most five entries, cut short."""
    if kind is SubjectKind.DN:
        return repr(certificate.subject.text[:300])
    return ", ".join(repr(entry[:120]) for entry in _entries(certificate, kind)[:5]) or "none"


def _verify_dn(certificate: Certificate, rule: SubjectRule, exact: bool) -> None:
    expected = parse_dn(rule.value)
    actual = certificate.subject
    if actual.matches(expected, exact=exact):
        return
    reasons = [f"expected dn {rule.value!r}, the certificate has {shown(certificate, rule.kind)}"]
    if actual.matches(expected):
        reasons.append("they differ in case or blanks only, and the policy compares exactly")
    if actual.matches(expected.reversed()):
        reasons.append(f"the registered DN is reversed: write it as {expected.reversed().text!r}")
    raise SubjectMismatch(tuple(reasons))


def _entries(certificate: Certificate, kind: SubjectKind) -> tuple[str, ...]:
    if kind is SubjectKind.DNS:
        return certificate.dns_names
    if kind is SubjectKind.URI:
        return certificate.uris
    if kind is SubjectKind.EMAIL:
        return certificate.email_addresses
    return tuple(str(address) for address in certificate.ip_addresses)


def _same(rule: SubjectRule, entry: str) -> bool:
    """Whether a certificate's entry equals the rule; an entry that is malformed for its kind equals nothing."""
    if not entry.isascii():
        # A U-label is converted at registration, never in a certificate, where it has no place (RFC 5280 section 7.2).
        return False
    if rule.kind is SubjectKind.DNS:
        return entry.lower() == rule.canonical
    try:
        return _CANONICAL[rule.kind](entry) == rule.canonical
    except SubjectRuleError:
        return False
