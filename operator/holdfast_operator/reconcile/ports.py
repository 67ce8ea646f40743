"""What a reconcile needs of the place where the objects live: an API server, or a folder of YAML.

Objects are plain dicts in their wire form. Both adapters pass the same conformance tests.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple, Protocol

Object = dict[str, Any]
"""A Kubernetes object in its wire form."""
FIELD_MANAGER = "holdfast"
"""By whose name the operator applies."""


class Kind(Enum):
    """The kinds the operator touches: (group, version, plural, kind, namespaced)."""

    OAUTH_CLIENT = ("holdfast.dev", "v1alpha1", "oauthclients", "OAuthClient", True)
    MTLS_POLICY = ("holdfast.dev", "v1alpha1", "mtlspolicies", "MTLSPolicy", False)
    CERTIFICATE = ("cert-manager.io", "v1", "certificates", "Certificate", True)
    CERTIFICATE_REQUEST = ("cert-manager.io", "v1", "certificaterequests", "CertificateRequest", True)
    ISSUER = ("cert-manager.io", "v1", "issuers", "Issuer", True)
    CLUSTER_ISSUER = ("cert-manager.io", "v1", "clusterissuers", "ClusterIssuer", False)
    CONFIG_MAP = ("", "v1", "configmaps", "ConfigMap", True)
    NAMESPACE = ("", "v1", "namespaces", "Namespace", False)

    @property
    def group(self) -> str:
        return self.value[0]

    @property
    def version(self) -> str:
        return self.value[1]

    @property
    def plural(self) -> str:
        return self.value[2]

    @property
    def kind(self) -> str:
        return self.value[3]

    @property
    def namespaced(self) -> bool:
        return self.value[4]

    @property
    def may_be_absent(self) -> bool:
        """Whether its definition is cert-manager's, which may not be installed, or not any more."""
        return self.group == "cert-manager.io"

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


class Key(NamedTuple):
    """What the queue holds: one object to look at. `namespace` is empty for cluster-scoped kinds."""

    kind: Kind
    namespace: str
    name: str


class ClusterError(Exception):
    """Root of what can go wrong at the place of the objects."""


class ClusterUnavailable(ClusterError):
    """It cannot be asked now: try again. `retry_after` in seconds, where it said so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Conflict(ClusterError):
    """Somebody else changed the object meanwhile: look again."""


class Rejected(ClusterError):
    """The write was refused as invalid or forbidden: the same write will be refused again."""


class ClusterReads(Protocol):
    """The half of the port that changes nothing. Raises ClusterUnavailable."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object as it was last seen to be, which is at least what the events so far have shown.

        `namespace` is "" for cluster-scoped kinds.
        """

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Sequence[Object]:
        """All objects of a kind, of one namespace or (None) of all, with these labels. Not to be changed by the caller."""


class Cluster(ClusterReads, Protocol):
    """Reads answer None for what is absent; every method may raise ClusterUnavailable, writes also Conflict, Rejected."""

    async def apply(self, kind: Kind, obj: Object) -> Object:
        """Server-side apply of the complete intent by the field manager `holdfast`, taking fields over by force."""

    async def apply_status(self, kind: Kind, obj: Object) -> Object:
        """Server-side apply on /status: apiVersion, kind, metadata.{namespace,name} and the whole status."""

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Delete that very object; absent or another uid is done already."""

    async def set_finalizers(self, kind: Kind, obj: Object, finalizers: Sequence[str]) -> Object | None:
        """Replace metadata.finalizers of the object as it was read (its resourceVersion is tested: Conflict).

        None when the object is gone, which is what the last finalizer's removal leads to.
        """

    async def record_event(self, kind: Kind, obj: Object, *, warning: bool, reason: str, message: str) -> None:
        """Tell people what happened to the object. Best effort: never raises."""
