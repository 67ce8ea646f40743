"""Certificates that no builder makes: the bytes of one changed, and signed anew by its CA."""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from holdfast.x509.certificate import Certificate
from holdfast.x509.der import read_all, read_one
from tests.core.x509.authority import Authority

DUPLICATE_EXTENSION = (bytes.fromhex("551d23"), bytes.fromhex("551d13"))
"""The authority key identifier becomes a second basic constraints."""
UNKNOWN_KEY = (bytes.fromhex("2a8648ce3d0201"), bytes.fromhex("2a8648ce3d0299")[:6] + b"\x7f")
"""The key's algorithm becomes one that nobody knows."""


def resigned(certificate: Certificate, ca: Authority, old: bytes, new: bytes) -> bytes:
    """The DER with `old` changed to `new` (of the same length, which must occur) under a valid signature of `ca`."""
    body, algorithm, _ = (element.raw for element in read_all(read_one(certificate.der).content))
    assert len(old) == len(new)
    assert old in body
    changed = body.replace(old, new)
    assert isinstance(ca.key, ec.EllipticCurvePrivateKey)
    signature = ca.key.sign(changed, ec.ECDSA(hashes.SHA256()))
    return _tlv(0x30, changed + algorithm + _tlv(0x03, b"\0" + signature))


def _tlv(tag: int, content: bytes) -> bytes:
    length = len(content)
    head = bytes([length]) if length < 0x80 else bytes([0x82, length >> 8, length & 0xFF])
    return bytes([tag]) + head + content
