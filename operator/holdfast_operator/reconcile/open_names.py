"""What a client's CAs are not constrained on: a name constraint of one kind says nothing of the others (RFC 5280, Y-08).

Who constrains a CA to the DNS names of a partner may believe that it can certify nothing else, while the client is known by
a URI. Owns the words; nothing is refused for it. Pure. Neighbour: `holdfast.x509.constraints` finds it out.
"""

from collections.abc import Iterable

from holdfast.oauth.client_metadata import TrustAnchor
from holdfast.x509.constraints import leaves_open
from holdfast.x509.subject import SubjectRule
from holdfast_operator.reconcile.authorities import authority


def open_names(anchors: Iterable[TrustAnchor], subject: SubjectRule | None) -> str:
    """What a condition says of it; empty where there is nothing to say."""
    if subject is None:
        return ""
    cas = (authority(anchor.der) for anchor in anchors)
    found = [ca.subject.text[:120] or ca.x5t_s256 for ca in cas if leaves_open(ca, subject.kind)]
    if not found:
        return ""
    names = ", ".join(repr(name) for name in found)
    return f"; the name constraints of {names} say nothing of the kind {subject.kind}: any such name may be certified"
