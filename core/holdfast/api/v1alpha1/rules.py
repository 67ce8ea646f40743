"""The CEL rules of a structural schema, evaluated without an API server.

Owns finding them in a schema, compiling each once, and evaluating those that apply: on every object and list entry that has
them, and those about a change (`oldSelf`) only where there was one before. Rules keep to what both the API server and
cel-python understand. Neighbours: `structural` has checked types and limits before.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import celpy
from celpy.adapter import json_to_cel
from celpy.evaluation import CELEvalError

from holdfast.api.v1alpha1.base import JsonSchema
from holdfast.api.v1alpha1.structural import shown
from holdfast.oauth.client_metadata import Problem

_ENVIRONMENT = celpy.Environment()
_SMALL = 120  # characters: about a line


class UnusableRule(ValueError):
    """A rule that cannot be evaluated here the way the API server evaluates it."""


@dataclass(frozen=True, slots=True)
class _Rule:
    program: Any  # celpy publishes no types
    message: str
    of_a_change: bool


@dataclass(frozen=True, slots=True)
class RuleTree:
    """The rules of one place in a schema, and of the places below it."""

    rules: tuple[_Rule, ...]
    properties: Mapping[str, "RuleTree"]
    entries: "RuleTree | None"


def compile_rules(schema: JsonSchema, *, in_list: bool = False) -> RuleTree | None:
    """None where there are none. Raises UnusableRule for a rule about a change inside a list: no `oldSelf` there."""
    rules = tuple(_compile(entry["rule"], entry["message"]) for entry in schema.get("x-kubernetes-validations", ()))
    if in_list and any(rule.of_a_change for rule in rules):
        raise UnusableRule(f"a rule inside a list may not use oldSelf: {[r.message for r in rules if r.of_a_change]}")
    found = {name: compile_rules(child, in_list=in_list) for name, child in schema.get("properties", {}).items()}
    properties = {name: tree for name, tree in found.items() if tree is not None}
    entries = compile_rules(schema["items"], in_list=True) if "items" in schema else None
    return RuleTree(rules, properties, entries) if rules or properties or entries else None


def _compile(expression: str, message: str) -> _Rule:
    return _Rule(_ENVIRONMENT.program(_ENVIRONMENT.compile(expression)), message, "oldSelf" in expression)


def broken(tree: RuleTree | None, value: Any, old: Any = None, path: str = "") -> Iterator[Problem]:
    """Every rule that `value` breaks. `old`: what stood there before; None: nothing did."""
    if tree is None:
        return
    for rule in tree.rules:
        if rule.of_a_change and old is None:
            continue
        said = _evaluate(rule, value, old)
        if said is not None:
            yield Problem(path, f"Invalid value: {_found(value)}{said}")
    if isinstance(value, dict):
        before = old if isinstance(old, dict) else {}
        for name, below in tree.properties.items():
            if name in value:
                yield from broken(below, value[name], before.get(name), f"{path}.{name}".removeprefix("."))
    if isinstance(value, list):
        for index, entry in enumerate(value):
            yield from broken(tree.entries, entry, None, f"{path}[{index}]")


def _found(value: Any) -> str:
    """What was found; of an object only when it is small: the API server shows none at all."""
    text = shown(value)
    return f"{text}: " if not isinstance(value, dict) or len(text) <= _SMALL else ""


def _evaluate(rule: _Rule, value: Any, old: Any) -> str | None:
    """What a broken rule says; None when it holds. Most parts of most objects were judged before: an evaluation is slow."""
    try:
        written = json.dumps((value, old), sort_keys=True)
    except (TypeError, ValueError):
        return _evaluated(rule, value, old)  # what YAML has and JSON has not
    return _remembered(rule, written)


@lru_cache(maxsize=4096)
def _remembered(rule: _Rule, written: str) -> str | None:
    return _evaluated(rule, *json.loads(written))


def _evaluated(rule: _Rule, value: Any, old: Any) -> str | None:
    try:
        activation = {"self": json_to_cel(value)} | ({"oldSelf": json_to_cel(old)} if rule.of_a_change else {})
        return None if rule.program.evaluate(activation) else rule.message
    except (CELEvalError, ValueError) as error:  # ValueError: a number beyond 64 bits, a date out of YAML
        return f"{rule.message} (the rule could not be evaluated: {error.args[0]})"
