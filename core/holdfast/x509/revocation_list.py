"""One certificate revocation list, parsed once (RFC 5280 section 5).

Owns what can be read from a list, what makes it unusable, whether a CA signed it, and looking up a serial number in it
at the cost of a search through its bytes. Must not judge certificates: `revocation` does.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa

from holdfast.x509.certificate import Certificate
from holdfast.x509.der import DerError, read_all, read_one
from holdfast.x509.names import DistinguishedName, read_name

MAX_DER = 16 * 1024 * 1024
"""Bytes: some 350,000 entries. Reading one holds other work up for about 2 ms a megabyte."""
MAX_LISTS = 256
_PEM_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----([^-]*)-----END \1-----")
_CRITICAL = b"\x01\x01\xff\x04"
"""`critical TRUE`, and the octet string after it: where these bytes are not, no entry has a critical extension."""
_PROCESSED = (x509.AuthorityKeyIdentifier, x509.CRLNumber)
_PROCESSED_OF_ENTRIES = (x509.CRLReason, x509.InvalidityDate)
_WEAK_HASHES = (hashes.MD5, hashes.SHA1)
_NEVER = datetime.max.replace(tzinfo=UTC)


class RevocationListError(ValueError):
    """The bytes are no revocation list we can read; the message says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """`reason`: as RFC 5280 section 5.3.1 names it."""

    date: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class RevocationList:
    """Two are equal when their DER is. `flaw`: why it cannot be used for any certificate; None: it can.

    `next_update` is far away where the list has none, and then it is not usable. `number`: CRL number, -1 without.
    """

    der: bytes = field(repr=False)
    issuer: DistinguishedName = field(compare=False)
    this_update: datetime = field(compare=False)
    next_update: datetime = field(compare=False)
    number: int = field(compare=False)
    flaw: str | None = field(compare=False)
    _parsed: x509.CertificateRevocationList = field(compare=False, repr=False)
    _signatures: dict[str, str | None] = field(compare=False, repr=False, default_factory=dict)

    @classmethod
    def from_der(cls, der: bytes) -> "RevocationList":
        """Raises RevocationListError, whatever the bytes are."""
        if len(der) > MAX_DER:
            raise RevocationListError(f"a list of {len(der)} bytes is larger than the {MAX_DER} we read")
        try:
            return cls._read(bytes(der))
        except Exception as error:
            # As with certificates, the parser answers odd bytes with a dozen exception types.
            raise RevocationListError(f"not a revocation list we can read: {_plain(error)}") from error
        except BaseException as error:
            if type(error).__name__ != "PanicException":
                raise
            raise RevocationListError("not a revocation list we can read: the parser gave up") from error

    @classmethod
    def _read(cls, der: bytes) -> "RevocationList":
        parsed = x509.load_der_x509_crl(der)
        extensions = parsed.extensions
        return cls(
            der=der,
            issuer=_issuer(der),
            this_update=parsed.last_update_utc,
            next_update=parsed.next_update_utc or _NEVER,
            number=_number(extensions),
            flaw=_flaw(parsed, extensions, der),
            _parsed=parsed,
        )

    def signature_flaw(self, ca: Certificate) -> str | None:
        """Why it is not this CA's; None: it is. Worked out once for each key."""
        if ca.spki_sha256 not in self._signatures:
            self._signatures[ca.spki_sha256] = self._check_signature(ca)
        return self._signatures[ca.spki_sha256]

    def _check_signature(self, ca: Certificate) -> str | None:
        if self.issuer != ca.subject and not self.issuer.matches(ca.subject):
            return "its issuer is another one"
        if isinstance(self._parsed.signature_hash_algorithm, _WEAK_HASHES):
            return f"it is signed with {self._parsed.signature_hash_algorithm.name}"
        signed, outer, _signature = read_all(read_one(self.der).content)
        if outer.raw not in (part.raw for part in islice(read_all(signed.content), 2)):
            return "it names one signature algorithm inside and another outside"
        try:
            _verify(self._parsed, ca, signed.raw)
        except Exception:
            # A signature that is wrong and one that cannot be checked with this key come to the same.
            return "its signature is not by this CA's key"
        return None

    def find(self, serial: int) -> Entry | None:
        """The entry of a serial number. A list without it is done with one search through the bytes."""
        number = serial.to_bytes(serial.bit_length() // 8 + 1, "big", signed=True)
        if len(number) < 0x80 and bytes((0x02, len(number))) + number not in self.der:
            return None
        entry = self._parsed.get_revoked_certificate_by_serial_number(serial)
        return None if entry is None else Entry(entry.revocation_date_utc, _reason(entry))


def load_revocation_lists(data: bytes) -> tuple[RevocationList, ...]:
    """One list as DER, or all of a PEM text (RFC 7468 section 6). Raises RevocationListError when any cannot be read."""
    if not data.lstrip().startswith(b"-----BEGIN") and b"-----BEGIN X509 CRL-----" not in data:
        return (RevocationList.from_der(data),)
    if len(data) > 2 * MAX_DER:
        raise RevocationListError(f"expected at most {2 * MAX_DER} bytes of PEM, found {len(data)}")
    found = tuple(_blocks(data))
    if not found or data.count(b"-----BEGIN ") != len(found):
        raise RevocationListError("expected PEM blocks labelled X509 CRL, found a block that has no end, or none")
    return found


def _blocks(pem: bytes) -> Iterator[RevocationList]:
    for number, match in enumerate(_PEM_BLOCK.finditer(pem), 1):
        if match[1] != b"X509 CRL":
            raise RevocationListError(f"expected revocation lists only, found a block labelled {match[1].decode()}")
        if number > MAX_LISTS:
            raise RevocationListError(f"expected at most {MAX_LISTS} lists, found more")
        try:
            yield RevocationList.from_der(base64.b64decode(b"".join(match[2].split()), validate=True))
        except (binascii.Error, RevocationListError) as error:
            raise RevocationListError(f"list {number} of the text: {error}") from error


def _issuer(der: bytes) -> DistinguishedName:
    """From the bytes themselves, as with certificates: version and algorithm come before it."""
    parts = read_all(next(read_all(read_one(der).content)).content)
    before = next(parts)
    if before.tag == 0x02:
        next(parts)
    return read_name(next(parts).raw)


def _number(extensions: x509.Extensions) -> int:
    try:
        return extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        return -1


def _flaw(parsed: x509.CertificateRevocationList, extensions: x509.Extensions, der: bytes) -> str | None:
    kinds = {type(extension.value) for extension in extensions}
    if x509.DeltaCRLIndicator in kinds:
        return "it holds changes to another list only (delta CRL)"
    if x509.IssuingDistributionPoint in kinds:
        return "it covers a part only, or other issuers as well (issuing distribution point)"
    for extension in extensions:
        if extension.critical and not isinstance(extension.value, _PROCESSED):
            return f"it has a critical extension that is not known here ({extension.oid.dotted_string})"
    if parsed.next_update_utc is None:
        return "it does not say when the next one comes (nextUpdate)"
    return _entry_flaw(parsed) if _CRITICAL in der else None


def _entry_flaw(parsed: x509.CertificateRevocationList) -> str | None:
    """RFC 5280 section 5.3: a list with a critical entry extension that is not processed must not be used."""
    for entry in parsed:
        for extension in entry.extensions:
            if extension.critical and not isinstance(extension.value, _PROCESSED_OF_ENTRIES):
                return f"an entry has a critical extension that is not known here ({extension.oid.dotted_string})"
    return None


def _verify(parsed: x509.CertificateRevocationList, ca: Certificate, signed: bytes) -> None:
    """Over the bytes as they came: the parser's own check writes the list anew first, which takes long for a big one."""
    key, how = ca.parsed.public_key(), parsed.signature_algorithm_parameters
    if isinstance(key, rsa.RSAPublicKey) and isinstance(how, padding.PKCS1v15 | padding.PSS):
        assert parsed.signature_hash_algorithm is not None
        key.verify(parsed.signature, signed, how, parsed.signature_hash_algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey) and isinstance(how, ec.ECDSA):
        key.verify(parsed.signature, signed, how)
    elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        key.verify(parsed.signature, signed)
    else:
        raise TypeError("key and algorithm do not belong together")


def _reason(entry: x509.RevokedCertificate) -> str:
    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
    except x509.ExtensionNotFound:
        return "unspecified"
    except ValueError:
        return "a reason that cannot be read"


def _plain(error: Exception) -> str:
    text = str(error)
    return (
        "its DER is malformed" if "ParseError" in text or isinstance(error, DerError | StopIteration) or not text else text
    )
