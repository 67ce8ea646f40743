"""A policy's answer as a value: a "no" has a reason, an exception would mean that nothing could be decided."""

from dataclasses import dataclass
from enum import StrEnum


class DenialReason(StrEnum):
    """Why a policy, written or built in, says no. The same words stand in conditions and in the audit log."""

    POLICY_NOT_ACCEPTED = "PolicyNotAccepted"
    METHOD_NOT_ALLOWED = "MethodNotAllowed"
    BINDING_REQUIRED = "BindingRequired"
    LIFETIME_TOO_LONG = "LifetimeTooLong"
    SUBJECT_NOT_ALLOWED = "SubjectNotAllowed"
    SUBJECT_MISSING = "SubjectMissing"
    TRUST_ANCHOR_MISSING = "TrustAnchorMissing"
    ISSUER_NOT_ALLOWED = "IssuerNotAllowed"
    CLIENT_ID_NOT_ALLOWED = "ClientIdNotAllowed"
    AUDIENCE_NOT_ALLOWED = "AudienceNotAllowed"
    RESOURCE_NOT_ALLOWED = "ResourceNotAllowed"
    SCOPE_NOT_ALLOWED = "ScopeNotAllowed"
    GRANT_TYPE_NOT_ALLOWED = "GrantTypeNotAllowed"
    KEYS_MISSING = "KeysMissing"
    DURATION_TOO_LONG = "DurationTooLong"
    TRUST_ANCHOR_NOT_ALLOWED = "TrustAnchorNotAllowed"
    KEY_TOO_SMALL = "KeyTooSmall"
    CERTIFICATE_DENIED = "CertificateDenied"


@dataclass(frozen=True, slots=True)
class Decision:
    """`reason` and `message` are empty when allowed. The message names field, expected and actual, for people."""

    allowed: bool
    reason: DenialReason | None = None
    message: str = ""

    @classmethod
    def deny(cls, reason: DenialReason, message: str) -> "Decision":
        return cls(False, reason, message)


ALLOW = Decision(True)
