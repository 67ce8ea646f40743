"""What a token or a certificate says, member by member.

Owns recognising which of the two it is, and the words of the explanation. Checks no signature and says so; judges nothing
but whether thumbprints are equal. Neighbours: `inspect` prints.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from holdfast.x509.certificate import Certificate, CertificateError, load_pem_bundle
from holdfast.x509.thumbprint import thumbprints_equal

_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_TIMES = ("iat", "nbf", "exp", "auth_time")


class ExplanationError(ValueError):
    """It is neither a token nor a certificate that can be read."""


@dataclass(frozen=True, slots=True)
class Explained:
    """`kind`: token or certificate. `thumbprint`: x5t#S256 of the certificate, or the one the token is bound to."""

    kind: str
    source: str
    members: dict[str, Any]
    thumbprint: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a token is bound to a certificate, in one sentence."""

    bound: bool
    message: str


def explain(content: bytes, source: str, now: datetime) -> Explained:
    """Explain one input. Raises ExplanationError."""
    text = content.decode("ascii", errors="replace").strip().removeprefix("Bearer ").strip()
    if _JWT.fullmatch(text):
        return _token(text, source, now)
    if text.startswith("{"):
        return _token_response(text, source, now)
    return _certificate(content, source, now)


def binding(token: Explained, certificate: Explained) -> Verdict:
    """Whether the token's cnf is the certificate's thumbprint (RFC 8705 section 3.1)."""
    pair = f"The token ({token.source}) and the certificate ({certificate.source})"
    if token.thumbprint is None:
        return Verdict(False, f"{pair} do not belong together: the token is not bound to any certificate.")
    if certificate.thumbprint is not None and _equal(token.thumbprint, certificate.thumbprint):
        return Verdict(True, f"{pair} belong together: x5t#S256 {token.thumbprint}.")
    return Verdict(False, f"{pair} do not belong together: x5t#S256 {token.thumbprint} against {certificate.thumbprint}.")


def _equal(claimed: str, thumbprint: str) -> bool:
    """A claim may hold any character of JSON, also half a surrogate pair, which has no bytes to compare."""
    return claimed.isascii() and thumbprints_equal(claimed, thumbprint)


def _token_response(text: str, source: str, now: datetime) -> Explained:
    """What a token endpoint answers (RFC 6749 section 5.1)."""
    try:
        token = json.loads(text).get("access_token")
    except (ValueError, RecursionError) as error:
        raise ExplanationError(
            f"expected a token, a certificate or a token response, found JSON that is broken: {error}"
        ) from error
    if not isinstance(token, str) or not _JWT.fullmatch(token):
        raise ExplanationError("expected access_token to be a JWT, found none")
    return _token(token, source, now)


def _token(text: str, source: str, now: datetime) -> Explained:
    header, claims = (_part(part, name) for part, name in zip(text.split(".")[:2], ("header", "claims"), strict=True))
    members: dict[str, Any] = {"signature": "not checked"}
    members |= {member: header[member] for member in ("typ", "alg", "kid") if member in header}
    members |= {claim: _time(value, now) if claim in _TIMES else value for claim, value in claims.items() if claim != "cnf"}
    confirmation = claims.get("cnf")
    thumbprint = confirmation.get("x5t#S256") if isinstance(confirmation, dict) else None
    members["cnf x5t#S256"] = thumbprint if isinstance(thumbprint, str) else "none: whoever holds this token can use it"
    return Explained("token", source, members, thumbprint if isinstance(thumbprint, str) else None)


def _part(text: str, name: str) -> dict[str, Any]:
    try:
        value = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise ExplanationError(f"the token's {name}: expected base64url of JSON: {error}") from error
    if not isinstance(value, dict):
        raise ExplanationError(f"the token's {name}: expected a JSON object, found {type(value).__name__}")
    return value


def _time(value: object, now: datetime) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{value!r} (expected seconds since the epoch)"
    try:
        return _moment(datetime.fromtimestamp(value, UTC), now)
    except (ValueError, OverflowError, OSError):
        return f"{value!r} (out of range)"


def _moment(moment: datetime, now: datetime) -> str:
    distance = timedelta(seconds=abs(round((moment - now).total_seconds())))
    return f"{moment:%Y-%m-%dT%H:%M:%SZ} ({f'in {distance}' if moment > now else f'{distance} ago'})"


def _certificate(content: bytes, source: str, now: datetime) -> Explained:
    try:
        if b"-----BEGIN" in content:
            bundle = load_pem_bundle(content)
        elif content[:1] == b"\x30":
            bundle = (Certificate.from_der(content),)
        else:
            raise ExplanationError("expected a JWT, a token response, or certificates in PEM or DER; found something else")
    except CertificateError as error:
        raise ExplanationError(str(error)) from error
    leaf = bundle[0]
    members: dict[str, Any] = {
        "x5t#S256": leaf.x5t_s256,
        "subject (tls_client_auth_subject_dn)": str(leaf.subject) or "empty",
        "san uri": list(leaf.uris),
        "san dns": list(leaf.dns_names),
        "san ip": [str(address) for address in leaf.ip_addresses],
        "san email": list(leaf.email_addresses),
        "issuer": str(leaf.issuer),
        "serial number": f"{leaf.serial_number:x}",
        "not before": _moment(leaf.not_before, now),
        "not after": _moment(leaf.not_after, now),
        "key": _key(leaf),
        "ca": "yes" if leaf.is_ca else "no",
    }
    if len(bundle) > 1:
        members["further certificates"] = [str(c.subject) for c in bundle[1:]]
    return Explained("certificate", source, {m: v for m, v in members.items() if v != []}, leaf.x5t_s256)


def _key(certificate: Certificate) -> str:
    key = certificate.parsed.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA {key.curve.name}"
    return f"RSA {key.key_size}" if isinstance(key, rsa.RSAPublicKey) else type(key).__name__
