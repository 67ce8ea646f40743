"""Whom a policy matches and who breaks it, counted over all clients without looking twice at what has not changed.

Owns what is remembered: of each client what policies look at, read once for each change of it, and of each policy the
verdicts on clients, made again for those that changed. Pure, in steps of one client, so that a caller can let others have
their turn. Neighbours: `breaches` judges; `holdfast_operator.converge.counting` feeds and asks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from holdfast.policy.model import Policy, PolicyMode
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


@dataclass(frozen=True, slots=True)
class _Question:
    """What a verdict rests on besides the client. Who is beside a policy counts only with one that pins trust anchors, who
    owns which audience only with one that lists resources: else both are empty, and verdicts stay when those change.
    """

    name: str
    mode: PolicyMode
    policy: Policy | None
    beside: tuple[PolicyInForce, ...] = ()
    namespaces: Namespaces = field(default_factory=dict)
    owned: frozenset[str] = frozenset()

    def policies_on(self, place: Place, labels: Mapping[str, str]) -> list[Policy]:
        """The policy itself, and what is enforced on the client beside it."""
        here = self.namespaces.get(place[0], {})
        matching = (p.policy for p in self.beside if p.matches(here, labels))
        return [p for p in (self.policy, *matching) if p is not None]


@dataclass(slots=True)
class _Verdicts:
    """`judged`: the version of each client that was looked at."""

    question: _Question
    judged: dict[Place, int] = field(default_factory=dict)
    broken: dict[Place, str] = field(default_factory=dict)

    def note(self, place: Place, version: int, message: str) -> None:
        """`message` empty: the client keeps the policy."""
        self.judged[place] = version
        self.broken.pop(place, None)
        if message:
            self.broken[place] = message


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
        verdicts = self._verdicts_on(self._question(policy, policies, namespaces))
        matched: set[Place] = set()
        for place, entry in self._entries.items():
            if policy.matches(namespaces.get(place[0], {}), entry.labels):
                matched.add(place)
                if verdicts.judged.get(place) != entry.version:
                    verdicts.note(place, entry.version, self._message(place, entry, verdicts.question))
            yield None
        yield Count(matched=len(matched), broken={p: m for p, m in verdicts.broken.items() if p in matched})

    def _question(self, policy: PolicyInForce, policies: Sequence[PolicyInForce], namespaces: Namespaces) -> _Question:
        asked = _Question(policy.name, policy.mode, policy.policy)
        if policy.policy is not None and policy.policy.allowed_anchors is not None:
            beside = tuple(p for p in policies if p.enforced and p.name != policy.name)
            asked = replace(asked, beside=beside, namespaces=namespaces)
        if policy.policy is not None and policy.policy.allowed_resources is not None:
            asked = replace(asked, owned=frozenset().union(*(e.audiences for e in self._entries.values() if e.audiences)))
        return asked

    def _verdicts_on(self, question: _Question) -> _Verdicts:
        known = self._verdicts.get(question.name)
        if known is None or known.question != question:
            known = self._verdicts[question.name] = _Verdicts(question)
        return known

    def _message(self, place: Place, entry: _Entry, question: _Question) -> str:
        """In which way the client breaks the policy; empty: it does not."""
        if question.policy is None:
            denies = question.mode is PolicyMode.ENFORCE
            return "the policy was never accepted, so whom it matches is denied" if denies else ""
        if entry.known is None:
            return ""
        together = question.policies_on(place, entry.labels)
        found = breaches_of_known(entry.known, together, self._settings, question.owned)
        return "; ".join(breach.message for breach in found if breach.policy == question.name)


def _seen(client: Object) -> tuple[object, ...]:
    metadata: dict[str, Any] = client["metadata"]
    labels = tuple(sorted((metadata.get("labels") or {}).items()))
    anchors, thumbprint = shown_certificate(client)
    return metadata.get("uid"), metadata.get("generation"), labels, anchors, thumbprint
