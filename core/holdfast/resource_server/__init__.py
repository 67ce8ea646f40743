"""For APIs: is this token good, and is it in the hands of whom it was issued to?

Owns the check of certificate-bound access tokens (RFC 9068, RFC 8705 section 3, RFC 6750). Needs PyJWT, cryptography and
httpx only. Must not import `holdfast.client`, a web framework or a server; `asgi_tls` is for those who have uvicorn.
"""

from holdfast.oauth.claims import AccessTokenClaims
from holdfast.resource_server.asgi_tls import client_certificate_context, telling_client_certificate
from holdfast.resource_server.deny_list import DenyListCache, DenyListRules, WhenTooOld
from holdfast.resource_server.errors import (
    DenyListUnavailable,
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    IssuerUnavailable,
    KeysUnavailable,
    NoCredentials,
    Refusal,
)
from holdfast.resource_server.jwks import FetchRules, JwksCache
from holdfast.resource_server.keys import KeySet, KeySetError
from holdfast.resource_server.middleware import CLAIMS, BoundTokenMiddleware, claims_of, require_scopes
from holdfast.resource_server.peer import client_certificate
from holdfast.resource_server.resource_metadata import ResourceMetadata
from holdfast.resource_server.verification import Expected, verify
from holdfast.resource_server.verifier import TokenVerifier

__all__ = [
    "CLAIMS",
    "AccessTokenClaims",
    "BoundTokenMiddleware",
    "DenyListCache",
    "DenyListRules",
    "DenyListUnavailable",
    "Expected",
    "FetchRules",
    "InsufficientScope",
    "InvalidRequest",
    "InvalidToken",
    "IssuerUnavailable",
    "JwksCache",
    "KeySet",
    "KeySetError",
    "KeysUnavailable",
    "NoCredentials",
    "Refusal",
    "ResourceMetadata",
    "TokenVerifier",
    "WhenTooOld",
    "claims_of",
    "client_certificate",
    "client_certificate_context",
    "require_scopes",
    "telling_client_certificate",
    "verify",
]
