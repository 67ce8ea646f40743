"""What `holdfast dev` has to tell: the state of every client and policy, as a value.

Owns the reading of objects for people and scripts. Neighbours: `ready_file` and `table` say it, each in its way.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.api.v1alpha1.conditions import Reason
from holdfast_operator.adapters.folder.cluster import FolderCluster
from holdfast_operator.adapters.folder.documents import Problem
from holdfast_operator.reconcile.issued import condition
from holdfast_operator.reconcile.names import is_owned_by, mapping
from holdfast_operator.reconcile.ports import Kind, Object


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the server of this process is reached."""

    issuer: str
    mtls_issuer: str
    metadata_url: str
    token_endpoint: str
    mtls_token_endpoint: str
    introspection_endpoint: str
    ca_file: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientState:
    """A client, ready or why not. No files: it brings its own certificate, or has none yet."""

    namespace: str
    name: str
    client_id: str | None
    ready: bool
    reason: str
    message: str
    cert_file: str | None = None
    key_file: str | None = None
    chain_file: str | None = None
    expires: str | None = None
    reservation: str = ""
    """What a ready client will not get all the same: a resource that it is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyState:
    """A policy, how many clients it matches, how many of them break it, and why when it is not accepted."""

    name: str
    accepted: bool
    matched: int
    message: str
    mode: str = "Enforce"
    broken_by: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All of it, at one moment."""

    addresses: Addresses
    clients: tuple[ClientState, ...]
    policies: tuple[PolicyState, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


async def make_report(cluster: FolderCluster, addresses: Addresses) -> Report:
    """Look at the objects as they are now."""
    clients = [await _client(obj, cluster) for obj in await cluster.list(Kind.OAUTH_CLIENT)]
    known = {(c.namespace, c.name) for c in clients}
    clients += _left_out(cluster.problems, known)
    return Report(
        addresses=addresses,
        clients=tuple(sorted(clients, key=lambda c: (c.namespace, c.name))),
        policies=tuple(_policy(obj) for obj in await cluster.list(Kind.MTLS_POLICY)),
        problems=tuple(str(p) for p in cluster.problems),
        notes=cluster.notes,
    )


async def _client(obj: Object, cluster: FolderCluster) -> ClientState:
    meta, status = obj["metadata"], obj.get("status", {})
    ready, accepted = condition(obj, "Ready"), condition(obj, "Accepted")
    current = status.get("observedGeneration") == meta["generation"] and "deletionTimestamp" not in meta
    files = await _files(obj, cluster)
    return ClientState(
        namespace=meta["namespace"],
        name=meta["name"],
        client_id=status.get("clientId"),
        ready=current and ready.get("status") == "True",
        reason=ready.get("reason", "Pending"),
        message=ready.get("message", "not looked at yet"),
        cert_file=files.get("tls.crt"),
        key_file=files.get("tls.key"),
        chain_file=files.get("ca.crt"),
        expires=status.get("certificate", {}).get("notAfter"),
        reservation="" if accepted.get("reason") == Reason.ACCEPTED else accepted.get("message", ""),
    )


async def _files(obj: Object, cluster: FolderCluster) -> dict[str, str]:
    """The files that were issued for the client's own Certificate; another's may lie where it would have them."""
    meta = obj["metadata"]
    certificate = await cluster.get(Kind.CERTIFICATE, meta["namespace"], meta["name"])
    if certificate is None or not is_owned_by(certificate, obj):
        return {}
    folder = cluster.issued_folder(certificate)
    return {name: str(folder / name) for name in ("tls.crt", "tls.key", "ca.crt")} if folder is not None else {}


def _left_out(problems: Iterable[Problem], known: set[tuple[str, str]]) -> list[ClientState]:
    """Clients that some document means, and that never had a form that could be used."""
    found: dict[tuple[str, str], ClientState] = {}
    for problem in problems:
        key = problem.key
        if key is None or key.kind is not Kind.OAUTH_CLIENT or (key.namespace, key.name) in known:
            continue
        found.setdefault(
            (key.namespace, key.name),
            ClientState(
                namespace=key.namespace,
                name=key.name,
                client_id=None,
                ready=False,
                reason="InvalidDocument",
                message=str(problem),
            ),
        )
    return list(found.values())


def _policy(obj: Object) -> PolicyState:
    accepted = condition(obj, "Accepted")
    return PolicyState(
        name=obj["metadata"]["name"],
        accepted=accepted.get("status") == "True",
        matched=obj.get("status", {}).get("matchedClients", 0),
        message=accepted.get("message", "not looked at yet"),
        mode=str(mapping(obj.get("spec")).get("mode") or "Enforce"),
        broken_by=obj.get("status", {}).get("violations", {}).get("count", 0),
    )
