"""The certificates that a client has registered itself, by value: which of them is shown, and whether one still counts.

Owns the judgement of `authentication.jwks`; what is behind `jwksUri` only the server sees. Pure. Neighbour: `certificate`.
"""

from dataclasses import dataclass
from datetime import datetime

from holdfast.api.v1alpha1.conditions import Reason
from holdfast.x509.certificate import Certificate
from holdfast_operator.reconcile.expiry import Lifespan
from holdfast_operator.reconcile.finding import Finding, fine, stalled
from holdfast_operator.reconcile.issued import timestamp
from holdfast_operator.reconcile.ports import Object
from holdfast_operator.reconcile.request import ClientRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnKeys:
    """`status`: for `status.certificate`. `judge_again`: when the finding will be another. `lasts`: None: without an end."""

    finding: Finding
    status: Object | None = None
    judge_again: datetime | None = None
    lasts: Lifespan | None = None


def judge_own_keys(request: ClientRequest, now: datetime) -> OwnKeys:
    """Of several certificates the one that ends last is shown: it is the one to go on with."""
    authentication = request.client.spec.authentication
    certificates = _certificates(request)
    found = fine(Reason.OWN_KEYS, "the client is known by keys of its own")
    if not certificates:
        return OwnKeys(finding=found)
    last = max(certificates, key=lambda certificate: certificate.not_after)
    status: Object = {"thumbprint": last.x5t_s256, "notAfter": timestamp(last.not_after)}
    if authentication.accept_expired_certificate:
        return OwnKeys(finding=found, status=status)
    if last.not_after <= now:
        message = (
            f"spec.authentication.jwks: its last certificate, {last.x5t_s256}, ended at {timestamp(last.not_after)}: "
            "register the one that the client has now"
        )
        return OwnKeys(finding=stalled(Reason.CERTIFICATE_INVALID, message), status=status)
    what = f"spec.authentication.jwks: its last certificate, {last.x5t_s256},"
    lasts = Lifespan(begin=last.not_before, end=last.not_after, what=what)
    return OwnKeys(finding=found, status=status, judge_again=last.not_after, lasts=lasts)


def _certificates(request: ClientRequest) -> list[Certificate]:
    if request.client.spec.authentication.method != "self_signed_tls_client_auth":
        return []
    return [key.certificate for key in request.keys or () if key.certificate is not None]
