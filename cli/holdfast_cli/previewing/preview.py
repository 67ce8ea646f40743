"""One policy over all clients that there are: whom it would match, who would break it and how, and what cannot be told here.

Owns what is known of a client: what its status shows in a cluster, what its ConfigMaps hold in a folder. Neighbours:
`forms` prints; the operator's `breaches` and `policies` judge.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from holdfast.api.v1alpha1.conditions import ConditionType
from holdfast.policy.attribution import Breach
from holdfast.policy.model import PolicyMode
from holdfast_operator.converge.policy_config_maps import PolicyConfigMaps
from holdfast_operator.reconcile.acceptance import judge_acceptance
from holdfast_operator.reconcile.anchors import OwnAnchorsOutOfTime, Unusable, own_anchors
from holdfast_operator.reconcile.breaches import KnownClient, breaches_of_known, known_client
from holdfast_operator.reconcile.issued import condition
from holdfast_operator.reconcile.names import audiences
from holdfast_operator.reconcile.policies import PolicyInForce, effective_policy, in_force, written_policies
from holdfast_operator.reconcile.ports import ClusterReads, Kind, Object
from holdfast_operator.reconcile.request import read_request
from holdfast_operator.reconcile.settings import ReconcileSettings


class Client(NamedTuple):
    """Whom a line is about."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """`refused`: the client is refused as things are, with or without the policy."""

    client: Client
    breaches: tuple[Breach, ...]
    refused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """`problem`: why the policy could not be accepted; then nobody was judged.

    `unjudged`: clients of which not everything is known that the policy looks at, and what.
    """

    policy: str
    mode: PolicyMode
    problem: str = ""
    matched: int = 0
    violations: tuple[Violation, ...] = ()
    unjudged: Mapping[Client, str] = field(default_factory=dict)


class Previewer:
    """`now`: what is there. `then`: the same with the policies that are asked about in the place of those of their names."""

    def __init__(self, now: ClusterReads, then: ClusterReads, settings: ReconcileSettings, at: datetime) -> None:
        self._now, self._then, self._settings, self._at = now, then, settings, at

    async def load(self) -> None:
        """Read everything once. Raises ClusterUnavailable."""
        self._clients = sorted(await self._then.list(Kind.OAUTH_CLIENT), key=_client)
        namespaces = await self._then.list(Kind.NAMESPACE)
        self._labels: dict[str, dict[str, str]] = {
            n["metadata"]["name"]: dict(n["metadata"].get("labels") or {}) for n in namespaces
        }
        self._before = await self._in_force(self._now)
        self._after = await self._in_force(self._then)
        self._owned = frozenset().union(*(audiences(client) for client in self._clients))
        self._known = {_client(client): await self._known_of(client) for client in self._clients}

    async def _in_force(self, cluster: ClusterReads) -> list[PolicyInForce]:
        listed = await cluster.list(Kind.MTLS_POLICY)
        sources = await PolicyConfigMaps(cluster, lambda: self._at, self._settings.config_map_age).of(listed)
        return [in_force(policy, sources) for policy in listed]

    def preview(self, name: str) -> Preview:
        """Of the policy of this name, as it is to be."""
        policy = next(p for p in self._after if p.name == name)
        if policy.policy is None or policy.problem is not None:
            problem = "it cannot be read" if policy.problem is None else policy.problem.message
            return Preview(policy=name, mode=policy.mode, problem=problem)
        matched = [c for c in self._clients if policy.matches(self._namespace(c), _labels(c))]
        found = [violation for client in matched if (violation := self._violation(client, policy)) is not None]
        return Preview(
            policy=name,
            mode=policy.mode,
            matched=len(matched),
            violations=tuple(found),
            unjudged={_client(c): why for c in matched if (why := self._unjudged(c, policy))},
        )

    def _violation(self, client: Object, policy: PolicyInForce) -> Violation | None:
        known = self._known[_client(client)]
        if known is None:
            return None
        together = written_policies(self._after, self._namespace(client), _labels(client))
        found = breaches_of_known(known, together, self._settings, self._owned)
        own = tuple(breach for breach in found if breach.policy == policy.name)
        return Violation(client=_client(client), breaches=own, refused=self._is_refused(client)) if own else None

    def _unjudged(self, client: Object, policy: PolicyInForce) -> str:
        known = self._known[_client(client)]
        if known is None:
            return "it cannot be read"
        by_certificate = known.metadata.subject is not None
        if by_certificate and not known.anchors and policy.policy is not None and policy.policy.allowed_anchors is not None:
            return "its trust anchors are not known: nothing was issued to it yet"
        return ""

    def _is_refused(self, client: Object) -> bool:
        """By its status, and where it has none by what the policies that are there say."""
        told = condition(client, ConditionType.ACCEPTED).get("status")
        if told:
            return bool(told == "False")
        request = read_request(client, self._settings.trust_domain)
        ruled = effective_policy(self._before, self._namespace(client), _labels(client), self._settings)
        return not judge_acceptance(request, ruled, ()).holds

    async def _known_of(self, client: Object) -> KnownClient | None:
        known = known_client(client, self._settings.trust_domain)
        if known is None or known.anchors:
            return known
        return replace(known, anchors=await self._own_anchors(client))

    async def _own_anchors(self, client: Object) -> tuple[str, ...]:
        """Names of those that the client's ConfigMaps hold; none where they cannot be read, which its own status tells."""
        references = read_request(client, self._settings.trust_domain).anchor_references
        namespace = client["metadata"]["namespace"]
        read = {r.name: await self._then.get(Kind.CONFIG_MAP, namespace, r.name) for r in references}
        try:
            found = own_anchors(references, read, frozenset(), self._at) if references else ()
        except OwnAnchorsOutOfTime as error:
            found = error.anchors
        except Unusable:
            found = ()
        return tuple(anchor.name for anchor in found)

    def _namespace(self, client: Object) -> Mapping[str, str]:
        name = str(client["metadata"]["namespace"])
        return self._labels.get(name, {"kubernetes.io/metadata.name": name})


def broken(previews: Sequence[Preview]) -> bool:
    """Whether anybody would break any of them, or one could not be accepted."""
    return any(preview.violations or preview.problem for preview in previews)


def _client(client: Object) -> Client:
    return Client(client["metadata"]["namespace"], client["metadata"]["name"])


def _labels(client: Object) -> dict[str, str]:
    return dict(client["metadata"].get("labels") or {})
