"""Who may take over a client id that an object has left: within its namespace, or where policies give it away by name.

The same function runs in reconcile and at the registry. Pure. Neighbour: `evaluate`, which says whether the namespace may
have such a client id at all.
"""

from holdfast.policy.evaluate import evaluate_client_id
from holdfast.policy.model import EffectivePolicy


def may_take_over(client_id: str, *, left_by: str, namespace: str, policy: EffectivePolicy) -> bool:
    """`left_by`: namespace of the object that had the id. `policy`: of the one in `namespace` that wants it.

    Policies give an id away to another namespace where each that names client ids lists this one word for word: a pattern
    says what may be chosen, and means nobody's in particular.
    """
    if left_by == namespace:
        return True
    entries = policy.allowed_client_ids
    return bool(entries) and all(client_id in entry for entry in entries) and _allowed(client_id, namespace, policy)


def _allowed(client_id: str, namespace: str, policy: EffectivePolicy) -> bool:
    return evaluate_client_id(client_id, namespace, policy).allowed
