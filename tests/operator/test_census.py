"""Counting all clients for a policy: what has changed is judged again, and the count is the same as of a fresh census."""

from typing import Any

import pytest

from holdfast.oauth.client_metadata import anchor_name
from holdfast_operator.reconcile.census import Census, Count
from holdfast_operator.reconcile.policies import PolicyInForce, in_force
from holdfast_operator.reconcile.ports import Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.operator.simulated import FOREIGN, ROOT, mtls_policy, oauth_client

NAMESPACES = {"shop": {"team": "shop"}, "fin": {"team": "fin"}}
STRICT = mtls_policy("strict", tokens={"maxLifetime": "15m"})


def client(name: str, namespace: str = "shop", *, generation: int = 1, status: Object | None = None, **spec: Any) -> Object:
    metadata = {"namespace": namespace, "name": name, "uid": f"uid-{namespace}-{name}", "generation": generation}
    return oauth_client(metadata=metadata, status=status, **spec)


def slow(name: str, **rest: Any) -> Object:
    return client(name, tokens={"lifetime": "1h"}, **rest)


class Town:
    """A census that is asked again and again, and checked against one that sees everything for the first time."""

    def __init__(self, *clients: Object) -> None:
        self.namespaces = dict(NAMESPACES)
        self.clients: dict[tuple[str, str], Object] = {}
        self._census = Census(ReconcileSettings())
        self.put(*clients)

    def put(self, *clients: Object) -> None:
        for found in clients:
            self.clients[self._census.take(found)] = found

    def remove(self, namespace: str, name: str) -> None:
        del self.clients[namespace, name]
        self._census.leave(self._census.places - set(self.clients))

    def count(self, policy: Object | PolicyInForce, *others: Object | PolicyInForce) -> Count:
        asked, *beside = (p if isinstance(p, PolicyInForce) else in_force(p) for p in (policy, *others))
        fresh = Census(ReconcileSettings())
        for found in self.clients.values():
            fresh.take(found)
        counts = [[*c.count(asked, [asked, *beside], self.namespaces)][-1] for c in (self._census, fresh)]
        assert counts[0] == counts[1]
        assert counts[0] is not None
        return counts[0]

    def broken(self, policy: Object | PolicyInForce, *others: Object | PolicyInForce) -> list[str]:
        return sorted(name for _, name in self.count(policy, *others).broken)


def test_a_client_that_changes_is_judged_again() -> None:
    town = Town(slow("a"), slow("b"), client("c"))
    assert town.broken(STRICT) == ["a", "b"]

    town.put(client("a", generation=2), slow("c", generation=2))

    assert town.broken(STRICT) == ["b", "c"]


def test_a_client_that_is_gone_is_not_counted() -> None:
    town = Town(slow("a"), slow("b"))
    assert town.count(STRICT).matched == 2

    town.remove("shop", "a")

    assert (town.count(STRICT).matched, town.broken(STRICT)) == (1, ["b"])


def test_a_client_that_was_made_anew_is_judged_anew() -> None:
    town = Town(slow("a"))
    assert town.broken(STRICT) == ["a"]

    again = client("a")
    town.put({**again, "metadata": {**again["metadata"], "uid": "another"}})

    assert town.broken(STRICT) == []


def test_a_policy_that_changes_is_counted_anew() -> None:
    town = Town(slow("a"), client("b", tokens={"lifetime": "10m"}))
    assert town.broken(STRICT) == ["a"]

    assert town.broken(mtls_policy("strict", tokens={"maxLifetime": "5m"})) == ["a", "b"]
    assert town.broken(mtls_policy("strict", tokens={"maxLifetime": "2h"})) == []


def test_labels_of_namespaces_and_clients_decide_who_is_matched_at_any_time() -> None:
    policy = mtls_policy("strict", namespaceSelector={"matchLabels": {"team": "fin"}}, tokens={"maxLifetime": "15m"})
    town = Town(slow("a"), slow("b", namespace="fin"))
    assert (town.count(policy).matched, town.broken(policy)) == (1, ["b"])

    town.namespaces = {**NAMESPACES, "shop": {"team": "fin"}}
    assert town.broken(policy) == ["a", "b"]

    town.namespaces = {**NAMESPACES, "fin": {}}
    assert town.broken(policy) == []


def test_an_audience_that_somebody_comes_to_own_is_not_a_breach_any_more() -> None:
    api = "https://billing.fin.svc"
    policy = mtls_policy("p", grants={"allowedResources": ["https://other.example"]})
    town = Town(client("a", resources=[api]))
    assert town.broken(policy) == ["a"]

    town.put(client("billing", namespace="fin", resourceServer={"audiences": [api]}))

    assert town.broken(policy) == []


def pinning(name: str, *pems: bytes, mode: str = "Enforce") -> PolicyInForce:
    reference = {"namespace": "platform", "name": name, "key": "ca.crt"}
    policy = mtls_policy(name, mode=mode, certificates={"trustAnchors": [{"configMapKeyRef": reference}]})
    return in_force(policy, {("platform", name): {"metadata": {}, "data": {"ca.crt": b"".join(pems).decode()}}})


def issued_under(*names: str) -> Object:
    return {"certificate": {"thumbprint": "t", "trustAnchors": list(names)}}


def test_who_breaks_a_policy_that_pins_is_read_from_the_anchors_in_the_clients_status() -> None:
    root, foreign = anchor_name(ROOT.certificate.der), anchor_name(FOREIGN.certificate.der)
    town = Town(client("mine", status=issued_under(root)), client("theirs", status=issued_under(foreign)), client("coming"))
    planned = pinning("planned", ROOT.pem, mode="Audit")
    assert town.broken(planned) == ["theirs"]

    town.put(client("coming", status=issued_under(foreign)))
    assert town.broken(planned) == ["coming", "theirs"]


def test_an_anchor_that_another_policy_takes_away_counts_too() -> None:
    both = issued_under(anchor_name(ROOT.certificate.der), anchor_name(FOREIGN.certificate.der))
    town = Town(client("a", status=both))
    planned = pinning("planned", ROOT.pem, mode="Audit")
    assert town.broken(planned) == []

    assert town.broken(planned, pinning("other", FOREIGN.pem)) == ["a"]
    assert town.broken(planned, pinning("other", FOREIGN.pem, mode="Audit")) == []


def test_a_denied_certificate_breaks_the_policy_that_denies_it() -> None:
    thumbprint = "A" * 43
    town = Town(client("a", status={"certificate": {"thumbprint": thumbprint}}), client("b"))

    count = town.count(mtls_policy("stolen", mode="Audit", certificates={"deniedThumbprints": [thumbprint]}))

    assert list(count.broken) == [("shop", "a")]
    assert thumbprint in count.broken["shop", "a"]


@pytest.mark.parametrize("size", [1, 300])
def test_a_count_can_be_interrupted_after_each_client(size: int) -> None:
    census = Census(ReconcileSettings())
    for i in range(size):
        census.take(client(f"c{i}"))
    policy = in_force(STRICT)

    steps = list(census.count(policy, [policy], NAMESPACES))

    assert steps == [None] * size + [Count(matched=size, broken={})]
