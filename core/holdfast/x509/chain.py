"""Path validation of a client certificate against pinned anchors (RFC 5280 section 6, RFC 8705 section 2.1).

Owns: which CA may be an anchor, whether a leaf leads to one, and how long that stays true. Nothing is fetched, the
system's trust store is never used, time is an argument. Must not know clients. Neighbour: `certificate`.

`cryptography` builds and checks the path; where its defaults ask for more than private CAs deliver (an authority key
identifier in the leaf, a SAN) they are relaxed, and what the relaxed form no longer asks of the leaf is asked here.

An anchor is any CA certificate that was pinned, an intermediate as well as a root: the path ends there, and what may
stand above it is not looked at. A leaf that is itself pinned is refused: that is `self_signed_tls_client_auth`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store

from holdfast.x509.certificate import Certificate, PeerCertificate

MAX_CHAIN = 8
_WEAK_HASHES = (hashes.MD5, hashes.SHA1)


class PathError(Exception):
    """The certificate is not accepted, or the anchor cannot be one. `reason` is for logs and conditions."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class PathLimits:
    """`max_depth`: intermediates between leaf and anchor. Key sizes in bits."""

    max_depth: int = 4
    min_rsa_bits: int = 2048
    min_ec_bits: int = 224


@dataclass(frozen=True, slots=True)
class VerifiedPath:
    """Leaf first, anchor last. While `valid_from <= now <= valid_until` the verdict stays what it is."""

    certificates: tuple[Certificate, ...]
    valid_from: datetime
    valid_until: datetime


def check_trust_anchor(anchor: Certificate) -> None:
    """Say now, not at the first login, that a certificate cannot be an anchor. Raises PathError."""
    who = f"the certificate {anchor.subject.text or anchor.x5t_s256!r}"
    if not anchor.is_ca:
        raise PathError(f"{who} is not a CA: its basic constraints do not say CA:TRUE")
    key = anchor.parsed.public_key()
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        raise PathError(f"{who} has an Ed25519 or Ed448 key, with which no path can be validated; use ECDSA or RSA")
    _check_key(anchor, PathLimits(), who)
    usage = _key_usage(anchor)
    if usage is not None and not usage.key_cert_sign:
        raise PathError(f"{who} may not sign certificates: its key usage leaves out keyCertSign")
    _check_constraints(anchor, who)


def verify_path(
    peer: PeerCertificate,
    anchors: Sequence[Certificate],
    *,
    at: datetime,
    limits: PathLimits = PathLimits(),
    require_client_auth_usage: bool = True,
) -> VerifiedPath:
    """Find a path from the leaf to one of `anchors` that holds at the moment `at`.

    `require_client_auth_usage`: whether an extended key usage must be there; where there is one, it must hold
    clientAuth either way. Raises PathError.
    """
    if not anchors:
        raise PathError("no trust anchor is left for this client")
    if len(peer.chain) > MAX_CHAIN:
        raise PathError(f"expected at most {MAX_CHAIN} certificates besides the leaf, found {len(peer.chain)}")
    if peer.leaf in anchors:
        raise PathError("the leaf is itself a trust anchor; expected a certificate that an anchor has issued")
    _check_leaf(peer.leaf, limits, require_client_auth_usage)
    path = _build(peer, anchors, at, limits)
    for certificate in path:
        _check_key(certificate, limits, "a certificate of the path")
        _check_constraints(certificate, "a certificate of the path")
    for certificate in path[:-1]:
        _check_signature_hash(certificate)
    return VerifiedPath(path, max(c.not_before for c in path), min(c.not_after for c in path))


def _build(
    peer: PeerCertificate, anchors: Sequence[Certificate], at: datetime, limits: PathLimits
) -> tuple[Certificate, ...]:
    try:
        verifier = (
            PolicyBuilder()
            .store(Store([a.parsed for a in anchors]))
            .time(at.astimezone(UTC).replace(tzinfo=None))
            .max_chain_depth(limits.max_depth)
            .extension_policies(ca_policy=_CA_POLICY, ee_policy=_LEAF_POLICY)
            .build_client_verifier()
        )
        found = verifier.verify(peer.leaf.parsed, [c.parsed for c in peer.chain])
    except verification.VerificationError as error:
        raise PathError(f"no path to a trust anchor: {str(error)[:300]}") from None
    except Exception as error:
        # Certificates that parse may still trip the verifier (duplicate extensions, odd encodings): no path, then.
        raise PathError(f"the path cannot be judged: {type(error).__name__}") from error
    known = {c.parsed: c for c in (peer.leaf, *peer.chain, *anchors)}
    return tuple(known[c] for c in found.chain)


def _check_leaf(leaf: Certificate, limits: PathLimits, require_usage: bool) -> None:
    usage = _key_usage(leaf)
    if leaf.is_ca or (usage is not None and usage.key_cert_sign):
        raise PathError("the leaf is a CA certificate")
    if usage is not None and not usage.digital_signature:
        raise PathError("the leaf's key usage leaves out digitalSignature")
    _check_extended_usage(leaf, require_usage)
    _check_key(leaf, limits, "the leaf")


def _check_extended_usage(leaf: Certificate, required: bool) -> None:
    try:
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        if required:
            raise PathError("the leaf has no extended key usage; clientAuth is required") from None
        return
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usages:
        raise PathError("the leaf's extended key usage leaves out clientAuth")


def _key_usage(certificate: Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def _check_key(certificate: Certificate, limits: PathLimits, who: str) -> None:
    key = certificate.parsed.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < limits.min_rsa_bits:
            raise PathError(f"{who} has an RSA key of {key.key_size} bits; at least {limits.min_rsa_bits} are required")
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.key_size < limits.min_ec_bits:
            raise PathError(f"{who} has an EC key of {key.curve.key_size} bits; {limits.min_ec_bits} are required")
    elif not isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        raise PathError(f"{who} has a key of a kind that is not accepted: {type(key).__name__}")


def _check_constraints(certificate: Certificate, who: str) -> None:
    """Refuse what the verifier would refuse at each login when it is critical, and silently ignore when it is not."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return
    subtrees = (*(constraints.permitted_subtrees or ()), *(constraints.excluded_subtrees or ()))
    if any(isinstance(subtree, x509.DirectoryName) for subtree in subtrees):
        raise PathError(f"{who} has a name constraint of the kind directoryName, which cannot be enforced here")


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
