"""The closed sets of condition types and reasons; events use the same reasons.

Owns the words, their polarity and their meaning, from which docs/reference/conditions.md is generated. A reason that is
not here does not exist. Must not know when a condition is set: that is the operator's plan.

kstatus (what `kubectl wait`, Argo CD and Flux look at) reads: generation ahead of observedGeneration, or Reconciling=True:
in progress; Stalled=True: failed; Ready=True: current. Reconciling and Stalled are absent while they are not true.
"""

from enum import Enum, StrEnum

from holdfast.explained import Explained


class Polarity(Enum):
    """Which status is the good one."""

    POSITIVE = "True is good; always present"
    NEGATIVE = "True needs attention; absent otherwise"


class ConditionType(StrEnum):
    """What is observed, of which kinds."""

    polarity: Polarity
    kinds: tuple[str, ...]
    meaning: str

    def __new__(cls, value: str, polarity: Polarity, kinds: tuple[str, ...], meaning: str) -> "ConditionType":
        member = str.__new__(cls, value)
        member._value_ = value
        member.polarity, member.kinds, member.meaning = polarity, kinds, meaning
        return member

    READY = (
        "Ready",
        Polarity.POSITIVE,
        ("OAuthClient", "MTLSPolicy"),
        "Everything is as the object asks: the client can get tokens (none where it is suspended, as the reason says), the "
        "policy is enforced. While it is not, reason and message are those of the first condition in the way.",
    )
    ACCEPTED = (
        "Accepted",
        Polarity.POSITIVE,
        ("OAuthClient", "MTLSPolicy"),
        "The object is valid, and policies and other objects allow what it asks for; a reason other than Accepted names "
        "what is left out.",
    )
    CERTIFICATE_READY = (
        "CertificateReady",
        Polarity.POSITIVE,
        ("OAuthClient",),
        "cert-manager has issued a certificate that is valid now, or the client brings its own and its trust anchors can be "
        "read.",
    )
    REGISTERED = (
        "Registered",
        Polarity.POSITIVE,
        ("OAuthClient",),
        "The authorization server has the client as the object asks; what was written has been read back.",
    )
    TOKEN_ISSUED = (
        "TokenIssued",
        Polarity.POSITIVE,
        ("OAuthClient",),
        "The client has got a token at least once. Not a part of Ready: a client may have no need of one.",
    )
    RECONCILING = (
        "Reconciling",
        Polarity.NEGATIVE,
        ("OAuthClient", "MTLSPolicy"),
        "Work is going on and will end by itself.",
    )
    STALLED = (
        "Stalled",
        Polarity.NEGATIVE,
        ("OAuthClient", "MTLSPolicy"),
        "Nothing more happens until somebody changes this object or one that the message names.",
    )
    ISSUER_UNGUARDED = (
        "IssuerUnguarded",
        Polarity.NEGATIVE,
        ("OAuthClient",),
        "The platform has the requests of this client's issuer judged, and cert-manager approved the newest one past that: "
        "any namespace could have had another's identity signed.",
    )
    CERTIFICATE_EXPIRING = (
        "CertificateExpiring",
        Polarity.NEGATIVE,
        ("OAuthClient",),
        "What the client is known by runs out, and is not renewed: by hand, where nobody else does it, or cert-manager is "
        "behind.",
    )


class Reason(Explained):
    """Why a condition is as it is, or why an event was recorded."""

    # As it should be.
    READY = "Ready", "The client can get tokens."
    SUSPENDED = "Suspended", "spec.suspend is true: the server refuses the client, its tokens introspect as inactive."
    ACCEPTED = "Accepted", "Valid and allowed."
    CERTIFICATE_ISSUED = "CertificateIssued", "The certificate is issued and valid."
    CERTIFICATE_RENEWED = "CertificateRenewed", "A new certificate has taken the place of the old one."
    OWN_CERTIFICATE = "OwnCertificate", "The client brings its own certificate; its trust anchors were read."
    OWN_KEYS = (
        "OwnKeys",
        "The client is known by keys of its own: authentication.jwks or jwksUri.",
    )
    REGISTERED = "Registered", "The registration was read back from the server."
    TOKEN_ISSUED = "TokenIssued", "The client has got a token; status.lastTokenTime says when."
    NO_TOKEN_YET = "NoTokenYet", "The client has not asked for a token yet."
    ENFORCED = "Enforced", "The policy applies to every client it matches."
    OBSERVED = "Observed", "The policy is in mode Warn or Audit: it counts who breaks it, and refuses nobody."

    # Under way.
    CERTIFICATE_PENDING = "CertificatePending", "cert-manager has not issued the certificate yet."
    REGISTRATION_PENDING = (
        "RegistrationPending",
        "The registration waits for another condition, or was written and not read back yet.",
    )
    REGISTRY_UNAVAILABLE = (
        "RegistryUnavailable",
        "The authorization server cannot be reached or asked to wait; tried again with growing pauses.",
    )

    # Accepted=False.
    INVALID_SPEC = (
        "InvalidSpec",
        "A field holds what no rule of the schema can see is wrong, such as a subject that is no distinguished name.",
    )
    POLICY_NOT_ACCEPTED = (
        "PolicyNotAccepted",
        "A matching policy was never accepted, so everything is denied; the message names it.",
    )
    METHOD_NOT_ALLOWED = "MethodNotAllowed", "A policy does not allow authentication.method."
    BINDING_REQUIRED = "BindingRequired", "Tokens have to be bound to a certificate, and tokens.certificateBound is false."
    LIFETIME_TOO_LONG = "LifetimeTooLong", "tokens.lifetime is beyond a policy's maxLifetime."
    SUBJECT_NOT_ALLOWED = "SubjectNotAllowed", "The client's namespace may not claim this subject."
    SUBJECT_MISSING = "SubjectMissing", "No subject rule says which certificate is the client's."
    SUBJECT_TAKEN = "SubjectTaken", "A client of another namespace holds the same subject under the same trust anchor."
    ISSUER_NOT_ALLOWED = "IssuerNotAllowed", "A policy does not allow certificate.issuerRef."
    CLIENT_ID_NOT_ALLOWED = "ClientIdNotAllowed", "clientId does not begin with the namespace, and no policy allows it."
    CLIENT_ID_TAKEN = "ClientIdTaken", "Another client holds this client_id."
    AUDIENCE_NOT_ALLOWED = "AudienceNotAllowed", "The client's namespace may not own an audience of resourceServer."
    GRANT_TYPE_NOT_ALLOWED = "GrantTypeNotAllowed", "A policy does not allow one of spec.grantTypes."
    KEYS_MISSING = (
        "KeysMissing",
        "The method needs authentication.jwks or authentication.jwksUri, and self_signed_tls_client_auth either these or "
        "certificate; there is none.",
    )
    DURATION_TOO_LONG = "DurationTooLong", "certificate.duration is beyond a policy's maxDuration."
    TRUST_ANCHOR_NOT_ALLOWED = (
        "TrustAnchorNotAllowed",
        "None of the client's trust anchors is among those that a policy allows.",
    )
    KEY_TOO_SMALL = "KeyTooSmall", "certificate.privateKey is smaller than a policy's minimumKey."
    CERTIFICATE_DENIED = "CertificateDenied", "A policy's deniedThumbprints lists the client's certificate."
    AUDIENCE_TAKEN = "AudienceTaken", "Another client owns an audience of resourceServer."

    # Accepted=True, with a reservation.
    RESOURCE_NOT_ALLOWED = (
        "ResourceNotAllowed",
        "With Accepted=True: the token endpoint refuses one of spec.resources (invalid_target); the others work. Its owner, "
        "or a policy where nobody owns it, has to allow it; the condition changes by itself then.",
    )
    SCOPE_NOT_ALLOWED = (
        "ScopeNotAllowed",
        "With Accepted=True: the owner of a resource grants the client none of its scopes, or a scope is granted by the "
        "owner of none of its resources. Tokens come without; the condition changes by itself when an owner grants it. With "
        "Accepted=False: a policy's allowedScopes does not list one of spec.scopes.",
    )

    POLICY_WARNING = (
        "PolicyWarning",
        "With Accepted=True: the client breaks a policy in mode Warn, which the message names, and would be refused if that "
        "policy were enforced. Nothing is refused yet.",
    )

    # CertificateReady=False.
    ISSUER_NOT_FOUND = "IssuerNotFound", "certificate.issuerRef names an issuer that does not exist."
    ISSUER_NOT_READY = "IssuerNotReady", "The issuer exists and is not ready; its own status says why."
    CERTIFICATE_FAILED = "CertificateFailed", "cert-manager could not issue the certificate; it tries again by itself."
    CERTIFICATE_REJECTED = (
        "CertificateRejected",
        "The API server or cert-manager refuses the Certificate as it was asked for.",
    )
    CERTIFICATE_INVALID = (
        "CertificateInvalid",
        "What was issued cannot be used: unreadable, expired, or without the subject that was asked for.",
    )
    CERTIFICATE_NAME_TAKEN = "CertificateNameTaken", "A Certificate of this name exists and is not this client's."
    SECRET_NAME_TAKEN = "SecretNameTaken", "Another Certificate names the same Secret."
    TRUST_ANCHOR_NOT_FOUND = "TrustAnchorNotFound", "A ConfigMap of trustAnchors, or its key, does not exist."
    TRUST_ANCHOR_MISSING = "TrustAnchorMissing", "No trust anchor is left for the client."
    TRUST_ANCHOR_UNREADABLE = (
        "TrustAnchorUnreadable",
        "What lies where a trust anchor should be is no bundle of certificates in PEM.",
    )
    PRIVATE_KEY_EXPOSED = (
        "PrivateKeyExposed",
        "A private key lies in a ConfigMap in the place of CA certificates, for everyone to read who may read ConfigMaps.",
    )
    TRUST_ANCHOR_NOT_AUTHORITY = (
        "TrustAnchorNotAuthority",
        "What should be a trust anchor is the certificate of a client or a server, which has issued nothing.",
    )
    TRUST_ANCHOR_INVALID = (
        "TrustAnchorInvalid",
        "A CA certificate that paths cannot be checked against, or none of them is valid now.",
    )
    CERTIFICATE_IS_AUTHORITY = (
        "CertificateIsAuthority",
        "A CA's certificate is in the place of the client's own, with which nobody can ask for a token.",
    )

    # IssuerUnguarded=True, and the event on a CertificateRequest.
    APPROVED_BY_CERT_MANAGER = (
        "ApprovedByCertManager",
        "cert-manager's own approver, which approves everything, approved a request of an issuer that is guarded: leave the "
        "issuer out of cert-manager's approveSignerNames.",
    )
    CERTIFICATE_REQUEST_DENIED = (
        "CertificateRequestDenied",
        "The CertificateRequest asks a guarded issuer for what its requester may not have; the message says for what.",
    )

    # CertificateExpiring=True.
    CERTIFICATE_EXPIRING = (
        "CertificateExpiring",
        "The certificate or trust anchor that the message names ends soon and was not renewed: thirty days before where "
        "people have to, or in the last fifth of its life; halfway between the planned renewal and the end where "
        "cert-manager does it.",
    )

    # Registered=False.
    REGISTRATION_REFUSED = "RegistrationRefused", "The authorization server refuses the client; the message says why."
    NOT_REGISTERED = (
        "NotRegistered",
        "The client is not registered because it is not accepted; an earlier registration was removed.",
    )

    # Events alone.
    DRIFT_CORRECTED = (
        "DriftCorrected",
        "Another writer had changed or deleted what Holdfast keeps of the object: the registration, the Certificate, the "
        "ConfigMap, the status, what policies deny. The message says what; it is as it should be again.",
    )
    CONFIG_MAP_TAKEN = (
        "ConfigMapTaken",
        "A ConfigMap has the name of the one by which a namespace's applications find the server, and is not Holdfast's.",
    )

    # MTLSPolicy.
    INVALID_PATTERN = (
        "InvalidPattern",
        "An entry of allowedSubjects is no pattern of its kind; the last accepted form stays in force.",
    )
    REVOCATION_LIST_NOT_FOUND = (
        "RevocationListNotFound",
        "A ConfigMap of revocation.crls, or its key, does not exist; the last accepted form stays in force.",
    )
    REVOCATION_LIST_INVALID = (
        "RevocationListInvalid",
        "What should be a CRL is none; the last accepted form stays in force.",
    )


def condition_type(value: str) -> ConditionType:
    """The type of that name. Raises KeyError for one that Holdfast does not set."""
    return {str(member): member for member in ConditionType}[value]


def reason(value: str) -> Reason:
    """The reason of that name, such as a `DenialReason`'s. Raises KeyError for one that is not documented here."""
    return {str(member): member for member in Reason}[value]
