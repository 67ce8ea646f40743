"""Which events of Certificates and CertificateRequests say anything to the client that they belong to.

cert-manager writes each of them several times until a certificate is issued, and of most of these writes nobody here can
make anything: with a thousand new clients, looking at each would be the larger part of the operator's work. Owns a digest
of what was last seen of each. What is filtered wrongly is found at the resync. Must not do I/O. Neighbour: `index`.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from holdfast_operator.reconcile.approval import is_decided
from holdfast_operator.reconcile.issuance import is_of_another, is_ready
from holdfast_operator.reconcile.issued import condition
from holdfast_operator.reconcile.names import mapping
from holdfast_operator.reconcile.ports import Kind, Object

_METADATA = ("uid", "deletionTimestamp", "labels", "ownerReferences", "annotations")


class Children:
    """Belongs to one index."""

    def __init__(self) -> None:
        self._seen: dict[tuple[Kind, str, str], bytes] = {}

    def is_news(self, kind: Kind, obj: Object, *, deleted: bool) -> bool:
        """Whether the object says something that it did not say before."""
        metadata = obj["metadata"]
        place = (kind, metadata.get("namespace") or "", metadata["name"])
        if deleted:
            self._seen.pop(place, None)
            return True
        before, said = self._seen.get(place), _digest(kind, obj)
        if before == said:
            return False
        self._seen[place] = said
        # A new request is nobody's concern until it is decided upon; a new Certificate may be in somebody's way.
        return before is not None or kind is Kind.CERTIFICATE or _request(mapping(obj.get("status")), obj) is not None


def _digest(kind: Kind, obj: Object) -> bytes:
    status = mapping(obj.get("status"))
    says = (_certificate if kind is Kind.CERTIFICATE else _request)(status, obj)
    metadata = [obj["metadata"].get(member) for member in _METADATA]
    content = orjson.dumps([metadata, obj.get("spec"), says], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(content).digest()[:16]


def _certificate(found: Mapping[str, Any], obj: Object) -> object:
    """Nothing while it is on its way, though cert-manager says revision and times before it says that it is ready: what has
    been issued, when it is renewed, and why it was not."""
    issuing = condition(obj, "Issuing")
    ready, taken = is_ready(obj), is_of_another(obj)
    if not ready and not taken and issuing.get("status") != "False":
        return None
    times = [found.get(member) for member in ("revision", "notAfter", "renewalTime")]
    return [ready, taken, *times, issuing.get("status"), issuing.get("reason"), issuing.get("message")]


def _request(found: Mapping[str, Any], obj: Object) -> object:
    """Nothing until it is decided upon, and then what came of it."""
    if not found.get("certificate"):
        ended = condition(obj, "Ready").get("reason") in ("Failed", "Denied")
        return ["ended", condition(obj, "Ready").get("message")] if ended and is_decided(obj) else None
    return [found.get("certificate"), found.get("ca"), condition(obj, "Approved").get("reason")]
