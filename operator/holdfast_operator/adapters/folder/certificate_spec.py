"""What a planned cert-manager Certificate asks for, as a value.

Owns reading `spec` of a Certificate; what it asks and we cannot give is refused, never left out. Signs nothing.
Neighbours: `issuance` calls it, `authority` signs it.
"""

import hashlib
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from holdfast_operator.adapters.folder.metadata import is_subdomain

DEFAULT_DURATION = timedelta(days=90)  # cert-manager's
SHORTEST = timedelta(seconds=5)
"""Less would be over before a client has read it; cert-manager takes an hour at least."""
USAGES = {
    "signing": "digital_signature",
    "digital signature": "digital_signature",
    "content commitment": "content_commitment",
    "key encipherment": "key_encipherment",
    "key agreement": "key_agreement",
}
EXTENDED_USAGES = {
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
}
SIZES = {"ECDSA": (256, 384, 521), "RSA": (2048, 3072, 4096)}
"""The first is the default."""

_KNOWN = {
    *("secretName", "issuerRef", "duration", "renewBefore", "privateKey", "usages", "commonName", "literalSubject"),
    *("dnsNames", "uris", "ipAddresses", "emailAddresses", "revisionHistoryLimit", "isCA"),
}
_DURATION = re.compile(r"(\d+)(h|ms|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class CertificateSpecError(ValueError):
    """The Certificate asks for something it may not, or that is not done here: field, expected and found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerRef:
    """Which issuer shall sign: kind is `Issuer` (of the same namespace) or `ClusterIssuer`."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSpec:
    """A certificate to be. `renew_before`: how long before its end it is replaced."""

    secret_name: str
    issuer: IssuerRef
    duration: timedelta = DEFAULT_DURATION
    renew_before: timedelta | None = None
    algorithm: str = "ECDSA"
    size: int = 256
    usages: frozenset[str] = frozenset({"digital signature"})
    subject: x509.Name = field(default_factory=lambda: x509.Name([]))
    names: tuple[x509.GeneralName, ...] = ()

    @property
    def digest(self) -> str:
        """Equal digests: a certificate made for one serves for the other. Renewal times are not part of it."""
        value = (
            self.secret_name,
            (self.issuer.kind, self.issuer.name),
            self.duration.total_seconds(),
            (self.algorithm, self.size),
            sorted(self.usages),
            self.subject.rfc4514_string(),
            [repr(name) for name in self.names],
        )
        return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def read_spec(spec: Mapping[str, Any]) -> CertificateSpec:
    """Read `spec` of a Certificate. Raises CertificateSpecError."""
    unknown = sorted(set(spec) - _KNOWN)
    if unknown or spec.get("isCA"):
        raise CertificateSpecError(f"spec.{unknown[0] if unknown else 'isCA'}: is not done by the local CA")
    algorithm, size = _key(spec.get("privateKey") or {})
    duration = _duration(spec, "duration", SHORTEST) or DEFAULT_DURATION
    renew_before = _duration(spec, "renewBefore", timedelta(seconds=1))
    if renew_before is not None and renew_before >= duration:
        raise CertificateSpecError(f"spec.renewBefore: expected less than spec.duration {duration}, found {renew_before}")
    return CertificateSpec(
        secret_name=_secret_name(spec.get("secretName")),
        issuer=_issuer(spec.get("issuerRef")),
        duration=duration,
        renew_before=renew_before,
        algorithm=algorithm,
        size=size,
        usages=_usages(spec.get("usages") or ["digital signature", "key encipherment"]),
        subject=_subject(spec),
        names=_names(spec),
    )


def _secret_name(value: Any) -> str:
    if not is_subdomain(value):
        raise CertificateSpecError(f"spec.secretName: expected an RFC 1123 subdomain, found {value!r}")
    return str(value)


def _issuer(value: Any) -> IssuerRef:
    reference = value if isinstance(value, dict) else {}
    kind, name, group = reference.get("kind", "Issuer"), reference.get("name"), reference.get("group", "cert-manager.io")
    if group != "cert-manager.io" or kind not in ("Issuer", "ClusterIssuer") or not is_subdomain(name):
        raise CertificateSpecError(
            f"spec.issuerRef: expected an Issuer or ClusterIssuer of cert-manager.io, found {value!r}"
        )
    return IssuerRef(name=str(name), kind=kind)


def _duration(spec: Mapping[str, Any], member: str, least: timedelta) -> timedelta | None:
    value = spec.get(member)
    if value is None:
        return None
    parts = _DURATION.findall(str(value))
    if not parts or "".join(n + u for n, u in parts) != value:
        raise CertificateSpecError(f"spec.{member}: expected a duration such as 24h or 1h30m, found {value!r}")
    try:
        found = timedelta(seconds=sum(int(number) * _UNITS[unit] for number, unit in parts))
    except (ValueError, OverflowError) as error:
        raise CertificateSpecError(f"spec.{member}: expected a duration that a clock can count, found {value!r}") from error
    if found < least:
        raise CertificateSpecError(f"spec.{member}: expected at least {least.seconds}s, found {value}")
    return found


def _key(value: Mapping[str, Any]) -> tuple[str, int]:
    algorithm = value.get("algorithm", "ECDSA")
    if algorithm not in SIZES:
        raise CertificateSpecError(f"spec.privateKey.algorithm: expected one of {', '.join(SIZES)}, found {algorithm!r}")
    size = value.get("size", SIZES[algorithm][0])
    if size not in SIZES[algorithm]:
        expected = ", ".join(map(str, SIZES[algorithm]))
        raise CertificateSpecError(f"spec.privateKey.size: expected one of {expected} for {algorithm}, found {size!r}")
    return algorithm, size


def _usages(value: list[str]) -> frozenset[str]:
    for usage in value:
        if usage not in USAGES and usage not in EXTENDED_USAGES:
            expected = ", ".join([*USAGES, *EXTENDED_USAGES])
            raise CertificateSpecError(f"spec.usages: expected some of {expected}; found {usage!r}")
    return frozenset(value)


def _subject(spec: Mapping[str, Any]) -> x509.Name:
    literal, common = spec.get("literalSubject"), spec.get("commonName")
    try:
        if literal:
            return x509.Name.from_rfc4514_string(literal)
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)] if common else [])
    except (ValueError, TypeError) as error:
        member = "literalSubject" if literal else "commonName"
        raise CertificateSpecError(f"spec.{member}: {literal or common!r} is no distinguished name: {error}") from error


def _names(spec: Mapping[str, Any]) -> tuple[x509.GeneralName, ...]:
    makers = {
        "dnsNames": x509.DNSName,
        "uris": x509.UniformResourceIdentifier,
        "ipAddresses": lambda value: x509.IPAddress(ipaddress.ip_address(value)),
        "emailAddresses": x509.RFC822Name,
    }
    found: list[x509.GeneralName] = []
    for member, make in makers.items():
        for value in spec.get(member) or ():
            try:
                found.append(make(value))
            except (ValueError, TypeError) as error:
                raise CertificateSpecError(f"spec.{member}: {value!r} cannot stand in a certificate: {error}") from error
    return tuple(found)
