"""What a reconcile has to know of the installation."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileSettings:
    """The same in a cluster and in `holdfast dev`."""

    trust_domain: str = "cluster.local"
    """SPIFFE trust domain of the certificates that are asked for."""
    cluster_domain: str = "cluster.local"
    """DNS domain of the cluster."""
    holder: str = "holdfast"
    """Who opens the writer's term: the identity in the Lease."""
    rotation_overlap: float = 120.0
    """Seconds for which a self-signed certificate that was renewed is still taken, at the least: as long as a kubelet may
    need to bring a new Secret into a pod. Where tokens live longer, as long as those."""
    release_after: float = 10.0
    """Seconds a deletion waits for a registry that cannot be reached; then the sweep at its return deletes the client."""
    shared_anchors_age: float = 60.0
    """Seconds for which the list of the ClusterIssuers' CA keys is used before it is made anew."""
    guarded_issuers: frozenset[str] = frozenset()
    """ClusterIssuers whose requests our approver judges, so that cert-manager must not."""
    config_map_name: str = "holdfast"
    """Name of the ConfigMap in each namespace with a client, from which applications know the server."""
    server_ca_file: Path | None = None
    """CA certificates (PEM) that the server's listeners lead to; None, or no such file: a public CA."""
    registry_age: float = 0.0
    """Seconds after the registry last answered for which its records are believed without asking; 0: each is asked for."""
    config_map_age: float = 60.0
    """Seconds for which a policy's ConfigMap is used when no event says that it changed."""
