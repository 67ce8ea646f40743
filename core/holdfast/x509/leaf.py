"""What is asked of a client's leaf itself, one check after the other, whichever path it leads to.

Owns the checks that path validation leaves out or relaxes (RFC 5280 sections 4.2.1.3, 4.2.1.9 and 4.2.1.12; M-18 to
M-20, M-24). One table, so that a judgement and its explanation cannot differ. Neighbours: `chain`, `explain`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from holdfast.x509.certificate import Certificate
from holdfast.x509.path_rules import PathError, PathRules, key_flaw, key_shown


@dataclass(frozen=True, slots=True)
class LeafCheck:
    """`flaw`: what is wrong, as the end of "the leaf …"; None: nothing. `expected`, `seen`: the same for people."""

    rule: str
    flaw: Callable[[Certificate, PathRules], str | None]
    expected: Callable[[PathRules], str]
    seen: Callable[[Certificate], str]


def check_leaf(leaf: Certificate, rules: PathRules) -> None:
    """Raises PathError with the first flaw."""
    for check in LEAF_CHECKS:
        if (flaw := check.flaw(leaf, rules)) is not None:
            raise PathError(f"the leaf {flaw}")


def key_usage(certificate: Certificate) -> x509.KeyUsage | None:
    """The key usage extension, where there is one."""
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def issues_certificates(certificate: Certificate) -> bool:
    """Whether it is a CA's that may sign others. CA:TRUE alone is what `openssl req -x509` makes of everybody's."""
    usage = key_usage(certificate)
    return certificate.is_ca and usage is not None and usage.key_cert_sign


def _extended_usages(leaf: Certificate) -> tuple[x509.ObjectIdentifier, ...] | None:
    try:
        return tuple(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return None


def _ca_flaw(leaf: Certificate, _rules: PathRules) -> str | None:
    usage = key_usage(leaf)
    return "is a CA certificate" if leaf.is_ca or (usage is not None and usage.key_cert_sign) else None


def _ca_seen(leaf: Certificate) -> str:
    usage = key_usage(leaf)
    signs = usage is not None and usage.key_cert_sign
    return f"CA:{str(leaf.is_ca).upper()}, {'with' if signs else 'without'} keyCertSign"


def _usage_flaw(leaf: Certificate, _rules: PathRules) -> str | None:
    usage = key_usage(leaf)
    return "has a key usage that leaves out digitalSignature" if usage is not None and not usage.digital_signature else None


def _usage_seen(leaf: Certificate) -> str:
    usage = key_usage(leaf)
    if usage is None:
        return "no key usage"
    return "with digitalSignature" if usage.digital_signature else "without digitalSignature"


def _extended_flaw(leaf: Certificate, rules: PathRules) -> str | None:
    usages = _extended_usages(leaf)
    if usages is None:
        return "has no extended key usage; clientAuth is required" if rules.require_client_auth_usage else None
    return None if ExtendedKeyUsageOID.CLIENT_AUTH in usages else "has an extended key usage that leaves out clientAuth"


def _extended_seen(leaf: Certificate) -> str:
    usages = _extended_usages(leaf)
    return "no extended key usage" if usages is None else ", ".join(_usage_name(usage) for usage in usages[:8])


def _usage_name(usage: x509.ObjectIdentifier) -> str:
    known = {ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth", ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth"}
    return known.get(usage, usage.dotted_string)


def _duration_flaw(leaf: Certificate, rules: PathRules) -> str | None:
    duration = leaf.not_after - leaf.not_before
    if rules.max_duration is None or duration <= rules.max_duration:
        return None
    return f"is made for {duration}; at most {rules.max_duration} are allowed"


def _key_flaw(leaf: Certificate, rules: PathRules) -> str | None:
    flaw = key_flaw(leaf, rules)
    return None if flaw is None else f"has {flaw}"


LEAF_CHECKS = (
    LeafCheck("the leaf is no CA", _ca_flaw, lambda _: "CA:FALSE, without keyCertSign", _ca_seen),
    LeafCheck("key usage", _usage_flaw, lambda _: "with digitalSignature, or no key usage", _usage_seen),
    LeafCheck(
        "extended key usage",
        _extended_flaw,
        lambda rules: "clientAuth" if rules.require_client_auth_usage else "clientAuth, or no extended key usage",
        _extended_seen,
    ),
    LeafCheck(
        "key of the leaf",
        _key_flaw,
        lambda rules: f"RSA of {rules.min_rsa_bits} bits, EC of {rules.min_ec_bits}, Ed25519 or Ed448, at the least",
        key_shown,
    ),
    LeafCheck(
        "duration of the leaf",
        _duration_flaw,
        lambda rules: "any" if rules.max_duration is None else f"at most {rules.max_duration}",
        lambda leaf: str(leaf.not_after - leaf.not_before),
    ),
)
"""In the order in which they are asked."""
