"""What cert-manager issued: leaf, chain and CA from the CertificateRequest of the Certificate's current revision.

Owns reading cert-manager's objects; never reads a Secret. Pure. Neighbour: `certificate` judges.
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from holdfast.x509.certificate import Certificate, CertificateError, load_pem_bundle
from holdfast_operator.reconcile.ports import Kind, Object

REVISION = "cert-manager.io/certificate-revision"
CERTIFICATE_NAME = "cert-manager.io/certificate-name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """`ca` in PEM; empty where the issuer does not say under which CA it issues (ACME, some external ones)."""

    leaf: Certificate
    chain: tuple[Certificate, ...]
    ca: bytes


def current_request(certificate: Object, requests: Iterable[Object]) -> Object | None:
    """The request that the Certificate's current revision came from, None when it is not there (any more)."""
    revision = (certificate.get("status") or {}).get("revision")
    for request in requests:
        annotations = request["metadata"].get("annotations") or {}
        if (
            (annotations.get(CERTIFICATE_NAME), annotations.get(REVISION))
            == (
                certificate["metadata"]["name"],
                str(revision),
            )
            and (request.get("status") or {}).get("certificate")
            and _is_of(request, certificate)
        ):
            return request
    return None


def previous_request(certificate: Object, current: Object, requests: Iterable[Object]) -> Object | None:
    """The request of the revision before `current`'s, None when it is not there (any more).

    It has to be this Certificate's by controller, and of the same requester and issuer: who may create requests could
    write the annotations of one, but not its `spec.username`, which cert-manager's webhook sets.
    """
    revision, uid = revision_of(current) - 1, certificate["metadata"].get("uid")
    return next(
        (
            r
            for r in requests
            if revision_of(r) == revision
            and (r.get("status") or {}).get("certificate")
            and uid is not None
            and any(o.get("uid") == uid and o.get("controller") for o in r["metadata"].get("ownerReferences") or ())
            and _asked(r) == _asked(current)
        ),
        None,
    )


def _asked(request: Object) -> tuple[object, object]:
    spec = request.get("spec") or {}
    return spec.get("username"), spec.get("issuerRef")


def is_in_the_secret(certificate: Object, leaf: Certificate) -> bool:
    """Whether cert-manager says of its Secret what is true of this leaf: when it begins and when it ends.

    It says so a moment after the revision. Who may delete and create requests could put another in the place of one, but
    the issuer gives it times of its own.
    """
    said = certificate.get("status") or {}
    times = {"notBefore": leaf.not_before, "notAfter": leaf.not_after}
    return all(member not in said or moment(said[member]) == at for member, at in times.items())


def revision_of(request: Object) -> int:
    """Of the Certificate, 0 where the request does not say."""
    written = str((request["metadata"].get("annotations") or {}).get(REVISION))
    return int(written) if written.isascii() and written.isdigit() else 0


def issued_at(request: Object, issued: Issued) -> datetime:
    """When it was signed: as the request's condition says, else when the certificate begins."""
    return moment(condition(request, "Ready").get("lastTransitionTime")) or issued.leaf.not_before


def _is_of(request: Object, certificate: Object) -> bool:
    """Not of an earlier Certificate of the same name, whose requests are collected a little later than itself."""
    owners = [
        r.get("uid") for r in request["metadata"].get("ownerReferences") or () if r.get("kind") == Kind.CERTIFICATE.kind
    ]
    return not owners or certificate["metadata"].get("uid") in owners


def read_issued(request: Object) -> Issued:
    """Raises CertificateError."""
    status = request["status"]
    bundle = load_pem_bundle(_pem(status["certificate"]))
    return Issued(leaf=bundle[0], chain=bundle[1:], ca=_pem(status.get("ca") or ""))


def _pem(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CertificateError(f"the CertificateRequest's status is no base64: {error}") from None


def condition(obj: Object, kind: str) -> Object:
    """A condition of a cert-manager object by its type, empty when it is not there."""
    found: Object = next((c for c in (obj.get("status") or {}).get("conditions") or () if c.get("type") == kind), {})
    return found


def moment(text: str | None) -> datetime | None:
    """A Kubernetes timestamp as an aware datetime, None for none or one that cannot be read."""
    try:
        return None if not text else datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None


def timestamp(when: datetime) -> str:
    """A moment as Kubernetes writes it: RFC 3339, UTC, whole seconds."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
