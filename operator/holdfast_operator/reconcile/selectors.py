"""Kubernetes label selectors, judged as the API server judges them.

Owns matching only. A selector that cannot be read is the caller's to refuse (`problem`); until then it matches
everything, so that a policy nobody can read never leaves a client unruled. Neighbours: `policies`, `engine.index`.
"""

import re
from collections.abc import Mapping
from typing import Any

_NAME = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_OPERATORS = {"In": True, "NotIn": True, "Exists": False, "DoesNotExist": False}
"""Operator: whether it takes values."""


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether labels satisfy all of a selector; an empty or absent one is satisfied by everything."""
    if not selector or problem(selector) is not None:
        return True
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(k) == v for k, v in wanted.items()) and all(
        _satisfies(requirement, labels) for requirement in selector.get("matchExpressions") or ()
    )


def _satisfies(requirement: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = requirement["key"], requirement.get("values") or ()
    match requirement["operator"]:
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return key not in labels or labels[key] not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def problem(selector: Mapping[str, Any] | None) -> str | None:
    """What is wrong with a selector, naming the member, expected and found; None when it can be judged."""
    if selector is None:
        return None
    if not isinstance(selector, Mapping):
        return f"expected an object, found {type(selector).__name__}"
    labels = selector.get("matchLabels") or {}
    if not isinstance(labels, Mapping):
        return f"matchLabels: expected an object, found {type(labels).__name__}"
    for key, value in labels.items():
        if found := _label_problem(key, value):
            return f"matchLabels: {found}"
    requirements = selector.get("matchExpressions") or ()
    if not isinstance(requirements, list | tuple):
        return f"matchExpressions: expected a list, found {type(requirements).__name__}"
    found_problems = ((i, _requirement_problem(r)) for i, r in enumerate(requirements))
    return next((f"matchExpressions[{i}]: {found}" for i, found in found_problems if found), None)


def _requirement_problem(requirement: object) -> str | None:
    if not isinstance(requirement, Mapping):
        return f"expected an object, found {type(requirement).__name__}"
    operator, values = requirement.get("operator"), requirement.get("values") or []
    if operator not in _OPERATORS:
        return f"operator: expected one of {', '.join(_OPERATORS)}, found {operator!r}"
    if bool(values) is not _OPERATORS[operator] or not isinstance(values, list | tuple):
        expected = "at least one value" if _OPERATORS[operator] else "no value"
        return f"values: expected {expected} with {operator}, found {values!r}"
    if found := _label_problem(requirement.get("key"), ""):
        return found
    return next((found for v in values if (found := _label_problem("key", v))), None)


def _label_problem(key: object, value: object) -> str | None:
    if not isinstance(key, str) or not _NAME.fullmatch(key):
        return f"expected a label key, found {key!r}"
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        return f"expected a label value, found {value!r}"
    return None
