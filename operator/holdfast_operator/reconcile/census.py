"""Whom a policy matches and who breaks it, counted over all clients without looking twice at what has not changed.

Owns what is remembered: of each client what policies look at, read once for each change of it, and of each policy the
verdicts on clients, made again for those that changed. Pure, in steps of one client, so that a caller can let others have
their turn. Neighbours: `breaches` judges; `holdfast_operator.converge.counting` feeds and asks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast_operator.reconcile.breaches import KnownClient, breaches_of_known, known_client, shown_certificate
from holdfast_operator.reconcile.names import audiences
from holdfast_operator.reconcile.policies import PolicyInForce
from holdfast_operator.reconcile.ports import Object
from holdfast_operator.reconcile.settings import ReconcileSettings

Place = tuple[str, str]
"""Namespace and name of a client."""
Namespaces = Mapping[str, Mapping[str, str]]
"""Labels by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """`matched`: how many clients the policy selects. `broken`: of those that break it, in which way."""

    matched: int = 0
    broken: Mapping[Place, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Entry:
    """`seen`: what tells that the client has changed. `known` None: it cannot be read. `version`: grows with each change."""

    seen: tuple[object, ...]
    labels: Mapping[str, str]
    known: KnownClient | None
    audiences: frozenset[str]
    version: int


@dataclass(slots=True)
class _Verdicts:
    """`rests_on`: what besides the client they were made from. `judged`: the version of each client that was looked at."""

    rests_on: tuple[object, ...]
    judged: dict[Place, int] = field(default_factory=dict)
    broken: dict[Place, str] = field(default_factory=dict)


class Census:
    """One for all policies. `take` all clients, `leave` those that were not among them, then `count`."""

    def __init__(self, settings: ReconcileSettings) -> None:
        self._settings = settings
        self._entries: dict[Place, _Entry] = {}
        self._verdicts: dict[str, _Verdicts] = {}
        self._version = 0

    def take(self, client: Object) -> Place:
        """Take in one client as it is now."""
        metadata = client["metadata"]
        place = (metadata["namespace"], metadata["name"])
        seen = _seen(client)
        before = self._entries.get(place)
        if before is None or before.seen != seen:
            self._version += 1
            self._entries[place] = _Entry(
                seen,
                dict(metadata.get("labels") or {}),
                known_client(client, self._settings.trust_domain),
                audiences(client),
                self._version,
            )
        return place

    def leave(self, gone: set[Place]) -> None:
        """Forget clients that do not exist any more."""
        for place in gone:
            self._entries.pop(place, None)
            for verdicts in self._verdicts.values():
                verdicts.judged.pop(place, None)
                verdicts.broken.pop(place, None)

    @property
    def places(self) -> set[Place]:
        """Every client that was taken in."""
        return set(self._entries)

    def forget(self, policy: str) -> None:
        """A policy of this name is no longer counted."""
        self._verdicts.pop(policy, None)

    def count(
        self, policy: PolicyInForce, policies: Sequence[PolicyInForce], namespaces: Namespaces
    ) -> Iterator[Count | None]:
        """None after each client, at the end the count. `policies`: every one that there is."""
        verdicts = self._verdicts_on(policy, policies, namespaces)
        matched: set[Place] = set()
        for place, entry in self._entries.items():
            if policy.matches(namespaces.get(place[0], {}), entry.labels):
                matched.add(place)
                if verdicts.judged.get(place) != entry.version:
                    self._judge(place, entry, verdicts, policy, policies, namespaces)
            yield None
        yield Count(matched=len(matched), broken={p: m for p, m in verdicts.broken.items() if p in matched})

    def _verdicts_on(self, policy: PolicyInForce, policies: Sequence[PolicyInForce], namespaces: Namespaces) -> _Verdicts:
        rests_on: tuple[object, ...] = (policy.policy, policy.mode)
        if _pins(policy):
            rests_on = (*rests_on, tuple(p for p in policies if p.enforced), namespaces)
        if policy.policy is not None and policy.policy.allowed_resources is not None:
            rests_on = (*rests_on, self._owned())
        known = self._verdicts.get(policy.name)
        if known is None or known.rests_on != rests_on:
            known = self._verdicts[policy.name] = _Verdicts(rests_on)
        return known

    def _judge(
        self,
        place: Place,
        entry: _Entry,
        verdicts: _Verdicts,
        policy: PolicyInForce,
        policies: Sequence[PolicyInForce],
        namespaces: Namespaces,
    ) -> None:
        verdicts.judged[place] = entry.version
        verdicts.broken.pop(place, None)
        if message := self._message(entry, policy, _beside(policy, policies, namespaces.get(place[0], {}), entry.labels)):
            verdicts.broken[place] = message

    def _message(self, entry: _Entry, policy: PolicyInForce, beside: list[PolicyInForce]) -> str:
        """In which way the client breaks the policy; empty: it does not."""
        if policy.policy is None:
            return "the policy was never accepted, so whom it matches is denied" if policy.enforced else ""
        if entry.known is None:
            return ""
        together = [policy.policy, *(p.policy for p in beside if p.policy is not None)]
        owned = self._owned() if policy.policy.allowed_resources is not None else frozenset[str]()
        found = breaches_of_known(entry.known, together, self._settings, owned)
        return "; ".join(breach.message for breach in found if breach.policy == policy.name)

    def _owned(self) -> frozenset[str]:
        return frozenset().union(*(entry.audiences for entry in self._entries.values() if entry.audiences))


def _pins(policy: PolicyInForce) -> bool:
    return policy.policy is not None and policy.policy.allowed_anchors is not None


def _beside(
    policy: PolicyInForce, policies: Sequence[PolicyInForce], namespace: Mapping[str, str], labels: Mapping[str, str]
) -> list[PolicyInForce]:
    """Those enforced on the client besides, where they count: with what is pinned."""
    if not _pins(policy):
        return []
    return [p for p in policies if p.enforced and p.name != policy.name and p.matches(namespace, labels)]


def _seen(client: Object) -> tuple[object, ...]:
    metadata: dict[str, Any] = client["metadata"]
    labels = tuple(sorted((metadata.get("labels") or {}).items()))
    anchors, thumbprint = shown_certificate(client)
    return metadata.get("uid"), metadata.get("generation"), labels, anchors, thumbprint
