"""Why a pass failed, in one word of a closed list: the label of a metric.

Must not decide what follows from it: that is `engine`'s.
"""

from enum import StrEnum

from holdfast.registry.port import RegistryError, RegistryUnavailable, StaleTerm
from holdfast_operator.reconcile.ports import ClusterError, ClusterUnavailable, Conflict


class Failure(StrEnum):
    """The word for each."""

    STALE_TERM = "stale_term"
    CONFLICT = "conflict"
    CLUSTER_UNAVAILABLE = "cluster_unavailable"
    CLUSTER_REFUSED = "cluster_refused"
    REGISTRY_UNAVAILABLE = "registry_unavailable"
    REGISTRY_REFUSED = "registry_refused"
    TIMEOUT = "timeout"
    DEFECT = "defect"


_WORDS: tuple[tuple[type[Exception], Failure], ...] = (
    (StaleTerm, Failure.STALE_TERM),
    (Conflict, Failure.CONFLICT),
    (ClusterUnavailable, Failure.CLUSTER_UNAVAILABLE),
    (ClusterError, Failure.CLUSTER_REFUSED),
    (RegistryUnavailable, Failure.REGISTRY_UNAVAILABLE),
    (RegistryError, Failure.REGISTRY_REFUSED),
    (TimeoutError, Failure.TIMEOUT),
)
"""The first that fits: what is more special goes first."""


def failure_of(error: BaseException) -> Failure:
    """What nobody foresaw is a defect."""
    return next((word for kind, word in _WORDS if isinstance(error, kind)), Failure.DEFECT)
