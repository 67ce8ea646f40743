"""A cert-manager CertificateRequest as values: whose issuer it names, who asks, and whether it is decided already.

Owns reading the object. Must not judge. Pure. Neighbours: `judge`, `reconcile.approval` (who decided).
"""

from dataclasses import dataclass

from holdfast_operator.reconcile.names import mapping
from holdfast_operator.reconcile.ports import Kind, Object

_ACCOUNT = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class Requester:
    """Who created the request, as cert-manager's webhook writes it down."""

    username: str

    @property
    def account(self) -> tuple[str, str] | None:
        """Namespace and name of a ServiceAccount; None: it is none."""
        namespace, colon, name = self.username.removeprefix(_ACCOUNT).partition(":")
        return (namespace, name) if self.username.startswith(_ACCOUNT) and colon else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The spec of a request. `duration`: as written, None where cert-manager takes its default. `encoded`: Base64 of PEM."""

    namespace: str
    requester: Requester
    usages: tuple[str, ...]
    duration: str | None
    is_ca: bool
    encoded: str


def read_asked(request: Object) -> Asked:
    """Leniently: the API server has checked the types, and what is missing is denied by who judges."""
    spec = mapping(request.get("spec"))
    return Asked(
        namespace=str(request["metadata"]["namespace"]),
        requester=Requester(str(spec.get("username") or "")),
        usages=tuple(str(usage) for usage in spec.get("usages") or ()),
        duration=None if spec.get("duration") is None else str(spec["duration"]),
        is_ca=bool(spec.get("isCA")),
        encoded=str(spec.get("request") or ""),
    )


def owner_of(child: Object, kind: Kind) -> tuple[str, str] | None:
    """Name and uid of the object of that kind that controls the child, as the child says."""
    for reference in child["metadata"].get("ownerReferences") or ():
        written = (reference.get("apiVersion"), reference.get("kind"))
        if reference.get("controller") and written == (kind.api_version, kind.kind):
            return str(reference.get("name")), str(reference.get("uid"))
    return None
