"""What `tls_client_auth` asks of a certificate: the rules of the client's effective policy, one after the other.

Owns the order of the checks and how a policy's fields become rules of `holdfast.x509`. Pure: time, denied certificates and
revocation lists are arguments. Neighbours: `tls_client_auth` remembers what comes out, `tls_explanation` shows each step.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.oauth.errors import InvalidClient, OAuthError, TemporarilyUnavailable
from holdfast.oauth.refusal import Refusal
from holdfast.policy.model import DnMatching, EffectivePolicy, RevocationMode
from holdfast.x509.certificate import Certificate, CertificateError, PeerCertificate
from holdfast.x509.chain import MAX_CHAIN, PathError, PathRules, VerifiedPath, verify_path
from holdfast.x509.revocation_standing import Good, RevocationLists, Revoked, Unknown
from holdfast.x509.subject import SubjectMismatch, verify_subject
from holdfast_authserver.registry.snapshot import ServedClient

_MAX_DETAIL = 500  # characters; a certificate may hold thousands of names
_RETRY_AFTER = 30  # seconds; a list that is missing comes by somebody's hand
_UNKNOWN_HOLDS = timedelta(seconds=60)  # a client whose standing is unknown is told of again this often


@dataclass(frozen=True, slots=True)
class Accepted:
    """Holds while `valid_from <= now <= valid_until`. `expires`: the leaf's end. `unknown`: why its standing is unknown."""

    valid_from: datetime
    valid_until: datetime
    expires: datetime
    unknown: str | None = None


def judge(
    client: ServedClient,
    ders: Sequence[bytes],
    *,
    at: datetime,
    skew: timedelta,
    denied: Collection[str],
    lists: RevocationLists,
) -> Accepted:
    """Of what a client presented, leaf first. Raises InvalidClient, or TemporarilyUnavailable where a policy demands a
    revocation list that is not there (M-22).
    """
    try:
        peer = read_peer(ders)
        _refuse_denied(peer.leaf, denied)
        path = verify_path(peer, usable_anchors(client), at=moment(peer, at, skew), rules=rules_of(client.policy))
        for certificate in path.certificates:
            _refuse_denied(certificate, denied)
        check_subject(client, peer.leaf)
    except CertificateError as error:
        raise _refused(str(error), Refusal.CERTIFICATE_MALFORMED) from error
    except PathError as error:
        expired = not peer.leaf.not_before <= at <= peer.leaf.not_after
        raise _refused(error.reason, Refusal.CERTIFICATE_EXPIRED if expired else Refusal.NO_PATH) from error
    except SubjectMismatch as error:
        raise _refused(str(error), Refusal.SUBJECT_MISMATCH) from error
    return _with_standing(client.policy.revocation, path, peer, lists, at, skew)


def read_peer(ders: Sequence[bytes]) -> PeerCertificate:
    """Raises CertificateError, and PathError for more certificates than any path needs (M-83)."""
    if len(ders) > MAX_CHAIN + 1:
        raise CertificateError(f"expected at most {MAX_CHAIN} certificates besides the leaf, found {len(ders) - 1}")
    leaf, *others = map(Certificate.from_der, ders)
    return PeerCertificate(leaf, tuple(others))


def moment(peer: PeerCertificate, at: datetime, skew: timedelta) -> datetime:
    """An issuer a little ahead has just made this leaf (M-17); ends are never stretched."""
    return min(max(at, peer.leaf.not_before), at + skew)


def usable_anchors(client: ServedClient) -> tuple[Certificate, ...]:
    """Those of the client that are in every list of a policy that names anchors."""
    allowed = client.policy.allowed_anchors
    return tuple(anchor for anchor in client.anchors if all(anchor.sha256 in entry for entry in allowed))


def rules_of(policy: EffectivePolicy) -> PathRules:
    """What a policy asks of a path; never less than the built-in minimum."""
    least, duration = PathRules(), policy.max_certificate_duration
    return PathRules(
        min_rsa_bits=max(least.min_rsa_bits, policy.min_rsa_bits),
        min_ec_bits=max(least.min_ec_bits, policy.min_ec_bits),
        max_duration=None if duration is None else timedelta(seconds=duration),
        require_client_auth_usage=policy.require_client_auth_usage,
    )


def check_subject(client: ServedClient, leaf: Certificate) -> None:
    """Of the leaf alone (M-12). Raises SubjectMismatch."""
    if client.metadata.subject is None:
        raise SubjectMismatch(("the client has no subject rule",))
    verify_subject(leaf, client.metadata.subject, exact_dn=client.policy.dn_matching is DnMatching.EXACT)


def _refuse_denied(certificate: Certificate, denied: Collection[str]) -> None:
    if certificate.x5t_s256 in denied:
        name = certificate.subject.text[:120]
        raise _refused(f"{name!r} ({certificate.x5t_s256}) is a denied certificate", Refusal.CERTIFICATE_DENIED)


def _with_standing(
    mode: RevocationMode, path: VerifiedPath, peer: PeerCertificate, lists: RevocationLists, at: datetime, skew: timedelta
) -> Accepted:
    begins, ends = min(at, path.valid_from), path.valid_until
    if mode is RevocationMode.DISABLED:
        return Accepted(begins, ends, peer.leaf.not_after)
    match lists.standing(path.certificates, at=at, skew=skew):
        case Revoked() as revoked:
            raise _refused(str(revoked), Refusal.CERTIFICATE_REVOKED)
        case Unknown(reason) if mode is RevocationMode.HARD_FAIL:
            raise TemporarilyUnavailable(
                f"revocation: {reason}"[:_MAX_DETAIL], retry_after=_RETRY_AFTER, reason=Refusal.REVOCATION_UNKNOWN
            )
        case Unknown(reason):
            return Accepted(at, min(ends, at + _UNKNOWN_HOLDS), peer.leaf.not_after, reason[:_MAX_DETAIL])
        case Good(until):
            return Accepted(at, min(ends, until), peer.leaf.not_after)


def _refused(why: str, reason: Refusal) -> OAuthError:
    return InvalidClient(f"certificate refused: {why[:_MAX_DETAIL]}", reason=reason)
