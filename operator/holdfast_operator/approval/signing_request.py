"""A certificate signing request (PKCS #10, RFC 2986) as values: what a CA would copy from it into a certificate.

Owns reading it, strictly: what two parsers could read differently is an error. Must not judge. Pure. Neighbour: `judge`.
"""

import base64
import binascii
import re
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtensionOID, ObjectIdentifier

from holdfast.x509.der import DerError
from holdfast.x509.names import DistinguishedName, read_name
from holdfast.x509.subject import SubjectKind

MAX_PEM = 64 * 1024
"""Bytes; a request with a dozen names and an RSA key of 8192 bits has not a tenth of that."""

_PEM = re.compile(
    r"\s*-----BEGIN CERTIFICATE REQUEST-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END CERTIFICATE REQUEST-----\s*", re.ASCII
)
"""One block and nothing beside it: where there are two, it depends on the reader which one is signed."""

_EXTENSION_REQUEST = ObjectIdentifier("1.2.840.113549.1.9.14")
"""The attribute that carries extensions (RFC 2985 section 5.4.2)."""

_KNOWN_EXTENSIONS = frozenset(
    {
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.BASIC_CONSTRAINTS,
    }
)
"""What `judge` looks at, or cert-manager replaces by the request's own usages; it copies others, name constraints too."""

_KINDS: dict[type[x509.GeneralName], SubjectKind] = {
    x509.UniformResourceIdentifier: SubjectKind.URI,
    x509.DNSName: SubjectKind.DNS,
    x509.RFC822Name: SubjectKind.EMAIL,
    x509.IPAddress: SubjectKind.IP,
}


_UNREADABLE = (
    ValueError,
    TypeError,
    OverflowError,
    DerError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What the parser raises at one place or another; the last four are no ValueErrors."""


class SigningRequestError(ValueError):
    """It cannot be read, or not in one way only; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class Name:
    """One subject alternative name. `kind` None: none of the kinds that a client can be known by."""

    kind: SubjectKind | None
    value: str

    def __str__(self) -> str:
        return f"{self.kind or 'other name'} {self.value[:120]!r}"


@dataclass(frozen=True, slots=True)
class Key:
    """`algorithm`: RSA, ECDSA, Ed25519, or what else it is. `bits`: of the modulus or the curve."""

    algorithm: str
    bits: int

    def __str__(self) -> str:
        return self.algorithm if self.algorithm == "Ed25519" else f"{self.algorithm} {self.bits}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningRequest:
    """What it says, unjudged. `strange`: extensions and attributes beyond those that a leaf needs, by their OID."""

    subject: DistinguishedName
    names: tuple[Name, ...]
    key: Key
    is_ca: bool
    strange: tuple[str, ...]
    is_signed_by_its_key: bool


def read_signing_request(encoded: str) -> SigningRequest:
    """`encoded`: Base64 of the PEM text, as `spec.request` has it. Raises SigningRequestError."""
    der = _der(encoded)
    try:
        parsed = x509.load_der_x509_csr(der)
        return _read(parsed)
    except SigningRequestError:
        raise
    except _UNREADABLE as error:
        raise SigningRequestError(f"the CSR cannot be read: {_plain(error)}") from error


def _der(encoded: str) -> bytes:
    if len(encoded) > MAX_PEM:
        raise SigningRequestError(f"expected at most {MAX_PEM} characters, found {len(encoded)}")
    try:
        block = _PEM.fullmatch(base64.b64decode(encoded, validate=True).decode("ascii"))
        if block is None:
            raise SigningRequestError("expected one PEM block labelled CERTIFICATE REQUEST and nothing beside it")
        return base64.b64decode("".join(block[1].split()), validate=True)
    except (binascii.Error, UnicodeDecodeError) as error:
        raise SigningRequestError("expected Base64 of a PEM text, found something else") from error


def _read(parsed: x509.CertificateSigningRequest) -> SigningRequest:
    extensions = parsed.extensions
    return SigningRequest(
        subject=read_name(parsed.subject.public_bytes()),
        names=_names(extensions),
        key=_key(parsed),
        is_ca=_is_ca(extensions),
        strange=(*_strange_attributes(parsed), *_strange_extensions(extensions)),
        is_signed_by_its_key=parsed.is_signature_valid,
    )


def _names(extensions: x509.Extensions) -> tuple[Name, ...]:
    try:
        found = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(Name(_KINDS.get(type(name)), _text(name)) for name in found)


def _text(name: x509.GeneralName) -> str:
    if isinstance(name, x509.DirectoryName):
        return name.value.rfc4514_string()
    if isinstance(name, x509.OtherName):
        return name.type_id.dotted_string
    if isinstance(name, x509.RegisteredID):
        return name.value.dotted_string
    return str(name.value)


def _key(parsed: x509.CertificateSigningRequest) -> Key:
    key = parsed.public_key()
    match key:
        case rsa.RSAPublicKey():
            return Key("RSA", key.key_size)
        case ec.EllipticCurvePublicKey():
            # A curve of another family may have as many bits as a good one.
            nist = key.curve.name in ("secp256r1", "secp384r1", "secp521r1")
            return Key("ECDSA" if nist else f"ECDSA on {key.curve.name}", key.curve.key_size)
        case ed25519.Ed25519PublicKey():
            return Key("Ed25519", 256)
        case _:
            return Key(type(key).__name__.removesuffix("PublicKey"), 0)


def _is_ca(extensions: x509.Extensions) -> bool:
    try:
        return extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _strange_extensions(extensions: x509.Extensions) -> tuple[str, ...]:
    return tuple(e.oid.dotted_string for e in extensions if e.oid not in _KNOWN_EXTENSIONS)


def _strange_attributes(parsed: x509.CertificateSigningRequest) -> tuple[str, ...]:
    """Also a second request for extensions: which of them counts depends on the reader."""
    found = [attribute.oid for attribute in parsed.attributes]
    if found.count(_EXTENSION_REQUEST) > 1:
        raise SigningRequestError("expected the extensions in one attribute, found them in several")
    return tuple(oid.dotted_string for oid in found if oid != _EXTENSION_REQUEST)


def _plain(error: Exception) -> str:
    text = str(error)
    return "its DER is malformed" if "ParseError" in text or not text else text[:200]
