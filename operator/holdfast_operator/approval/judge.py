"""`judge_request`: may this CertificateRequest be signed by an issuer that is ours? Pure and total.

Owns the rules, those of csi-driver-spiffe: exactly one URI, the SPIFFE ID of the requester's own namespace (of its own
ServiceAccount where the requester is one), no other name, the exact usages, no CA, a bounded duration, a valid signature
by a key that is large enough. What an accepted OAuthClient may have besides comes as a `Claim`. Neighbours:
`signing_request`, `request` (what is asked), `claim`; `approver` carries the verdict out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.api.v1alpha1.convert import duration_seconds
from holdfast.explained import Explained
from holdfast.policy.model import DEFAULT_MIN_RSA_BITS
from holdfast.x509.names import DistinguishedName, parse_dn
from holdfast.x509.subject import SubjectKind, SubjectRule, SubjectRuleError, parse_subject_rule
from holdfast_operator.approval.request import Asked, read_asked
from holdfast_operator.approval.signing_request import Key, Name, SigningRequest, SigningRequestError, read_signing_request
from holdfast_operator.reconcile.approval import guarded_issuer, is_decided
from holdfast_operator.reconcile.ports import Object

USAGES = frozenset({"client auth", "digital signature"})
"""Exactly these, as the operator's own Certificates ask: no server can be played with what is issued here."""
DEFAULT_DURATION = 90 * 86400
"""Seconds for which cert-manager issues where a request says nothing."""
MIN_EC_BITS = 256


class DenialReason(Explained):
    """Why a request is denied: the reason of its Denied condition, and the label of the metric."""

    REQUESTER_UNKNOWN = "RequesterUnknown", "spec.username is empty: cert-manager's webhook, which fills it in, is off."
    REQUESTER_NOT_ALLOWED = (
        "RequesterNotAllowed",
        "A ServiceAccount of another namespace asks; only cert-manager may ask for others.",
    )
    REQUEST_UNREADABLE = (
        "RequestUnreadable",
        "spec.request is not one signing request, or can be read in two ways.",
    )
    SIGNATURE_INVALID = "SignatureInvalid", "The signing request is not signed by its own key: it was changed afterwards."
    IDENTITY_NOT_ALLOWED = "IdentityNotAllowed", "The URI is not a SPIFFE ID that the requester may have."
    NAMES_NOT_ALLOWED = "NamesNotAllowed", "A name besides the one URI: DNS, IP, email, another URI, or a subject."
    CA_NOT_ALLOWED = "CANotAllowed", "A certificate authority is asked for."
    USAGES_NOT_ALLOWED = "UsagesNotAllowed", "spec.usages is not exactly client auth and digital signature."
    DURATION_NOT_ALLOWED = "DurationNotAllowed", "The certificate would live too long."
    KEY_NOT_ALLOWED = "KeyNotAllowed", "The key is too small, or of a kind that is not taken."
    EXTENSION_NOT_ALLOWED = (
        "ExtensionNotAllowed",
        "The signing request brings an extension or attribute that no leaf needs.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the platform has set. `issuers`: names of ClusterIssuers; `cert_manager`: the user who asks for Certificates."""

    issuers: frozenset[str]
    trust_domain: str
    cert_manager: str
    max_duration: int = DEFAULT_DURATION
    """Seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What policies allow the OAuthClient that a request was made for, besides its SPIFFE ID. Units: seconds, bits."""

    spiffe_id: str
    subject: SubjectRule | None
    max_duration: int
    min_rsa_bits: int
    min_ec_bits: int


@dataclass(frozen=True, slots=True)
class Approved:
    """It may be signed. `message`: for the condition."""

    message: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One rule that is broken."""

    reason: DenialReason
    message: str


@dataclass(frozen=True, slots=True)
class Denied:
    """It must not be signed, for one reason at least."""

    problems: tuple[Problem, ...]

    @property
    def reason(self) -> DenialReason:
        return self.problems[0].reason

    @property
    def message(self) -> str:
        return "; ".join(problem.message for problem in self.problems)


@dataclass(frozen=True, slots=True)
class NotOurs:
    """Another issuer's, or decided already: nothing to say."""


Verdict = Approved | Denied | NotOurs


def judge_request(request: Object, rules: Rules, claim: Claim | None = None) -> Verdict:
    """`claim`: of the accepted OAuthClient that the request was made for; None: the SPIFFE rule alone."""
    if guarded_issuer(request, rules.issuers) is None or is_decided(request):
        return NotOurs()
    asked = read_asked(request)
    try:
        signing = read_signing_request(asked.encoded)
    except SigningRequestError as error:
        return Denied((Problem(DenialReason.REQUEST_UNREADABLE, f"spec.request: {error}"),))
    problems = tuple(_problems(asked, signing, rules, claim))
    return Denied(problems) if problems else Approved(f"{', '.join(map(str, signing.names))} belongs to the requester")


def could_be_a_clients(verdict: Verdict) -> bool:
    """Whether the names alone are in the way, which the OAuthClient behind the request may be allowed."""
    names = {DenialReason.IDENTITY_NOT_ALLOWED, DenialReason.NAMES_NOT_ALLOWED}
    return isinstance(verdict, Denied) and {problem.reason for problem in verdict.problems} <= names


def _problems(asked: Asked, signing: SigningRequest, rules: Rules, claim: Claim | None) -> Iterator[Problem]:
    yield from _requester(asked, rules)
    if not signing.is_signed_by_its_key:
        yield Problem(DenialReason.SIGNATURE_INVALID, "spec.request: its signature is not by its own key")
    yield from _spiffe_names(asked, signing, rules) if claim is None else _claimed_names(signing, claim)
    if asked.is_ca or signing.is_ca:
        yield Problem(DenialReason.CA_NOT_ALLOWED, "spec.isCA, basic constraints: expected no CA, found one")
    yield from _usages(asked)
    yield from _duration(asked, rules.max_duration if claim is None else min(rules.max_duration, claim.max_duration))
    yield from _key(signing.key, claim)
    if signing.strange:
        message = f"spec.request: expected names, usages and basic constraints only, found {', '.join(signing.strange[:5])}"
        yield Problem(DenialReason.EXTENSION_NOT_ALLOWED, message)


def _requester(asked: Asked, rules: Rules) -> Iterator[Problem]:
    requester = asked.requester
    if not requester.username:
        yield Problem(DenialReason.REQUESTER_UNKNOWN, "spec.username is empty: is cert-manager's webhook on?")
    elif requester.account and requester.username != rules.cert_manager and requester.account[0] != asked.namespace:
        message = f"spec.username: expected a user, or a ServiceAccount of {asked.namespace}, found {requester.username}"
        yield Problem(DenialReason.REQUESTER_NOT_ALLOWED, message)


def _spiffe_names(asked: Asked, signing: SigningRequest, rules: Rules) -> Iterator[Problem]:
    """One URI and nothing else."""
    uris = [name.value for name in signing.names if name.kind is SubjectKind.URI]
    expected = _expected_id(asked, rules)
    if len(uris) != 1 or not _is_expected(uris[0], expected):
        found = ", ".join(repr(uri[:200]) for uri in uris[:5]) or "no URI"
        yield Problem(DenialReason.IDENTITY_NOT_ALLOWED, f"spec.request: expected the one URI {expected}, found {found}")
    others = [str(name) for name in signing.names if name.kind is not SubjectKind.URI]
    if signing.subject.rdns:
        others.append(f"subject {signing.subject.text[:200]!r}")
    if others:
        yield _other_names(others)


def _expected_id(asked: Asked, rules: Rules) -> str:
    """Whose SPIFFE ID it has to be: `*` for any ServiceAccount of the namespace, which is all that others can prove."""
    own = asked.requester.account if asked.requester.username != rules.cert_manager else None
    return f"spiffe://{rules.trust_domain}/ns/{asked.namespace}/sa/{own[1] if own else '*'}"


def _is_expected(uri: str, expected: str) -> bool:
    if not expected.endswith("/*"):
        return uri == expected
    before, name = expected[:-1], uri[len(expected) - 1 :]
    return uri.startswith(before) and "/" not in name and _is_spiffe_id(uri)


def _is_spiffe_id(uri: str) -> bool:
    try:
        return parse_subject_rule(SubjectKind.URI, uri).canonical == uri
    except SubjectRuleError:
        return False


def _claimed_names(signing: SigningRequest, claim: Claim) -> Iterator[Problem]:
    """The SPIFFE ID of the client's ServiceAccount and what its subject rule says: each of them, and nothing else."""
    wanted = {(SubjectKind.URI, claim.spiffe_id)}
    if claim.subject is not None and claim.subject.kind is not SubjectKind.DN:
        wanted.add((claim.subject.kind, claim.subject.canonical))
    found = {_canonical(name): str(name) for name in signing.names}
    if missing := sorted(f"{kind} {value!r}" for kind, value in wanted - found.keys()):
        yield Problem(DenialReason.IDENTITY_NOT_ALLOWED, f"spec.request: expected {' and '.join(missing)}, found it nowhere")
    if others := [shown for name, shown in found.items() if name not in wanted]:
        yield _other_names(others)
    yield from _claimed_subject(signing.subject, claim)


def _claimed_subject(subject: DistinguishedName, claim: Claim) -> Iterator[Problem]:
    value = claim.subject.value if claim.subject is not None and claim.subject.kind is SubjectKind.DN else None
    if value is None and subject.rdns:
        yield _other_names([f"subject {subject.text[:200]!r}"])
    if value is not None and not _is_dn(subject, value):
        message = f"spec.request: expected the subject {value!r}, found {subject.text[:200]!r}"
        yield Problem(DenialReason.IDENTITY_NOT_ALLOWED, message)


def _is_dn(subject: DistinguishedName, value: str) -> bool:
    """Character for character: cert-manager writes the subject as the Certificate has it."""
    return subject.matches(parse_dn(value), exact=True)


def _canonical(name: Name) -> tuple[SubjectKind | None, str]:
    if name.kind is None:
        return None, name.value
    try:
        return name.kind, parse_subject_rule(name.kind, name.value).canonical
    except SubjectRuleError:
        return None, name.value


def _other_names(found: list[str]) -> Problem:
    return Problem(DenialReason.NAMES_NOT_ALLOWED, f"spec.request: expected no other name, found {', '.join(found[:5])}")


def _usages(asked: Asked) -> Iterator[Problem]:
    if frozenset(asked.usages) != USAGES:
        found = ", ".join(asked.usages[:10]) or "none, for which cert-manager has a default of its own"
        yield Problem(DenialReason.USAGES_NOT_ALLOWED, f"spec.usages: expected {', '.join(sorted(USAGES))}, found {found}")


def _duration(asked: Asked, limit: int) -> Iterator[Problem]:
    try:
        seconds = DEFAULT_DURATION if asked.duration is None else duration_seconds(asked.duration)
    except ValueError:
        yield Problem(DenialReason.DURATION_NOT_ALLOWED, f"spec.duration: expected one such as 24h, found {asked.duration}")
        return
    if not 0 < seconds <= limit:
        found = asked.duration or f"none, which means {DEFAULT_DURATION}s"
        yield Problem(DenialReason.DURATION_NOT_ALLOWED, f"spec.duration: expected at most {limit}s, found {found}")


def _key(key: Key, claim: Claim | None) -> Iterator[Problem]:
    least = {
        "RSA": max(DEFAULT_MIN_RSA_BITS, claim.min_rsa_bits if claim else 0),
        "ECDSA": max(MIN_EC_BITS, claim.min_ec_bits if claim else 0),
        "Ed25519": 0,
    }
    if key.algorithm not in least or key.bits < least[key.algorithm]:
        expected = f"RSA of {least['RSA']} bits or more, ECDSA of {least['ECDSA']} or more on a NIST curve, or Ed25519"
        yield Problem(DenialReason.KEY_NOT_ALLOWED, f"spec.request: expected a key {expected}, found {key}")
