"""The public keys of the CAs behind ClusterIssuers, as far as anything was issued under them.

An anchor with such a key is shared wherever it is written (in a ConfigMap, behind a namespaced Issuer): others have
certificates under it. Owns a list that is added to when it is old and never forgets: a request that was tidied away
takes nothing back of what its CA has signed. Neighbour: `anchors` marks with it.
"""

import asyncio
from collections.abc import Iterable

from holdfast.clock import Clock
from holdfast.x509.certificate import Certificate, CertificateError, load_pem_bundle
from holdfast_operator.reconcile.issued import read_issued
from holdfast_operator.reconcile.ports import ClusterReads, Kind, Object

STEP = 50
"""Requests that are read without a pause."""


class SharedAnchors:
    """`max_age`: seconds."""

    def __init__(self, cluster: ClusterReads, clock: Clock, max_age: float) -> None:
        self._cluster, self._clock, self._max_age = cluster, clock, max_age
        self._keys: frozenset[str] = frozenset()
        self._read: set[str] = set()
        self._made: float | None = None
        self._making = asyncio.Lock()

    async def keys(self) -> frozenset[str]:
        """SHA-256 of each key. Raises ClusterUnavailable."""
        async with self._making:
            now = self._clock().timestamp()
            if self._made is None or now - self._made >= self._max_age:
                await self._add()
                self._made = now
        return self._keys

    async def _add(self) -> None:
        """Read the requests that were not read before: what is issued stays as it is. Others have their turn meanwhile."""
        listed: set[str] = set()
        for step, request in enumerate(await self._cluster.list(Kind.CERTIFICATE_REQUEST)):
            uid = str(request["metadata"].get("uid") or "")
            if uid not in self._read:
                self._keys |= shared_keys([request])
            if uid and (request.get("status") or {}).get("certificate"):
                listed.add(uid)
            if step % STEP == STEP - 1:
                await asyncio.sleep(0)
        self._read = listed


def shared_keys(requests: Iterable[Object]) -> frozenset[str]:
    """Keys of root and intermediate CAs that ClusterIssuers issued under; a request that cannot be read adds none."""
    return frozenset(
        certificate.spki_sha256
        for request in requests
        if ((request.get("spec") or {}).get("issuerRef") or {}).get("kind") == Kind.CLUSTER_ISSUER.kind
        for certificate in _authorities(request)
    )


def _authorities(request: Object) -> Iterable[Certificate]:
    if not (request.get("status") or {}).get("certificate"):
        return ()
    try:
        issued = read_issued(request)
        return (*issued.chain, *(load_pem_bundle(issued.ca) if issued.ca else ()))
    except CertificateError:
        return ()
