"""Whether a certificate that a client wants to be issued would be taken later, and what its defaults come to.

Owns the judgement before there is a certificate, so that none is asked for which the server would refuse. An explicit value
that a policy does not allow is a violation; a default gives way. Pure. Neighbour: the server judges what is presented.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.policy.decision import ALLOW, Decision, DenialReason
from holdfast.policy.evaluate import evaluate_issuer
from holdfast.policy.model import EffectivePolicy, IssuerName

_SIZES = {"RSA": (2048, 3072, 4096), "ECDSA": (256, 384, 521)}
"""Bits of the keys that an issuer can be asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedCertificate:
    """What a client asks its issuer for. None: it leaves it to others. Times in seconds."""

    issuer: IssuerName
    duration: int | None
    default_duration: int
    """What a certificate is asked for with where neither client nor policy says otherwise."""
    renew_before: int | None
    algorithm: str
    """RSA or ECDSA."""
    bits: int | None


def evaluate_certificate(asked: AskedCertificate, policy: EffectivePolicy) -> Decision:
    """The first thing that the policy does not allow, or that everything is allowed."""
    return next((d for d in certificate_decisions(asked, policy) if not d.allowed), ALLOW)


def certificate_decisions(asked: AskedCertificate, policy: EffectivePolicy) -> Iterator[Decision]:
    """What the policy says of each thing that is asked for."""
    yield evaluate_issuer(asked.issuer, policy)
    yield evaluate_duration(asked.duration, policy)
    yield evaluate_key(asked.algorithm, asked.bits, policy)
    yield _evaluate_renewal(asked, policy)


def _evaluate_renewal(asked: AskedCertificate, policy: EffectivePolicy) -> Decision:
    """A duration that gave way to a policy may have become shorter than what is left of it for renewing."""
    left = asked.duration or default_duration(asked.default_duration, policy)
    if asked.renew_before is None or asked.renew_before < left:
        return ALLOW
    return Decision.deny(
        DenialReason.DURATION_TOO_LONG,
        f"spec.certificate.renewBefore: expected less than {left}s, which policies leave of duration, "
        f"found {asked.renew_before}s",
    )


def evaluate_duration(seconds: int | None, policy: EffectivePolicy) -> Decision:
    """`seconds`: as the client says, None: it leaves it to others."""
    limit = policy.max_certificate_duration
    if limit is None or seconds is None or seconds <= limit:
        return ALLOW
    return Decision.deny(
        DenialReason.DURATION_TOO_LONG, f"spec.certificate.duration: expected at most {limit}s, found {seconds}s"
    )


def default_duration(seconds: int, policy: EffectivePolicy) -> int:
    """The default, or less where a policy says so."""
    limit = policy.max_certificate_duration
    return seconds if limit is None else min(seconds, limit)


def evaluate_key(algorithm: str, bits: int | None, policy: EffectivePolicy) -> Decision:
    """`algorithm`: RSA or ECDSA. `bits`: as the client says, None: it leaves it to others."""
    least = _least(algorithm, policy)
    if bits is None and default_bits(algorithm, policy) is not None:
        return ALLOW
    if bits is not None and bits >= least:
        return ALLOW
    found = f"found {bits}" if bits is not None else f"which no {algorithm} key that can be asked for has"
    return Decision.deny(
        DenialReason.KEY_TOO_SMALL, f"spec.certificate.privateKey.size: expected at least {least} for {algorithm}, {found}"
    )


def default_bits(algorithm: str, policy: EffectivePolicy) -> int | None:
    """The smallest key of its kind that policies allow; None: there is none."""
    return next((bits for bits in _SIZES[algorithm] if bits >= _least(algorithm, policy)), None)


def _least(algorithm: str, policy: EffectivePolicy) -> int:
    return policy.min_rsa_bits if algorithm == "RSA" else policy.min_ec_bits
