"""The loop that approves and denies: every undecided CertificateRequest of our issuers, once, while this replica leads.

Owns its queue, what a verdict becomes on the request (a condition on /status, an Event for a denial, a count), and what is
known of issuers that cert-manager still approves for. Judges nothing. Neighbours: `decision`, `owner`; `main` feeds it
with what the watch brings, `leadership` runs it.
"""

import asyncio
import logging
import random
from collections.abc import Callable

from holdfast.api.v1alpha1.conditions import Reason
from holdfast.clock import Clock
from holdfast_operator.approval.decision import decide, issuer_to_claim_from
from holdfast_operator.approval.judge import Approved, Denied, NotOurs, Rules
from holdfast_operator.approval.owner import Owners
from holdfast_operator.engine.queue import Backoff, WorkQueue
from holdfast_operator.reconcile.approval import APPROVER, guarded_issuer, is_approved_by_cert_manager, is_decided
from holdfast_operator.reconcile.conditions import MAX_MESSAGE
from holdfast_operator.reconcile.issued import timestamp
from holdfast_operator.reconcile.permission import Permission, on
from holdfast_operator.reconcile.ports import Cluster, ClusterError, ClusterUnavailable, Conflict, Key, Kind, Object

log = logging.getLogger(__name__)

WORKERS = 4  # cert-manager makes a key and several writes for each request, so these are never what is waited for
PASS_LIMIT = 30.0  # seconds; every call in a pass has a shorter limit of its own
LIST_AGAIN = 1.0  # seconds until the clients are listed again after that has failed

PERMISSIONS = (
    on(
        Kind.CERTIFICATE_REQUEST,
        "patch",
        subresource="status",
        why="the conditions Approved and Denied",
        only_with="approver_issuers",
    ),
    Permission(
        group=Kind.CERTIFICATE_REQUEST.group,
        resource="signers",
        verbs=("approve",),
        namespaced=False,
        why="asked by cert-manager's webhook when those conditions are set",
        name="approver_issuers",
        only_with="approver_issuers",
    ),
)

Observer = Callable[[str, str], None]
"""Told of each decision that was written: `approved` or `denied`, and the reason."""


class Approver:
    """Belongs to one event loop. `on_change` at any time; `run` while leading."""

    def __init__(self, cluster: Cluster, owners: Owners, rules: Rules, clock: Clock, observer: Observer) -> None:
        self._cluster, self._owners, self._rules, self._clock, self._observer = cluster, owners, rules, clock, observer
        self._queue = WorkQueue(backoff=Backoff(), jitter=random.uniform)
        self._open: set[Key] = set()
        self._newest: dict[str, tuple[str, bool]] = {}
        self._running = False

    @property
    def open(self) -> int:
        """Requests that wait for a decision."""
        return len(self._open)

    @property
    def unguarded(self) -> int:
        """Our issuers whose newest decided request was approved by cert-manager itself."""
        return sum(past_us for _, past_us in self._newest.values())

    def on_change(self, request: Object, *, deleted: bool = False) -> None:
        """Take in an event of a CertificateRequest. Never raises, never waits."""
        issuer = guarded_issuer(request, self._rules.issuers)
        if issuer is None:
            return
        key = Key(Kind.CERTIFICATE_REQUEST, request["metadata"]["namespace"], request["metadata"]["name"])
        if deleted or is_decided(request):
            self._open.discard(key)
            if is_decided(request):  # one that is deleted undecided says nothing of who decides
                self._note_who_decided(issuer, request)
            return
        self._open.add(key)
        if self._running:
            self._queue.add(key)

    def _note_who_decided(self, issuer: str, request: Object) -> None:
        made = str(request["metadata"].get("creationTimestamp") or "")
        before, was_past_us = self._newest.get(issuer, ("", False))
        if made < before:
            return
        past_us = is_approved_by_cert_manager(request)
        self._newest[issuer] = (made, past_us)
        if past_us and not was_past_us:
            name = f"{request['metadata']['namespace']}/{request['metadata']['name']}"
            log.warning("cert-manager itself approved CertificateRequest %s of ClusterIssuer %s", name, issuer)

    async def run(self) -> None:
        """Decide on what is open and on what comes, until cancelled. Raises nothing else."""
        await self._learn_holders()
        self._running = True
        for key in self._open:
            self._queue.add(key)
        try:
            await asyncio.gather(*(self._work() for _ in range(WORKERS)))
        finally:
            self._running = False
            self._queue.stop_timers()

    async def _learn_holders(self) -> None:
        """Before the first decision: one without knowing who has the subject could give it away a second time."""
        while self._rules.issuers:
            try:
                await self._owners.learn_holders()
            except ClusterError as error:
                log.warning("the clients could not be listed, again in %.0f s: %s", LIST_AGAIN, error)
                await asyncio.sleep(LIST_AGAIN)
            else:
                return

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                await self._pass(key)
            finally:
                self._queue.done(key)

    async def _pass(self, key: Key) -> None:
        try:
            async with asyncio.timeout(PASS_LIMIT):
                await self._decide(key)
            self._queue.forget(key)
        except (Conflict, ClusterUnavailable, TimeoutError) as error:
            delay = self._queue.retry(key, getattr(error, "retry_after", None) or 0.0)
            log.info("CertificateRequest %s/%s: again in %.1f s: %s", key.namespace, key.name, delay, error or "timeout")
        except ClusterError as error:
            delay = self._queue.retry(key)
            log.warning("CertificateRequest %s/%s: again in %.1f s: %s", key.namespace, key.name, delay, error)
        except Exception:
            self._queue.retry(key)
            log.exception("CertificateRequest %s/%s: a pass failed in a way nobody foresaw", key.namespace, key.name)

    async def _decide(self, key: Key) -> None:
        request = await self._cluster.get(Kind.CERTIFICATE_REQUEST, key.namespace, key.name)
        if request is None:
            self._open.discard(key)
            return
        issuer = issuer_to_claim_from(request, self._rules)
        claim = None if issuer is None else await self._owners.claim_behind(request, issuer)
        verdict = decide(request, self._rules, claim)
        if isinstance(verdict, NotOurs):
            self._open.discard(key)
            return
        await self._cluster.apply_status(Kind.CERTIFICATE_REQUEST, self._decided(request, verdict))
        self._open.discard(key)
        await self._tell(request, verdict)

    def _decided(self, request: Object, verdict: Approved | Denied) -> Object:
        """The condition, and whose it is: that very object, as it was judged."""
        denied = isinstance(verdict, Denied)
        condition = {
            "type": "Denied" if denied else "Approved",
            "status": "True",
            "reason": str(verdict.reason) if isinstance(verdict, Denied) else APPROVER,
            "message": verdict.message[:MAX_MESSAGE],
            "lastTransitionTime": timestamp(self._clock()),
        }
        metadata = {k: request["metadata"][k] for k in ("namespace", "name", "uid", "resourceVersion")}
        kind = Kind.CERTIFICATE_REQUEST
        status = {"conditions": [condition]}
        return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "status": status}

    async def _tell(self, request: Object, verdict: Approved | Denied) -> None:
        name = f"{request['metadata']['namespace']}/{request['metadata']['name']}"
        if not isinstance(verdict, Denied):
            log.info("CertificateRequest %s: approved", name)
            self._observer("approved", APPROVER)
            return
        log.warning("CertificateRequest %s: denied, %s: %s", name, verdict.reason, verdict.message)
        await self._cluster.record_event(
            Kind.CERTIFICATE_REQUEST,
            request,
            warning=True,
            reason=str(Reason.CERTIFICATE_REQUEST_DENIED),
            message=f"{verdict.reason}: {verdict.message}",
        )
        self._observer("denied", str(verdict.reason))
