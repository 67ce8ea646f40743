"""The SHA-256 thumbprint by which a token is bound to a certificate (RFC 8705 section 3.1)."""

import base64
import hashlib
import hmac


def x5t_s256(der: bytes) -> str:
    """`x5t#S256`: unpadded base64url of SHA-256 over the certificate's DER as it was received; 43 characters."""
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


def thumbprints_equal(left: str, right: str) -> bool:
    """Compare in constant time; two empty texts are not equal."""
    return bool(left) and hmac.compare_digest(left.encode(), right.encode())
