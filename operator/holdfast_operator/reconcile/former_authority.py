"""The CA of a client's last certificate, where its issuer has got another since: trusted as long as that one may be used.

A renewal under a new CA reaches the workload later than the registration, and until then requests come with the old
certificate. It is known from the CertificateRequest of the revision before, so a restart forgets nothing, and the next
renewal ends it. Pure. Neighbours: `issued` finds the request, `anchors` reads the CA, `plan` asks policies about it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from holdfast.oauth.client_metadata import TrustAnchor
from holdfast.x509.certificate import CertificateError
from holdfast_operator.reconcile.anchors import Unusable, issuing_anchors
from holdfast_operator.reconcile.issued import previous_request, read_issued, timestamp
from holdfast_operator.reconcile.observed import Observed
from holdfast_operator.reconcile.ports import Object


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerAuthority:
    """`anchors`: those that are not the current CA's. `until`: the end of the certificate that was issued under them."""

    anchors: tuple[TrustAnchor, ...] = ()
    until: datetime | None = None

    @property
    def told(self) -> str:
        """What a condition says of it; empty when there is none."""
        if self.until is None:
            return ""
        return f"; the CA before is still trusted, until the certificate before ends at {timestamp(self.until)}"


NONE = FormerAuthority()


def former_authority(
    observed: Observed, certificate: Object, current: Object, anchors: Iterable[TrustAnchor], *, shared: bool
) -> FormerAuthority:
    """`anchors`: the CA as it is. `shared`: whether the issuer is a ClusterIssuer."""
    previous = previous_request(certificate, current, observed.requests)
    if previous is None:
        return NONE
    try:
        issued = read_issued(previous)
        found = issuing_anchors(issued.ca, shared=shared, shared_keys=observed.shared_keys) if issued.ca else ()
    except (CertificateError, Unusable):
        return NONE
    known = {anchor.der for anchor in anchors}
    left = tuple(anchor for anchor in found if anchor.der not in known)
    if not left or issued.leaf.not_after <= observed.now:
        return NONE
    return FormerAuthority(anchors=left, until=issued.leaf.not_after)
