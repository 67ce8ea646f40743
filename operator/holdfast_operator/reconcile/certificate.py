"""Whether the client has a certificate that it can be registered with.

Owns the walk from the wish to the issued leaf: whose the name and the Secret are, whether the issuer is there, whether
cert-manager is done, whether what it issued can be used. Each step that says no ends the walk. Pure.
Neighbours: `certificate_intent` (what is asked for), `issuance` (what is in the way), `issued` (reading the answer),
`anchors`.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from holdfast.api.v1alpha1.conditions import Reason
from holdfast.api.v1alpha1.oauth_client import Certificate as Wanted
from holdfast.oauth.client_metadata import TrustAnchor
from holdfast.oauth.jwks import Jwk, JwkError
from holdfast.policy.evaluate import allowed_anchors
from holdfast.policy.model import EffectivePolicy, Policy
from holdfast.x509.certificate import CertificateError, PeerCertificate
from holdfast.x509.chain import PathError, verify_path
from holdfast.x509.leaf import issues_certificates
from holdfast.x509.subject import SubjectMismatch, verify_subject
from holdfast_operator.reconcile.anchors import (
    OwnAnchorsOutOfTime,
    OwnAnchorsUnusable,
    Unusable,
    issuing_anchors,
    last_to_end,
    own_anchors,
)
from holdfast_operator.reconcile.authorities import authority
from holdfast_operator.reconcile.certificate_intent import intended_certificate, is_as_intended
from holdfast_operator.reconcile.expiry import Lifespan
from holdfast_operator.reconcile.finding import Finding, fine, stalled, waiting
from holdfast_operator.reconcile.former_authority import NONE, FormerAuthority, former_authority
from holdfast_operator.reconcile.issuance import check_issuer_exists, check_names, is_ready, why_not_ready
from holdfast_operator.reconcile.issued import (
    Issued,
    condition,
    current_request,
    is_in_the_secret,
    issued_at,
    moment,
    previous_request,
    read_issued,
    revision_of,
    timestamp,
)
from holdfast_operator.reconcile.names import was_a_namesakes
from holdfast_operator.reconcile.observed import Observed
from holdfast_operator.reconcile.open_names import open_names
from holdfast_operator.reconcile.own_keys import judge_own_keys
from holdfast_operator.reconcile.ports import Kind, Object
from holdfast_operator.reconcile.publishing import Leaf, first_end, is_published, rotation, told
from holdfast_operator.reconcile.registration import is_of_this_life, own_record
from holdfast_operator.reconcile.request import ClientRequest

Anchors = tuple[TrustAnchor, ...]
PENDING_LIMIT = 30.0
"""Seconds after which a pending certificate is looked at even if no event came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateVerdict:
    """`apply`: the Certificate to write, `renew`: the one to have issued once more, `delete`: the one that has to go first.

    `anchors`: what the registration pins, `former_anchors`: what it pins besides while certificates of the CA before may be
    in use, `keys`: those of the certificate itself where the client is known by that; empty while nothing is issued.

    `withdraw`: an earlier registration must not go on either. `status`: for `status.certificate`. `lasts`: how long what the
    client is known by lasts, where that is known.
    """

    finding: Finding
    anchors: Anchors = ()
    former_anchors: Anchors = ()
    keys: tuple[Jwk, ...] = ()
    apply: Object | None = None
    renew: Object | None = None
    delete: Object | None = None
    status: Object | None = None
    withdraw: bool = False
    lasts: Lifespan | None = None
    requeue_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruled:
    """`policy`: the effective one. `anchors`: those of all matching policies, for a client whose issuer names no CA.

    `written`: the policies that match, in any mode, by which a denial gets a name.
    """

    policy: EffectivePolicy
    anchors: Anchors = ()
    written: tuple[Policy, ...] = ()


def judge_certificate(observed: Observed, request: ClientRequest, ruled: Ruled) -> CertificateVerdict:
    """The client's own anchors, or the walk through cert-manager."""
    wanted = request.client.spec.certificate
    if request.by_keys:
        return _walked(observed, request, wanted, (), ruled) if wanted else _own_keys(observed, request)
    try:
        own = own_anchors(request.anchor_references, observed.config_maps, observed.shared_keys, observed.now)
        if wanted is None:
            return _brought_along(observed, request, own)
        return _walked(observed, request, wanted, own, ruled)
    except OwnAnchorsUnusable as error:
        return CertificateVerdict(finding=error.finding, withdraw=True)
    except OwnAnchorsOutOfTime as error:
        again = None if error.judge_again is None else (error.judge_again - observed.now).total_seconds()
        return CertificateVerdict(finding=error.finding, anchors=error.anchors, requeue_after=again)


def _own_keys(observed: Observed, request: ClientRequest) -> CertificateVerdict:
    own = judge_own_keys(request, observed.now)
    again = None if own.judge_again is None else (own.judge_again - observed.now).total_seconds()
    return CertificateVerdict(finding=own.finding, status=own.status, lasts=own.lasts, requeue_after=again)


def _brought_along(observed: Observed, request: ClientRequest, own: Anchors) -> CertificateVerdict:
    if not own:
        message = "spec.authentication.trustAnchors: expected at least one without spec.certificate, found none"
        return CertificateVerdict(finding=stalled(Reason.TRUST_ANCHOR_MISSING, message), withdraw=True)
    last = last_to_end(own)
    names = ", ".join(sorted({reference.name for reference in request.anchor_references}))
    what = f"the last of its trust anchors (ConfigMap {names}), {last.subject.text or last.x5t_s256!r},"
    return CertificateVerdict(
        finding=fine(Reason.OWN_CERTIFICATE, f"the client brings its own certificate{open_names(own, request.subject)}"),
        anchors=own,
        status=_subject(request),
        lasts=Lifespan(begin=last.not_before, end=last.not_after, what=what),
        requeue_after=(last.not_after - observed.now).total_seconds(),
    )


def _walked(observed: Observed, request: ClientRequest, wanted: Wanted, own: Anchors, ruled: Ruled) -> CertificateVerdict:
    """The walk, and where it ended; anchors that are the client's own do not depend on it."""
    try:
        verdict = _walk(observed, request, wanted, own, ruled)
    except Unusable as error:
        verdict = CertificateVerdict(finding=error.finding)
    return replace(verdict, anchors=own or verdict.anchors)


def _walk(observed: Observed, request: ClientRequest, wanted: Wanted, own: Anchors, ruled: Ruled) -> CertificateVerdict:
    live = find_certificate(observed)
    if live is not None and was_a_namesakes(live, observed.client):
        pending = waiting(Reason.CERTIFICATE_PENDING, "the Certificate of the deleted client of this name goes first")
        return CertificateVerdict(finding=pending, delete=live)
    check_names(observed, request, live)
    intent = intended_certificate(observed.client, request.client, wanted, request.subject, ruled.policy)
    if live is None or not is_as_intended(intent, live):
        check_issuer_exists(observed, wanted)
        if observed.certificate_rejected is not None:
            raise Unusable(stalled(Reason.CERTIFICATE_REJECTED, observed.certificate_rejected))
        pending = waiting(Reason.CERTIFICATE_PENDING, "the Certificate was asked for")
        return CertificateVerdict(finding=pending, apply=intent)
    if not is_ready(live):
        return CertificateVerdict(finding=why_not_ready(observed, wanted, live), requeue_after=PENDING_LIMIT)
    current = current_request(live, observed.requests)
    if current is None:
        return _without_request(live, observed.now)
    issued = _read(current)
    _check_leaf(observed, request, issued)
    if request.publishes:
        return _published(observed, request, ruled.policy, live, current, issued)
    if request.by_keys:  # a bound token takes the certificate as it is: nothing has to lead to an anchor
        return _issued(observed, request, issued, live, ())
    anchors = own or _issuing_anchors(observed, wanted, issued, ruled.anchors)
    # Where policies leave none, acceptance says so; what they leave is what the server will check against.
    _check_path(issued, allowed_anchors(anchors, ruled.policy) or anchors, observed)
    shared = wanted.issuer_ref.kind == "ClusterIssuer"
    from_issuer = issued.ca and not own
    former = former_authority(observed, live, current, anchors, shared=shared) if from_issuer else NONE
    return _issued(observed, request, issued, live, anchors, former)


def find_certificate(observed: Observed) -> Object | None:
    """The Certificate of the client's name."""
    name = observed.client["metadata"]["name"]
    return next((c for c in observed.certificates if c["metadata"]["name"] == name), None)


def _without_request(live: Object, now: datetime) -> CertificateVerdict:
    """cert-manager took over a Secret that was there and issued nothing, or the request was tidied away.

    Leaf and CA are read from the request, so it has to issue once more; not while it does, or has failed and waits.
    """
    issuing = condition(live, "Issuing")
    if issuing.get("status") == "False":
        return CertificateVerdict(
            finding=waiting(Reason.CERTIFICATE_FAILED, f"cert-manager: {issuing.get('message')}"),
            requeue_after=PENDING_LIMIT,
        )
    pending = waiting(Reason.CERTIFICATE_PENDING, "cert-manager is asked to issue anew: what it issued cannot be seen")
    return CertificateVerdict(
        finding=pending,
        renew=None if issuing.get("status") == "True" else _renewed(live, now),
        requeue_after=PENDING_LIMIT,
    )


def _renewed(live: Object, now: datetime) -> Object:
    """As `cmctl renew` does it."""
    issuing = {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "Holdfast reads what was issued from the CertificateRequest, and there is none",
        "lastTransitionTime": timestamp(now),
    }
    metadata = {k: live["metadata"][k] for k in ("namespace", "name")}
    kind = Kind.CERTIFICATE
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "status": {"conditions": [issuing]}}


def _issued(
    observed: Observed,
    request: ClientRequest,
    issued: Issued,
    live: Object,
    anchors: Anchors,
    former: FormerAuthority = NONE,
) -> CertificateVerdict:
    ends = [end for end in (issued.leaf.not_after, former.until) if end is not None]
    return CertificateVerdict(
        finding=fine(
            Reason.CERTIFICATE_ISSUED,
            f"the certificate is issued and valid{former.told}{open_names(anchors, request.subject)}",
        ),
        anchors=anchors,
        former_anchors=former.anchors,
        status=_status(request, issued, live),
        lasts=_lifespan(issued, live),
        requeue_after=(min(ends) - observed.now).total_seconds(),
    )


def _published(
    observed: Observed, request: ClientRequest, policy: EffectivePolicy, live: Object, current: Object, issued: Issued
) -> CertificateVerdict:
    """The certificate is what the client is known by, and so is for a while the one that it has replaced."""
    stored = own_record(observed)
    registered = stored.metadata.jwks if stored is not None and is_of_this_life(stored, observed.client) else None
    if not is_in_the_secret(live, issued.leaf):
        return _unconfirmed(registered or ())
    previous = previous_request(live, current, observed.requests)
    try:
        keys = rotation(observed, request, policy).published(
            _leaf(current, issued), None if previous is None else _leaf(previous, _read(previous)), registered or ()
        )
    except JwkError as error:
        message = f"what was issued cannot be registered: {error}; choose another spec.certificate.privateKey or issuer"
        raise Unusable(stalled(Reason.CERTIFICATE_INVALID, message)) from None
    verdict = _issued(observed, request, issued, live, ())
    ends = [end for end in (first_end(keys), issued.leaf.not_after) if end is not None]
    return replace(
        verdict,
        finding=fine(Reason.CERTIFICATE_ISSUED, f"{verdict.finding.message}{told(keys)}"),
        keys=keys,
        requeue_after=(min(ends) - observed.now).total_seconds(),
    )


def _unconfirmed(registered: tuple[Jwk, ...]) -> CertificateVerdict:
    """What is registered goes on until cert-manager says that this is what it has put into the Secret."""
    published = tuple(key for key in registered if is_published(key))
    if not published:
        pending = waiting(Reason.CERTIFICATE_PENDING, "cert-manager has not said yet what is in the Secret")
        return CertificateVerdict(finding=pending, requeue_after=PENDING_LIMIT)
    issued = fine(Reason.CERTIFICATE_ISSUED, f"the certificate is issued and valid{told(published)}")
    return CertificateVerdict(finding=issued, keys=published, requeue_after=PENDING_LIMIT)


def _leaf(request: Object, issued: Issued) -> Leaf:
    return Leaf(certificate=issued.leaf, revision=revision_of(request), issued_at=issued_at(request, issued))


def _check_leaf(observed: Observed, request: ClientRequest, issued: Issued) -> None:
    if issued.leaf.not_after <= observed.now:
        message = f"the certificate ended at {timestamp(issued.leaf.not_after)} and cert-manager has not renewed it"
        raise Unusable(waiting(Reason.CERTIFICATE_INVALID, message))
    if issues_certificates(issued.leaf):
        message = f"the issuer made a CA of the client ({issued.leaf.x5t_s256}); use one that issues what it is asked for"
        raise Unusable(stalled(Reason.CERTIFICATE_IS_AUTHORITY, message))
    try:
        if request.subject is not None:
            verify_subject(issued.leaf, request.subject)
    except SubjectMismatch as error:
        message = f"the issuer left out what was asked for: {error}; use an issuer that keeps it"
        raise Unusable(stalled(Reason.CERTIFICATE_INVALID, message)) from None


def _read(request: Object) -> Issued:
    try:
        return read_issued(request)
    except CertificateError as error:
        raise Unusable(
            stalled(Reason.CERTIFICATE_INVALID, f"what was issued cannot be read: {error}; renew the Certificate")
        ) from None


def _issuing_anchors(observed: Observed, wanted: Wanted, issued: Issued, of_policies: Anchors) -> Anchors:
    """The CA of the client's issuer, which is shared when it is a ClusterIssuer's, else what policies name."""
    if not issued.ca and of_policies:
        return of_policies
    if not issued.ca:
        message = "the issuer does not say under which CA it issues: name its CA in spec.authentication.trustAnchors"
        raise Unusable(stalled(Reason.TRUST_ANCHOR_MISSING, message))
    shared = wanted.issuer_ref.kind == "ClusterIssuer"
    return issuing_anchors(issued.ca, shared=shared, shared_keys=observed.shared_keys)


def _check_path(issued: Issued, anchors: Anchors, observed: Observed) -> None:
    peer = PeerCertificate(issued.leaf, issued.chain)
    at = max(observed.now, issued.leaf.not_before)  # a clock slightly behind the issuer's says nothing about the path
    try:
        verify_path(peer, [authority(a.der) for a in anchors], at=at)
    except PathError as error:
        message = f"the certificate does not lead to the client's trust anchors: {error}; correct issuer or trustAnchors"
        raise Unusable(stalled(Reason.CERTIFICATE_INVALID, message)) from None


def _renewal_time(live: Object) -> datetime | None:
    return moment((live.get("status") or {}).get("renewalTime"))


def _lifespan(issued: Issued, live: Object) -> Lifespan:
    what = f"the certificate {issued.leaf.x5t_s256} of Certificate {live['metadata']['name']}"
    return Lifespan(begin=issued.leaf.not_before, end=issued.leaf.not_after, what=what, renewal=_renewal_time(live))


def _status(request: ClientRequest, issued: Issued, live: Object) -> Object:
    renewal = _renewal_time(live)
    return {
        "secretName": request.client.secret_name,
        "thumbprint": issued.leaf.x5t_s256,
        "notAfter": timestamp(issued.leaf.not_after),
        **({"renewalTime": timestamp(renewal)} if renewal else {}),
        **_subject(request),
    }


def _subject(request: ClientRequest) -> Object:
    return {} if request.subject is None else {"subject": request.subject.canonical}
