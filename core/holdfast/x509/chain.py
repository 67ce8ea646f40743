"""Path validation of a client certificate against pinned anchors (RFC 5280 section 6, RFC 8705 section 2.1).

Owns: which CA may be an anchor, whether a leaf leads to one, and how long that stays true. Nothing is fetched, the
system's trust store is never used, time is an argument. Must not know clients.
Neighbours: `path_rules`, `leaf`, `constraints`.

`cryptography` builds and checks the path; where its defaults ask for more than private CAs deliver (an authority key
identifier in the leaf, a SAN) they are relaxed, and what the relaxed form no longer asks of the leaf is asked by `leaf`.

An anchor is any CA certificate that was pinned, an intermediate as well as a root: the path ends there, and what may
stand above it is not looked at. A leaf that is itself pinned is refused: that is `self_signed_tls_client_auth`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519
from cryptography.x509 import verification
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store

from holdfast.x509.certificate import Certificate, PeerCertificate
from holdfast.x509.constraints import constraint_flaw
from holdfast.x509.leaf import check_leaf, key_usage
from holdfast.x509.path_rules import PathError, PathRules, key_flaw

__all__ = ["MAX_CHAIN", "PathError", "PathRules", "VerifiedPath", "build_path", "check_path", "check_trust_anchor",
           "verify_path"]  # fmt: skip

MAX_CHAIN = 8
_WEAK_HASHES = (hashes.MD5, hashes.SHA1)
_DEFAULT_RULES = PathRules()


@dataclass(frozen=True, slots=True)
class VerifiedPath:
    """Leaf first, anchor last. While `valid_from <= now <= valid_until` the verdict stays what it is."""

    certificates: tuple[Certificate, ...]
    valid_from: datetime
    valid_until: datetime


def check_trust_anchor(anchor: Certificate) -> None:
    """Say now, not at the first login, that a certificate cannot be an anchor. Raises PathError."""
    if (flaw := _anchor_flaw(anchor)) is not None:
        raise PathError(f"the certificate {anchor.subject.text or anchor.x5t_s256!r} {flaw}")


def _anchor_flaw(anchor: Certificate) -> str | None:
    if not anchor.is_ca:
        return "is not a CA: its basic constraints do not say CA:TRUE"
    if isinstance(anchor.parsed.public_key(), ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return "has an Ed25519 or Ed448 key, with which no path can be validated; use ECDSA or RSA"
    if (weak := key_flaw(anchor, _DEFAULT_RULES)) is not None:
        return f"has {weak}"
    usage = key_usage(anchor)
    if usage is not None and not usage.key_cert_sign:
        return "may not sign certificates: its key usage leaves out keyCertSign"
    return constraint_flaw(anchor)


def verify_path(
    peer: PeerCertificate, anchors: Sequence[Certificate], *, at: datetime, rules: PathRules = _DEFAULT_RULES
) -> VerifiedPath:
    """Find a path from the leaf to one of `anchors` that holds at the moment `at`. Raises PathError."""
    if len(peer.chain) > MAX_CHAIN:
        raise PathError(f"expected at most {MAX_CHAIN} certificates besides the leaf, found {len(peer.chain)}")
    check_leaf(peer.leaf, rules)
    path = build_path(peer, anchors, at=at, rules=rules)
    check_path(path, rules)
    return VerifiedPath(path, max(c.not_before for c in path), min(c.not_after for c in path))


def build_path(
    peer: PeerCertificate, anchors: Sequence[Certificate], *, at: datetime, rules: PathRules
) -> tuple[Certificate, ...]:
    """A path by the rules of RFC 5280, before this house's own. Raises PathError."""
    if not anchors:
        raise PathError("no trust anchor is left for this client")
    if peer.leaf in anchors:
        raise PathError("the leaf is itself a trust anchor; expected a certificate that an anchor has issued")
    try:
        verifier = (
            PolicyBuilder()
            .store(Store([a.parsed for a in anchors]))
            .time(at.astimezone(UTC).replace(tzinfo=None))
            .max_chain_depth(rules.max_depth)
            .extension_policies(ca_policy=_CA_POLICY, ee_policy=_LEAF_POLICY)
            .build_client_verifier()
        )
        found = verifier.verify(peer.leaf.parsed, [c.parsed for c in _issued_below(anchors, peer.chain)])
    except verification.VerificationError as error:
        raise PathError(f"no path to a trust anchor: {str(error)[:300]}") from None
    except Exception as error:
        # Certificates that parse may still trip the verifier (duplicate extensions, odd encodings): no path, then.
        raise PathError(f"the path cannot be judged: {type(error).__name__}") from error
    known = {c.parsed: c for c in (peer.leaf, *peer.chain, *anchors)}
    return tuple(known[c] for c in found.chain)


def _issued_below(anchors: Sequence[Certificate], chain: Sequence[Certificate]) -> tuple[Certificate, ...]:
    """Those of `chain` that an anchor has issued, by way of others of them; no path holds any other.

    A stranger's certificates may be large and certify one another in every order. Looking from the anchors down, each
    signature is checked with a key that is trusted already; looking from the leaf up, some hundred with keys of his choice.
    """
    issuers, left = list(anchors), [c for c in chain if c not in anchors]
    for issuer in issuers:  # grows meanwhile
        issuers += (issued := [c for c in left if _has_issued(issuer, c)])
        left = [c for c in left if c not in issued]
    return tuple(c for c in chain if c in issuers)


def _has_issued(issuer: Certificate, certificate: Certificate) -> bool:
    if issuer.parsed.subject != certificate.parsed.issuer:
        return False
    try:
        certificate.parsed.verify_directly_issued_by(issuer.parsed)
    except Exception:
        # A signature that is wrong and one that cannot be checked with this key come to the same.
        return False
    return True


def check_path(path: Sequence[Certificate], rules: PathRules) -> None:
    """Keys, name constraints and signatures of a path that was found. Raises PathError."""
    for certificate in path:
        if (weak := key_flaw(certificate, rules)) is not None:
            raise PathError(f"a certificate of the path, {certificate.subject.text[:120]!r}, has {weak}")
        if (flaw := constraint_flaw(certificate)) is not None:
            raise PathError(f"a certificate of the path, {certificate.subject.text[:120]!r}, {flaw}")
    for certificate in path[:-1]:
        _check_signature_hash(certificate)


def _check_signature_hash(certificate: Certificate) -> None:
    try:
        algorithm = certificate.parsed.signature_hash_algorithm
    except Exception as error:
        raise PathError("a certificate of the path is signed in an unknown way") from error
    if isinstance(algorithm, _WEAK_HASHES):
        raise PathError(f"a certificate of the path is signed with {algorithm.name}")


def _leaf_policy() -> ExtensionPolicy:
    """The web's rules for a leaf, except that a SAN (a DN-only client) and an authority key identifier may be missing."""
    return (
        ExtensionPolicy.webpki_defaults_ee()
        .may_be_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
        .may_be_present(x509.AuthorityKeyIdentifier, Criticality.AGNOSTIC, None)
        .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, None)
    )


def _ca_policy() -> ExtensionPolicy:
    """The web's rules for a CA, except that key usage may be missing, as in many private roots."""
    return (
        ExtensionPolicy.webpki_defaults_ca()
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _key_usage_may_sign)
        .may_be_present(x509.AuthorityKeyIdentifier, Criticality.AGNOSTIC, None)
    )


def _key_usage_may_sign(_policy: verification.Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("a CA of the path may not sign certificates")


_LEAF_POLICY = _leaf_policy()
_CA_POLICY = _ca_policy()
