"""What to do about each reason, for people: docs/troubleshooting.md is generated from it.

Owns the advice and under which symptom a reason is looked for. What a reason means stands in `conditions`, and is not
repeated here. Texts are Markdown, with links as from docs/. Must not know when a reason is given.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from holdfast.api.v1alpha1.conditions import Reason


class Symptom(Enum):
    """What somebody sees who looks a reason up, and what all reasons below it have in common."""

    title: str
    lead: str

    def __new__(cls, title: str, lead: str) -> "Symptom":
        member = object.__new__(cls)
        member._value_ = title
        member.title, member.lead = title, lead
        return member

    WELL = "All is well", "`Ready` is `True`, or a condition tells a fact. Nothing is to be done."
    UNDER_WAY = (
        "It waits, and goes on by itself",
        "`Reconciling` is `True`: nobody has to touch the object. If it stays, the message says what it waits for.",
    )
    WORKS = (
        "It works, and somebody should look",
        "`Ready` is not concerned: the client works now. It is a condition of its own, an event, or the reason of "
        "`Accepted` while that is `True`.",
    )
    REFUSED = (
        "Accepted is False",
        "The client is refused as it is written, until it, the object that the message names, or a policy changes. Where a "
        "policy refuses it, an earlier registration is withdrawn. An explicit value beyond a policy's maximum is never cut: "
        "leave the field out to get what is allowed. The message names the policy, where it is one and not the built-in "
        "default.",
    )
    CERTIFICATE = (
        "CertificateReady is False",
        "Nothing that the client could be known by can be used. Where it has an older one that still can, the registration "
        "goes on with that.",
    )
    REGISTRATION = "Registered is False", "The authorization server does not have the client as the object asks."
    POLICY = (
        "A policy is not accepted",
        "`Accepted` of an `MTLSPolicy` is `False`. Its last accepted form stays in force; without any, the clients that it "
        "matches are denied.",
    )
    REQUEST = (
        "A CertificateRequest is denied",
        "An event of the `CertificateRequest`, and its condition `Denied`.",
    )


@dataclass(frozen=True, slots=True)
class Advice:
    """`text`: what to do; empty where nothing is."""

    symptom: Symptom
    text: str = ""


ADVICE: Mapping[Reason, Advice] = {
    Reason.READY: Advice(Symptom.WELL),
    Reason.SUSPENDED: Advice(Symptom.WELL, "Set `spec.suspend` to `false` to resume."),
    Reason.ACCEPTED: Advice(Symptom.WELL),
    Reason.CERTIFICATE_ISSUED: Advice(Symptom.WELL),
    Reason.CERTIFICATE_RENEWED: Advice(Symptom.WELL),
    Reason.OWN_CERTIFICATE: Advice(Symptom.WELL),
    Reason.OWN_KEYS: Advice(Symptom.WELL),
    Reason.REGISTERED: Advice(Symptom.WELL),
    Reason.TOKEN_ISSUED: Advice(Symptom.WELL),
    Reason.NO_TOKEN_YET: Advice(
        Symptom.WELL, "Not a fault. If the workload should have asked: see *The token endpoint says no* below."
    ),
    Reason.ENFORCED: Advice(Symptom.WELL),
    Reason.OBSERVED: Advice(
        Symptom.WELL, "See [policies](policies.md#try-a-policy-before-it-refuses-anybody) for when to enforce it."
    ),
    Reason.CERTIFICATE_PENDING: Advice(
        Symptom.UNDER_WAY,
        "`kubectl describe certificate <name>` shows how far it is; an issuer that needs approval waits for it. Where "
        "cert-manager took over a Secret that was there already and issued nothing, the operator has it issue once more by "
        "itself: the Secret of a deleted client stays, with its key, until somebody deletes it.",
    ),
    Reason.REGISTRATION_PENDING: Advice(Symptom.UNDER_WAY, "Look at the other conditions: one of them is in the way."),
    Reason.REGISTRY_UNAVAILABLE: Advice(
        Symptom.UNDER_WAY,
        "Nothing is lost. Check the server's Deployment, the network policy, and the operator's log: a TLS error there "
        "means that the admin certificates do not fit (`kubectl get certificate -n holdfast-system`).",
    ),
    Reason.ISSUER_NOT_FOUND: Advice(
        Symptom.UNDER_WAY,
        "Create the issuer, or correct `certificate.issuerRef`; the client goes on at once. Mind `kind`: `ClusterIssuer` is "
        "the default, an `Issuer` is looked up in the client's namespace.",
    ),
    Reason.ISSUER_NOT_READY: Advice(Symptom.UNDER_WAY, "`kubectl describe clusterissuer <name>` says why."),
    Reason.TRUST_ANCHOR_NOT_FOUND: Advice(
        Symptom.UNDER_WAY,
        "Create it, or name another; the client goes on at once. An earlier registration is withdrawn meanwhile: what used "
        "to be trusted may be exactly what was removed.",
    ),
    Reason.CERTIFICATE_FAILED: Advice(
        Symptom.UNDER_WAY,
        "The message is cert-manager's, which pauses for an hour and more between two attempts. When its cause is mended: "
        "`cmctl renew <name> -n <namespace>`. Where the message says what was expected and found, the platform's "
        "[approver](approver.md) "
        "denied the request.",
    ),
    Reason.POLICY_WARNING: Advice(
        Symptom.WORKS,
        "The message names policy, field, expected and found. Change the client before the platform switches the policy to "
        "`Enforce`, or ask it to change the policy.",
    ),
    Reason.RESOURCE_NOT_ALLOWED: Advice(
        Symptom.WORKS,
        "The message names resource, owner and what has to change. Usually it is another object's turn: the owner's "
        "`resourceServer.allowFrom` has to name this client (an absent `allowFrom` means the owner's own namespace only); "
        "or the API is not applied yet; or, for an audience that nobody is to own, a policy's `allowedResources` has to "
        "list it. To hold back a rollout until then: `kubectl wait "
        "--for=jsonpath='{.status.conditions[?(@.type==\"Accepted\")].reason}'=Accepted oauthclients.holdfast.dev/orders`.",
    ),
    Reason.SCOPE_NOT_ALLOWED: Advice(
        Symptom.WORKS, "Have the client named with the scope in `resourceServer.allowFrom`, or take it out of `spec.scopes`."
    ),
    Reason.CERTIFICATE_EXPIRING: Advice(
        Symptom.WORKS,
        "The message names what ends, where it lies and when. Put its successor beside it: another key into "
        "`authentication.jwks`, another CA certificate into the ConfigMap; take the old one out when nobody uses it any "
        "more. Where cert-manager is behind, `kubectl describe certificate <name>` says what keeps it.",
    ),
    Reason.APPROVED_BY_CERT_MANAGER: Advice(
        Symptom.WORKS,
        "With the condition `IssuerUnguarded`. Leave the issuer out of cert-manager's `approveSignerNames` "
        "([the approver](approver.md#turn-it-on)), then `cmctl renew <name> -n <namespace>`.",
    ),
    Reason.DRIFT_CORRECTED: Advice(
        Symptom.WORKS,
        "Nothing is to be done about the object ([what is put right](self-healing.md)). Find out who writes there, since it "
        "will not last: for the registration that is somebody with the operator's certificate; for a Certificate or a "
        "ConfigMap the API server's audit log names them.",
    ),
    Reason.CONFIG_MAP_TAKEN: Advice(
        Symptom.WORKS,
        "It is `holdfast`, unless the setting `config_map_name` says otherwise. It is left alone: rename it, or change the "
        "setting.",
    ),
    Reason.INVALID_SPEC: Advice(
        Symptom.REFUSED,
        "The message names the field, what was expected and found. The registration before the edit stays in force. An "
        "object that a newer or older version of the definitions stored is read as far as it can be: write it anew for this "
        "one.",
    ),
    Reason.POLICY_NOT_ACCEPTED: Advice(Symptom.REFUSED, "Mend the policy that the message names; its own status says how."),
    Reason.METHOD_NOT_ALLOWED: Advice(Symptom.REFUSED, "Use one of the methods that the message lists."),
    Reason.BINDING_REQUIRED: Advice(
        Symptom.REFUSED, "Leave `tokens.certificateBound` out, or have a policy say `requireCertificateBound: false`."
    ),
    Reason.LIFETIME_TOO_LONG: Advice(Symptom.REFUSED, "Ask for less, or leave it out: the default is cut."),
    Reason.SUBJECT_NOT_ALLOWED: Advice(
        Symptom.REFUSED,
        "Under an anchor that others share (a `ClusterIssuer`'s), a namespace has the SPIFFE URIs "
        "`spiffe://<trust domain>/ns/<namespace>/sa/*` and what a policy's `allowedSubjects` adds. Leave `subject` out to "
        "get the default, use an `Issuer` of your own, or have the platform write a [policy](policies.md).",
    ),
    Reason.SUBJECT_MISSING: Advice(Symptom.REFUSED, "Without `spec.certificate`, set `spec.authentication.subject`."),
    Reason.SUBJECT_TAKEN: Advice(
        Symptom.REFUSED, "Choose another subject, or have the other client deleted; the earlier one keeps it."
    ),
    Reason.ISSUER_NOT_ALLOWED: Advice(
        Symptom.REFUSED, "The message lists what it may be: a policy's `allowedIssuers` says so."
    ),
    Reason.CLIENT_ID_NOT_ALLOWED: Advice(
        Symptom.REFUSED,
        "Choose one that begins with `<namespace>.`, leave it out, or have a policy's `allowedClientIds` name it. It cannot "
        "be changed: delete the object and create it anew.",
    ),
    Reason.CLIENT_ID_TAKEN: Advice(
        Symptom.REFUSED,
        "`clientId` is immutable: delete the object and create it with another one. Where the message speaks of an orphan, "
        "or of an id that is kept for a namespace, see [deleting and adopting](deleting-and-adopting.md).",
    ),
    Reason.AUDIENCE_NOT_ALLOWED: Advice(
        Symptom.REFUSED,
        "A namespace owns hosts `*.<namespace>.svc` and `*.<namespace>.svc.<cluster domain>` by right; others need a "
        "policy's `allowedAudiences`.",
    ),
    Reason.AUDIENCE_TAKEN: Advice(Symptom.REFUSED, "An audience has one owner: choose another, or have it given up there."),
    Reason.GRANT_TYPE_NOT_ALLOWED: Advice(Symptom.REFUSED, "Take out what the policy's `allowedGrantTypes` does not list."),
    Reason.KEYS_MISSING: Advice(
        Symptom.REFUSED,
        "Set `authentication.jwks` or `jwksUri`. With `self_signed_tls_client_auth`, `certificate` will do instead: what "
        "cert-manager issues is registered.",
    ),
    Reason.DURATION_TOO_LONG: Advice(Symptom.REFUSED, "Ask for less, or leave it out: the default is cut."),
    Reason.TRUST_ANCHOR_NOT_ALLOWED: Advice(
        Symptom.REFUSED,
        "Take a CA that the policy's `certificates.trustAnchors` lists. Anchors are compared by certificate: a new "
        "certificate of the same CA is another one.",
    ),
    Reason.KEY_TOO_SMALL: Advice(
        Symptom.REFUSED, "Ask for a larger one, or leave `size` out: the default grows to what policies ask for."
    ),
    Reason.CERTIFICATE_DENIED: Advice(
        Symptom.REFUSED,
        "Said by `holdfast policy preview`, and of a policy in `Warn` by the message of `PolicyWarning`. The server refuses "
        "this certificate from everybody once the policy is enforced, whatever the client's own status says: have it issued "
        "anew ([when a key is stolen](when-a-key-is-stolen.md)).",
    ),
    Reason.CERTIFICATE_REJECTED: Advice(
        Symptom.CERTIFICATE,
        "The message is theirs; cert-manager refuses a `duration` under one hour, and a `renewBefore` under five minutes.",
    ),
    Reason.CERTIFICATE_INVALID: Advice(
        Symptom.CERTIFICATE,
        "Or it does not lead to the client's trust anchors. Some issuers drop URIs: use one that keeps them, or choose "
        "another subject rule. An expired one of `authentication.jwks` needs its successor there.",
    ),
    Reason.CERTIFICATE_NAME_TAKEN: Advice(Symptom.CERTIFICATE, "Delete it, or name the client differently."),
    Reason.SECRET_NAME_TAKEN: Advice(Symptom.CERTIFICATE, "Choose another `certificate.secretName`."),
    Reason.TRUST_ANCHOR_MISSING: Advice(
        Symptom.CERTIFICATE,
        "Without `certificate`, name some in `authentication.trustAnchors`. With it, the issuer does not say under which CA "
        "it issues (ACME issuers do not): name its CA there.",
    ),
    Reason.TRUST_ANCHOR_UNREADABLE: Advice(
        Symptom.CERTIFICATE,
        "A keystore (JKS, PKCS#12) that trust-manager writes beside it is not read: name the key with the PEM.",
    ),
    Reason.PRIVATE_KEY_EXPOSED: Advice(
        Symptom.CERTIFICATE,
        "Deleting it is not enough: make a new key wherever that one is in use, and put CA certificates there instead. No "
        "message, event or log repeats it.",
    ),
    Reason.TRUST_ANCHOR_NOT_AUTHORITY: Advice(
        Symptom.CERTIFICATE,
        "Often it is the client's own. Put the certificate of the CA there that issued it. A client that is to be known by "
        "one certificate as a whole uses `self_signed_tls_client_auth`.",
    ),
    Reason.TRUST_ANCHOR_INVALID: Advice(
        Symptom.CERTIFICATE,
        "An Ed25519 key, a weak one, a name constraint that cannot be enforced; or a date, which the message gives with "
        "ConfigMap and key. Take another certificate of the CA, or another CA.",
    ),
    Reason.CERTIFICATE_IS_AUTHORITY: Advice(
        Symptom.CERTIFICATE,
        "It is in `x5c` of `authentication.jwks`, or an issuer made a CA of the client. A client whose certificates come "
        "from a CA uses `tls_client_auth` with `trustAnchors`.",
    ),
    Reason.REGISTRATION_REFUSED: Advice(Symptom.REGISTRATION, "Change what the message names."),
    Reason.NOT_REGISTERED: Advice(
        Symptom.REGISTRATION, "The consequence of something else: look at `Accepted` and `CertificateReady`."
    ),
    Reason.INVALID_PATTERN: Advice(Symptom.POLICY, "The message names the entry and what is expected of one."),
    Reason.REVOCATION_LIST_NOT_FOUND: Advice(
        Symptom.POLICY, "Create it, or name another; the CRLs that the server has stay in force meanwhile."
    ),
    Reason.REVOCATION_LIST_INVALID: Advice(
        Symptom.POLICY,
        "Put a CRL there in PEM, or in `binaryData` in DER; those that the server has stay in force meanwhile.",
    ),
    Reason.CERTIFICATE_REQUEST_DENIED: Advice(
        Symptom.REQUEST,
        "The message begins with the reason ([what each means](approver.md#what-is-denied)). Change the `Certificate`, or "
        "have a policy allow the client its subject; `cmctl renew <name> -n <namespace>` asks again at once.",
    ),
}
"""Of every reason."""
