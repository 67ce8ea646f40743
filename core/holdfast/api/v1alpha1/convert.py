"""From a dict in its wire form to a typed object, and from there to the values that policy and registry know.

Owns reading. Tolerant of unknown fields, never of wrong ones: the CRD has refused those before, so one that is met here
was stored under an older schema. Neighbours: `holdfast.policy.model`, `holdfast.x509.subject`.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from holdfast.api.v1alpha1 import mtls_policy as written
from holdfast.api.v1alpha1.fields import DURATION_PATTERN
from holdfast.api.v1alpha1.mtls_policy import MTLSPolicy
from holdfast.api.v1alpha1.oauth_client import Authentication, OAuthClient, SubjectRule
from holdfast.oauth.client_metadata import Problem
from holdfast.oauth.jwks import Jwk, JwkError, parse_jwk_set
from holdfast.policy.model import AllowedSubjects, DnMatching, IssuerName, Policy, PolicyMode, RevocationMode
from holdfast.x509 import subject as x509
from holdfast.x509.leaf import issues_certificates

Model = TypeVar("Model", bound=BaseModel)

_UNITS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


class UnreadableObject(ValueError):
    """An object that cannot be read as its type; lists every problem by field."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{p.field}: {p.message}" for p in problems))


def parse_oauth_client(obj: Mapping[str, Any]) -> OAuthClient:
    """Raises UnreadableObject."""
    return _parse(OAuthClient, obj)


def parse_mtls_policy(obj: Mapping[str, Any]) -> MTLSPolicy:
    """Raises UnreadableObject."""
    return _parse(MTLSPolicy, obj)


def _parse(model: type[Model], obj: Mapping[str, Any]) -> Model:
    try:
        return model.model_validate(obj, by_alias=True, by_name=False)
    except ValidationError as error:
        raise UnreadableObject(tuple(_problem(e["loc"], e["msg"], e.get("input")) for e in error.errors())) from None


def _problem(location: tuple[int | str, ...], message: str, actual: object) -> Problem:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
    found = "" if isinstance(actual, dict | list) else f", found {str(actual)[:80]!r}"
    return Problem(path, f"{message}{found}")


def duration(text: str) -> timedelta:
    """A duration in the form of `fields.Duration`. Raises ValueError for any other form."""
    if not re.fullmatch(DURATION_PATTERN.removeprefix("^").removesuffix("$"), text, re.ASCII):
        raise ValueError(f"duration: expected a form such as 1h30m ({DURATION_PATTERN}), found {text!r}")
    parts = re.findall(r"([0-9]+)(ms|h|m|s)", text)
    return timedelta(milliseconds=sum(int(count) * _UNITS[unit] for count, unit in parts))


def duration_seconds(text: str) -> int:
    """The whole seconds of a duration; fractions are cut. Raises ValueError."""
    return int(duration(text).total_seconds())


def subject_rule(subject: SubjectRule) -> x509.SubjectRule:
    """The one rule that is set, checked and in canonical form. Raises `x509.subject.SubjectRuleError`."""
    kind = next(kind for kind in x509.SubjectKind if getattr(subject, kind.value) is not None)
    return x509.parse_subject_rule(kind, getattr(subject, kind.value))


class AuthorityRegistered(JwkError):
    """A CA's certificate is registered in the place of the client's own."""


def registered_keys(authentication: Authentication) -> tuple[Jwk, ...] | None:
    """The keys by value, every one of them usable, and one for the method; None without `jwks`. Raises JwkError."""
    if authentication.jwks is None:
        return None
    try:
        keys = parse_jwk_set({"keys": list(authentication.jwks.keys)})
    except JwkError as error:
        raise JwkError(f"spec.authentication.jwks: {error}") from error
    if authentication.method == "self_signed_tls_client_auth" and not any(key.certificate for key in keys):
        raise JwkError(
            "spec.authentication.jwks: expected a key with the client's certificate in x5c, found none "
            "(RFC 8705 section 2.2.2)"
        )
    if authentication.method == "self_signed_tls_client_auth":
        _check_leaves(keys)
    if authentication.method == "private_key_jwt":
        _check_signing(keys, authentication.signing_algorithm)
    return keys


def _check_leaves(keys: tuple[Jwk, ...]) -> None:
    """Raises AuthorityRegistered: nobody comes with a CA's certificate, so its client would be let in nowhere."""
    for number, key in enumerate(keys):
        if key.certificate is not None and issues_certificates(key.certificate):
            raise AuthorityRegistered(
                f"spec.authentication.jwks.keys[{number}].x5c[0]: expected the client's own certificate, found the CA "
                f"{key.certificate.subject.text!r}; for a client of a CA, use tls_client_auth with trustAnchors"
            )


def _check_signing(keys: tuple[Jwk, ...], algorithm: str | None) -> None:
    possible = sorted({name for key in keys if key.for_signatures for name in key.algorithms})
    if not possible:
        raise JwkError("spec.authentication.jwks: expected a key for signatures (use, key_ops), found none")
    if algorithm is not None and algorithm not in possible:
        raise JwkError(
            f"spec.authentication.signingAlgorithm: expected one of {', '.join(possible)}, which jwks has keys for, "
            f"found {algorithm}"
        )


def to_policy(policy: MTLSPolicy, allowed_anchors: frozenset[str] | None = None) -> Policy:
    """The policy as a value; selectors are the operator's to apply and not part of it.

    `allowed_anchors`: SHA-256, hex, of each certificate that its `trustAnchors` name, which are kept elsewhere.
    """
    spec = policy.spec
    authentication = spec.authentication or written.PolicyAuthentication()
    tokens = spec.tokens or written.PolicyTokens()
    certificates = spec.certificates or written.PolicyCertificates()
    grants = spec.grants or written.PolicyGrants()
    return Policy(
        name=policy.metadata.name,
        mode=PolicyMode(spec.mode),
        allowed_methods=_set(authentication.allowed_methods),
        require_certificate_bound=tokens.require_certificate_bound,
        max_lifetime=None if tokens.max_lifetime is None else duration_seconds(tokens.max_lifetime),
        allowed_subjects=_subjects(certificates.allowed_subjects),
        allowed_issuers=_issuers(certificates),
        allowed_resources=_set(grants.allowed_resources),
        allowed_audiences=_set(grants.allowed_audiences),
        allowed_client_ids=_set(grants.allowed_client_ids),
        allowed_grant_types=_set(grants.allowed_grant_types),
        allowed_scopes=_set(grants.allowed_scopes),
        allowed_anchors=allowed_anchors,
        **_certificate_rules(certificates),
    )


def _certificate_rules(certificates: written.PolicyCertificates) -> dict[str, Any]:
    """What a policy asks of each single certificate."""
    key, revocation = certificates.minimum_key or written.MinimumKey(), certificates.revocation
    duration, matching = certificates.max_duration, certificates.dn_matching
    return {
        "min_rsa_bits": key.rsa_bits,
        "min_ec_bits": key.ec_bits,
        "max_certificate_duration": None if duration is None else duration_seconds(duration),
        "require_client_auth_usage": certificates.require_client_auth_usage,
        "dn_matching": None if matching is None else DnMatching(matching),
        "revocation": None if revocation is None else RevocationMode(revocation.mode),
        "denied_thumbprints": frozenset(certificates.denied_thumbprints or ()),
    }


def _set(values: tuple[str, ...] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)


def _issuers(certificates: written.PolicyCertificates) -> frozenset[IssuerName] | None:
    if certificates.allowed_issuers is None:
        return None
    return frozenset(IssuerName(name=i.name, kind=i.kind, group=i.group) for i in certificates.allowed_issuers)


def _subjects(subjects: written.AllowedSubjects | None) -> AllowedSubjects | None:
    if subjects is None:
        return None
    return AllowedSubjects(
        uris=subjects.uris or (),
        dns_names=subjects.dns_names or (),
        ip_addresses=subjects.ip_addresses or (),
        email_addresses=subjects.email_addresses or (),
        distinguished_names=subjects.distinguished_names or (),
    )
