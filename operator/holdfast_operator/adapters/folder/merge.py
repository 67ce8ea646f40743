"""Server-side apply for a single field manager, as a function of values.

Owns how an intent, the intent before it and the object as it stands make the new object: what the earlier intent set and
the new one leaves out goes, what others set stays, lists are atomic. Neighbours: `objects`.
"""

from typing import Any

from holdfast_operator.reconcile.ports import Object


def merge(live: Object, before: Object, intent: Object) -> Object:
    """The object after `intent` is applied by the manager whose last intent was `before`; no argument is changed."""
    merged = {k: v for k, v in live.items() if not (k in before and k not in intent and not isinstance(before[k], dict))}
    for key, old in before.items():
        if key not in intent and isinstance(old, dict) and isinstance(live.get(key), dict):
            rest = merge(live[key], old, {})
            merged[key] = rest
            if not rest:
                del merged[key]
    for key, new in intent.items():
        merged[key] = _merged(live.get(key), before.get(key), new)
    return merged


def _merged(live: Any, before: Any, intent: Any) -> Any:
    if not isinstance(intent, dict):
        return intent
    return merge(live if isinstance(live, dict) else {}, before if isinstance(before, dict) else {}, intent)
