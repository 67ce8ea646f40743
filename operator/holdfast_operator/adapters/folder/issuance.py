"""Plays cert-manager: looks at every Certificate, signs what is due, tells the outcome as cert-manager does.

Owns when a certificate is made or made anew, the CertificateRequest of each revision and the status of Certificates and
issuers. An issuer of any type is played by a local authority of its own. Neighbours: `certificate_spec`, `authority`,
`secret_files` below; `cluster` calls `step` after each change and when the next one is due.
"""

import asyncio
import base64
import errno
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from holdfast.clock import Clock
from holdfast_operator.adapters.folder.authority import Authority, AuthorityError, Issued
from holdfast_operator.adapters.folder.certificate_spec import CertificateSpec, IssuerRef, read_spec
from holdfast_operator.adapters.folder.objects import ObjectStore, key_of, timestamp
from holdfast_operator.adapters.folder.secret_files import (
    DATA,
    matching_certificate,
    read_secret,
    remove_secret,
    write_secret,
)
from holdfast_operator.reconcile.ports import Key, Kind, Object

REVISION = "cert-manager.io/certificate-revision"
CERTIFICATE_NAME = "cert-manager.io/certificate-name"
SPEC_DIGEST = "holdfast.dev/certificate-spec"
"""What the request was made for: another digest means that the Certificate asks for something else now."""

SHORTEST_USE = timedelta(seconds=2)
"""A certificate is not replaced before this, however early its renewal is asked for."""


class SecretTaken(Exception):
    """Another Certificate has the Secret; the message names both."""


class Issuance:
    """The certificate controller of the folder. `data`: below it lie `ca/` and `secrets/`."""

    def __init__(self, store: ObjectStore, data: Path, clock: Clock) -> None:
        self._store = store
        self._secrets = data / "secrets"
        self._authorities_folder = data / "ca"
        self._clock = clock
        self._authorities: dict[tuple[str, str, str], Authority] = {}
        self._holders: dict[tuple[str, str], str] = {}
        self._looked_at: dict[str, tuple[object, datetime]] = {}
        self._turn = asyncio.Lock()

    async def step(self) -> datetime | None:
        """Issue everything that is due; when the next one will be, or None. A second step at once changes nothing."""
        async with self._turn:
            self._accept_issuers()
            self._holders = self._secret_holders()
            due = [await self._certificate(obj) for obj in self._store.view(Kind.CERTIFICATE)]
            self._remove_unnamed_secrets()
        return min((at for at in due if at is not None), default=None)

    def secret_folder(self, namespace: str, name: str) -> Path:
        """Where the files of a Secret lie."""
        return self._secrets / namespace / name

    def issued_folder(self, obj: Object) -> Path | None:
        """Where the Secret of the Certificate lies; None unless what lies there was issued for it."""
        request = self._request(obj)
        folder = self.secret_folder(obj["metadata"]["namespace"], _secret_name(obj))
        if request is None or _decoded(request, "certificate") != read_secret(folder).get("tls.crt"):
            return None
        return folder

    async def _certificate(self, obj: Object) -> datetime | None:
        """When it is due again. What is in the way of one certificate is in its status, and in the way of no other."""
        if "deletionTimestamp" in obj["metadata"]:
            return None
        try:
            return await self._issue(obj)
        except SecretTaken as error:
            self._not_ready(obj, "IncorrectCertificate", str(error))
        except OSError as error:
            self._failed(obj, f"{error.filename or 'a file'}: expected to be written: {_reason(error)}")
        except (AuthorityError, ValueError) as error:
            self._failed(obj, str(error))
        return None

    async def _issue(self, obj: Object) -> datetime | None:
        spec = read_spec(obj.get("spec", {}))
        self._check_secret_is_free(obj, spec)
        authority = self._authority(spec.issuer, obj["metadata"]["namespace"])
        if authority is None:
            self._wait_for_issuer(obj, spec)
            return None
        renewal = self._valid_until(obj, spec, authority)
        if renewal is not None and self._clock() < renewal:
            return renewal
        issued = await asyncio.to_thread(authority.sign, spec)  # an RSA key takes its time
        current = self._current(obj)
        return self._keep(current, spec, issued) if current is not None else None

    def _current(self, obj: Object) -> Object | None:
        """The same object as it is now; None when it is gone."""
        found = self._store.get(key_of(Kind.CERTIFICATE, obj))
        return found if found is not None and found["metadata"]["uid"] == obj["metadata"]["uid"] else None

    def _secret_holders(self) -> dict[tuple[str, str], str]:
        """Namespace and name of a Secret to the Certificate that has it: the oldest that names it."""
        holders: dict[tuple[str, str], str] = {}
        for obj in self._store.view(Kind.CERTIFICATE):
            holders.setdefault((obj["metadata"]["namespace"], _secret_name(obj)), obj["metadata"]["name"])
        return holders

    def _check_secret_is_free(self, obj: Object, spec: CertificateSpec) -> None:
        holder = self._holders.get((obj["metadata"]["namespace"], spec.secret_name), obj["metadata"]["name"])
        if holder != obj["metadata"]["name"]:
            raise SecretTaken(f"the older Certificate {holder} has the Secret {spec.secret_name}: choose another name")

    def _authority(self, issuer: IssuerRef, namespace: str) -> Authority | None:
        """The authority that plays the issuer; None where no such issuer exists."""
        kind = Kind.CLUSTER_ISSUER if issuer.kind == "ClusterIssuer" else Kind.ISSUER
        key = Key(kind, namespace if kind.namespaced else "", issuer.name)
        if self._store.get(key) is None:
            return None
        identity = (kind.plural, key.namespace, key.name)
        if identity not in self._authorities:
            folder = self._authorities_folder.joinpath(*(part for part in identity if part))
            name = f"{'/'.join(part for part in identity[1:] if part)} (holdfast dev)"
            self._authorities[identity] = Authority(folder, name, self._clock)
        return self._authorities[identity]

    def _valid_until(self, obj: Object, spec: CertificateSpec, authority: Authority) -> datetime | None:
        """When the certificate that lies there is to be replaced; None when it will not do."""
        folder = self.secret_folder(obj["metadata"]["namespace"], spec.secret_name)
        meta = obj["metadata"]
        stamp = (meta["generation"], obj.get("status", {}).get("revision"), authority.pem, _file_stamp(folder))
        known = self._looked_at.get(meta["uid"])
        if known is not None and known[0] == stamp:
            return known[1]  # nothing moved since its files were read
        renewal = self._read_renewal(obj, spec, authority, folder)
        if renewal is not None:
            self._looked_at[meta["uid"]] = (stamp, renewal)
        return renewal

    def _read_renewal(self, obj: Object, spec: CertificateSpec, authority: Authority, folder: Path) -> datetime | None:
        request, files = self._request(obj), read_secret(folder)
        if request is None or request["metadata"].get("annotations", {}).get(SPEC_DIGEST) != spec.digest:
            return None
        if files.get("ca.crt") != authority.pem or _decoded(request, "certificate") != files.get("tls.crt"):
            return None
        leaf = matching_certificate(files)
        if leaf is None:
            return None
        start, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
        renewal = _renewal(spec, start, end)
        if obj.get("status", {}).get("renewalTime") != _text(renewal):
            self._set_times(obj, start, end, renewal)
        return renewal

    def _request(self, obj: Object) -> Object | None:
        """The CertificateRequest of the current revision."""
        revision = obj.get("status", {}).get("revision")
        found = self._store.get(self._request_key(obj, revision)) if revision else None
        return found if found is not None and _owner(found) == obj["metadata"]["uid"] else None

    def _request_key(self, obj: Object, revision: int) -> Key:
        return Key(Kind.CERTIFICATE_REQUEST, obj["metadata"]["namespace"], f"{obj['metadata']['name']}-{revision}")

    def _keep(self, obj: Object, spec: CertificateSpec, issued: Issued) -> datetime:
        """Hand the certificate out: files, then the request, then the status that points to it."""
        files = {"tls.crt": issued.certificate, "tls.key": issued.key, "ca.crt": issued.ca}
        write_secret(self.secret_folder(obj["metadata"]["namespace"], spec.secret_name), files)
        revision = obj.get("status", {}).get("revision", 0) + 1
        status = {
            "certificate": base64.b64encode(issued.certificate).decode(),
            "ca": base64.b64encode(issued.ca).decode(),
        }
        self._write_request(obj, spec, revision, status, ready=True, message="signed by the local CA")
        self._drop_requests(obj, keep={self._request_key(obj, kept).name for kept in (revision, revision - 1)})
        renewal = _renewal(spec, issued.not_before, issued.not_after)
        self._set_times(obj, issued.not_before, issued.not_after, renewal, revision=revision)
        return renewal

    def _wait_for_issuer(self, obj: Object, spec: CertificateSpec) -> None:
        """As cert-manager has it: a request that stays pending, and a Certificate that is not ready."""
        message = f"Referenced {spec.issuer.kind!r} not found: {spec.issuer.name!r}"
        revision = obj.get("status", {}).get("revision", 0) + 1
        self._write_request(obj, spec, revision, {}, ready=False, message=message)
        self._not_ready(obj, "DoesNotExist", message)

    def _failed(self, obj: Object, message: str) -> None:
        """As cert-manager says of an issuance that came to nothing: `Issuing` is over, and why."""
        reason = "Renewing" if obj.get("status", {}).get("revision") else "DoesNotExist"
        issuing = _condition(obj, "Issuing", False, "Failed", message, self._clock)
        self._not_ready(obj, reason, message, issuing)

    def _not_ready(self, obj: Object, reason: str, message: str, *others: Object) -> None:
        current = self._current(obj)
        if current is not None:
            self._set_status(current, {}, *others, ready=False, reason=reason, message=message)

    def _write_request(
        self, obj: Object, spec: CertificateSpec, revision: int, status: Object, *, ready: bool, message: str
    ) -> None:
        meta, key = obj["metadata"], self._request_key(obj, revision)
        request: Object = {
            "apiVersion": key.kind.api_version,
            "kind": key.kind.kind,
            "metadata": {
                "name": key.name,
                "namespace": key.namespace,
                "labels": meta.get("labels", {}),
                "annotations": {
                    CERTIFICATE_NAME: meta["name"],
                    REVISION: str(revision),
                    SPEC_DIGEST: spec.digest,
                },
                "ownerReferences": [_reference(obj)],
            },
            "spec": {"issuerRef": obj["spec"]["issuerRef"], "usages": sorted(spec.usages)},
        }
        self._store.declare(key, request, None)
        reason = "Issued" if ready else "Pending"
        written = self._store.get(key) or request
        conditions = [
            _condition(written, "Approved", True, "cert-manager.io", "approved by the local CA", self._clock),
            _condition(written, "Ready", ready, reason, message, self._clock),
        ]
        self._store.apply_status(key.kind, {"metadata": request["metadata"], "status": {**status, "conditions": conditions}})

    def _drop_requests(self, obj: Object, *, keep: set[str]) -> None:
        for request in self._store.view(Kind.CERTIFICATE_REQUEST):
            if _owner(request) == obj["metadata"]["uid"] and request["metadata"]["name"] not in keep:
                self._store.delete(key_of(Kind.CERTIFICATE_REQUEST, request))

    def _set_times(
        self, obj: Object, start: datetime, end: datetime, renewal: datetime, *, revision: int | None = None
    ) -> None:
        status = {"notBefore": _text(start), "notAfter": _text(end), "renewalTime": _text(renewal)}
        if revision is not None:
            status["revision"] = revision  # type: ignore[assignment]
        message = "Certificate is up to date and has not expired"
        self._set_status(obj, status, ready=True, reason="Ready", message=message)

    def _set_status(self, obj: Object, status: Object, *others: Object, ready: bool, reason: str, message: str) -> None:
        condition = _condition(obj, "Ready", ready, reason, message, self._clock)
        condition["observedGeneration"] = obj["metadata"]["generation"]
        whole = {**obj.get("status", {}), **status, "conditions": [condition, *others]}
        meta = {m: obj["metadata"][m] for m in ("name", "namespace", "uid")}
        self._store.apply_status(Kind.CERTIFICATE, {"metadata": meta, "status": whole})

    def _accept_issuers(self) -> None:
        for kind in (Kind.CLUSTER_ISSUER, Kind.ISSUER):
            for issuer in self._store.view(kind):
                ready = _condition(issuer, "Ready", True, "KeyPairVerified", "played by the local CA", self._clock)
                self._store.apply_status(kind, {"metadata": issuer["metadata"], "status": {"conditions": [ready]}})

    def _remove_unnamed_secrets(self) -> None:
        named = {(c["metadata"]["namespace"], _secret_name(c)) for c in self._store.view(Kind.CERTIFICATE)}
        for folder in list(self._secret_folders()):
            if (folder.parent.name, folder.name) not in named:
                remove_secret(folder)

    def _secret_folders(self) -> Iterator[Path]:
        # Only what this layout made: whatever else somebody put there is not ours to remove.
        return (link.parent for link in self._secrets.glob(f"*/*/{DATA}"))


def _reason(error: OSError) -> str:
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return "it is a file where a folder should be, or lies below one"
    return (error.strerror or str(error)).lower()


def _secret_name(obj: Object) -> str:
    return str(obj.get("spec", {}).get("secretName"))


def _file_stamp(folder: Path) -> tuple[tuple[int, int, int], ...] | None:
    """Changes when any of the files does; None: one is not there."""
    try:
        stats = [(folder / name).stat() for name in ("tls.crt", "tls.key", "ca.crt")]
    except OSError:
        return None
    return tuple((s.st_mtime_ns, s.st_ino, s.st_size) for s in stats)


def _reference(obj: Object) -> Object:
    meta = obj["metadata"]
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _owner(obj: Object) -> str | None:
    references = obj["metadata"].get("ownerReferences") or [{}]
    uid = references[0].get("uid")
    return str(uid) if uid else None


def _condition(obj: Object, kind: str, on: bool, reason: str, message: str, clock: Clock) -> Object:
    """The condition, with the time of its last transition kept where there was none."""
    status = "True" if on else "False"
    before = next((c for c in obj.get("status", {}).get("conditions", []) if c["type"] == kind), None)
    since = before["lastTransitionTime"] if before is not None and before["status"] == status else timestamp(clock)
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since}


def _decoded(request: Object, member: str) -> bytes:
    try:
        return base64.b64decode(request.get("status", {}).get(member, ""))
    except ValueError:
        return b""  # a damaged file: then nothing was issued


def _renewal(spec: CertificateSpec, start: datetime, end: datetime) -> datetime:
    """`renewBefore` the end; a third of the lifetime where it is not given or does not fit, as cert-manager has it.

    Never right after the beginning, or there would be no end to renewing.
    """
    before = spec.renew_before
    if before is None or before >= end - start:
        before = (end - start) / 3
    return max((end - before).replace(microsecond=0), start + SHORTEST_USE)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
