"""Name constraints of a CA: which of them can be enforced here, and which names a CA is not constrained on at all.

The library behind `chain` enforces the kinds of `_ENFORCED`. Others end validation when they are critical and are ignored
when they are not, so a CA with one is refused either way, when it is loaded (RFC 5280 section 4.2.1.10; Y-07).
"""

from collections.abc import Iterator, Mapping

from cryptography import x509

from holdfast.x509.certificate import Certificate
from holdfast.x509.subject import SubjectKind

_ENFORCED = (x509.DNSName, x509.IPAddress, x509.RFC822Name)
_OF_KIND: Mapping[SubjectKind, type[x509.GeneralName]] = {
    SubjectKind.DNS: x509.DNSName,
    SubjectKind.IP: x509.IPAddress,
    SubjectKind.EMAIL: x509.RFC822Name,
    SubjectKind.URI: x509.UniformResourceIdentifier,
    SubjectKind.DN: x509.DirectoryName,
}
_SHOWN: Mapping[type[x509.GeneralName], str] = {
    x509.DirectoryName: "directoryName",
    x509.UniformResourceIdentifier: "uniformResourceIdentifier",
    x509.OtherName: "otherName",
    x509.RegisteredID: "registeredID",
}


def constraint_flaw(certificate: Certificate) -> str | None:
    """Which of its name constraints cannot be enforced; None: all can."""
    for subtree in _subtrees(certificate):
        if not isinstance(subtree, _ENFORCED):
            kind = _SHOWN.get(type(subtree), type(subtree).__name__)
            return f"has a name constraint of the kind {kind}, which cannot be enforced here"
    return None


def leaves_open(ca: Certificate, kind: SubjectKind) -> bool:
    """Whether a CA is constrained, but not on names of this kind, so that it may still certify any of them (Y-08)."""
    subtrees = tuple(_subtrees(ca))
    return bool(subtrees) and not any(isinstance(subtree, _OF_KIND[kind]) for subtree in subtrees)


def _subtrees(certificate: Certificate) -> Iterator[x509.GeneralName]:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return
    yield from constraints.permitted_subtrees or ()
    yield from constraints.excluded_subtrees or ()
