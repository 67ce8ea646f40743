"""Who may take over a client id that an object has left."""

import pytest

from holdfast.policy.adoption import may_take_over
from holdfast.policy.model import EffectivePolicy, Policy
from holdfast.policy.resolve import resolve


def ruled(*allowed: frozenset[str]) -> EffectivePolicy:
    policies = [Policy(name=f"p{i}", allowed_client_ids=ids) for i, ids in enumerate(allowed)]
    return resolve(policies, trust_domain="cluster.local", cluster_domain="cluster.local")


@pytest.mark.parametrize("client_id", ["shop.orders", "legacy-7"])
def test_its_own_namespace_may_take_an_id_over_whatever_policies_say(client_id: str) -> None:
    assert may_take_over(client_id, left_by="shop", namespace="shop", policy=ruled())


@pytest.mark.parametrize(("allowed", "may"), [
    ((), False),
    ((frozenset({"shop.orders"}),), True),
    ((frozenset({"*"}),), False),
    ((frozenset({"shop.*"}),), False),
    ((frozenset({"{namespace}.orders"}),), False),
    ((frozenset({"other"}),), False),
    ((frozenset({"shop.orders"}), frozenset({"shop.orders", "x"})), True),
    ((frozenset({"shop.orders"}), frozenset({"*"})), False),
], ids=["none", "the id", "any", "pattern", "placeholder", "another", "two name it", "one does not"])  # fmt: skip
def test_another_namespace_needs_policies_that_name_the_id_word_for_word(
    allowed: tuple[frozenset[str], ...], may: bool
) -> None:
    assert may_take_over("shop.orders", left_by="shop", namespace="web", policy=ruled(*allowed)) is may


def test_an_id_that_begins_with_the_newcomers_namespace_is_not_its_own_by_that() -> None:
    """Namespaces `shop` and `shop.`-like names of others: what counts is who left the id."""
    assert not may_take_over("web.orders", left_by="shop", namespace="web", policy=ruled())
