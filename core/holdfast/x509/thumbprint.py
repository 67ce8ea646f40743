"""The SHA-256 thumbprint by which a token is bound to a certificate (RFC 8705 section 3.1)."""

import hashlib
import hmac

from holdfast.base64url import to_base64url


def x5t_s256(der: bytes) -> str:
    """`x5t#S256`: unpadded base64url of SHA-256 over the certificate's DER as it was received; 43 characters."""
    return to_base64url(hashlib.sha256(der).digest()).decode()


def thumbprints_equal(left: str, right: str) -> bool:
    """Compare in constant time; two empty texts are not equal."""
    return bool(left) and hmac.compare_digest(left.encode(), right.encode())
