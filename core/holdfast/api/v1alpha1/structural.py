"""A structural schema applied to an object as the API server does it: defaults, unknown fields, types, limits, list types.

Owns the words in which a broken limit is told; they are the API server's, so that people read the same here and there.
Rules in CEL are `rules`'s. Must not know which kinds there are. Neighbours: `crd` makes the schemas, `validation` asks.
"""

import copy
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any

import re2  # type: ignore[import-untyped]  # comes with cel-python
from jsonschema import Draft4Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from holdfast.api.v1alpha1.base import JsonSchema
from holdfast.oauth.client_metadata import Problem

BLOCKING = {"type", "required", "enum", "format", "maxLength", "maxItems", "maxProperties"}
"""Keywords after whose violation the API server does not evaluate rules: their cost would have no bound."""

_TEXT = {
    "required": "Required value",
    "maxLength": "Too long: may not be more than {limit} bytes",
    "maxItems": "Too many: {size}: must have at most {limit} items",
    "maxProperties": "Too many: {size}: must have at most {limit} items",
    "minItems": "Invalid value: {size}: {field} in body should have at least {limit} items",
    "minLength": "Invalid value: {value}: {field} in body should be at least {limit} chars long",
    "minimum": "Invalid value: {value}: {field} in body should be greater than or equal to {limit}",
    "maximum": "Invalid value: {value}: {field} in body should be less than or equal to {limit}",
    "pattern": "Invalid value: {value}: {field} in body should match '{limit}'",
    "format": "Invalid value: {value}: {field} in body must be of type {limit}: {value}",
    "type": 'Invalid value: "{kind}": {field} in body must be of type {limit}: "{kind}"',
    "x-kubernetes-list-type": "Duplicate value: {duplicate}",
}
_KINDS = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}

_BITS = {"int32": 31, "int64": 63}


def shown(value: object) -> str:
    """A value as a message quotes it; long ones cut."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 240 else f"{text[:240]}…"


def settle(value: Any, schema: JsonSchema, path: str = "") -> tuple[Any, list[Problem]]:
    """A copy with the schema's defaults filled in and without unknown fields, each of which is a problem."""
    if schema.get("x-kubernetes-preserve-unknown-fields") or not isinstance(value, dict | list):
        return with_text_keys(value), []
    if isinstance(value, list):
        parts = [settle(entry, schema.get("items", {}), f"{path}[{i}]") for i, entry in enumerate(value)]
        return [entry for entry, _ in parts], [p for _, found in parts for p in found]
    if "properties" in schema:
        return _settle_object(value, schema["properties"], path)
    inner = schema.get("additionalProperties", {})
    settled = {key: settle(entry, inner, f"{path}.{key}") for key, entry in value.items() if entry is not None}
    return {key: entry for key, (entry, _) in settled.items()}, [p for _, found in settled.values() for p in found]


def _settle_object(value: dict[str, Any], properties: Mapping[str, JsonSchema], path: str) -> tuple[Any, list[Problem]]:
    prefix = f"{path}." if path else ""
    problems = [Problem(f"{prefix}{key}", f'unknown field "{prefix}{key}"') for key in value if key not in properties]
    settled = {}
    for key, schema in properties.items():
        # Null counts as absent: the API server drops it before it fills in defaults.
        if value.get(key) is not None:
            settled[key], found = settle(value[key], schema, f"{prefix}{key}")
            problems += found
        elif "default" in schema:
            settled[key], _ = settle(schema["default"], schema)
    return settled, problems


def check(value: Any, validator: Draft4Validator, path: str = "") -> tuple[list[Problem], bool]:
    """Every broken type and limit, and whether one of them is such that rules cannot be evaluated."""
    errors = sorted(validator.iter_errors(value), key=lambda error: [str(part) for part in error.absolute_path])
    return [_problem(error, path) for error in errors], any(error.validator in BLOCKING for error in errors)


def validator(schema: JsonSchema) -> Draft4Validator:
    """Compiled once for each schema."""
    made: Draft4Validator = _Structural(schema)
    return made


def _problem(error: ValidationError, path: str) -> Problem:
    field = path + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    keyword, value, limit = str(error.validator), error.instance, error.validator_value
    if keyword == "required":
        field += f".{error.message}"
    if keyword == "enum" and isinstance(limit, list):
        options = ", ".join(json.dumps(option) for option in limit)
        return Problem(field.removeprefix("."), f"Unsupported value: {shown(value)}: supported values: {options}")
    text = _TEXT[keyword].format(
        field=field.removeprefix("."),
        limit=limit,
        value=shown(value),
        size=len(value) if isinstance(value, dict | list | str) else 0,
        kind=_KINDS.get(type(value), type(value).__name__),
        duplicate=error.message,
    )
    return Problem(field.removeprefix("."), text)


@cache
def _expression(pattern: str) -> Any:
    # The API server's engine: with it `$` is the end and \s is ASCII, which Python's own does not say.
    return re2.compile(pattern)


Errors = Iterator[ValidationError]


def _pattern(_: Draft4Validator, pattern: str, instance: object, __: JsonSchema) -> Errors:
    if isinstance(instance, str) and not _expression(pattern).search(instance):
        yield ValidationError("")


def _required(_: Draft4Validator, names: list[str], instance: object, __: JsonSchema) -> Errors:
    if isinstance(instance, dict):
        yield from (ValidationError(name) for name in names if name not in instance)


def _format(_: Draft4Validator, name: str, instance: object, __: JsonSchema) -> Errors:
    if name == "date-time" and isinstance(instance, str) and not _is_time(instance):
        yield ValidationError("")
    if name in _BITS and isinstance(instance, int) and not -(2 ** _BITS[name]) <= instance < 2 ** _BITS[name]:
        yield ValidationError("")


def _is_time(text: str) -> bool:
    try:
        return "T" in text and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _list_type(_: Draft4Validator, list_type: str, instance: object, schema: JsonSchema) -> Errors:
    if not isinstance(instance, list) or list_type == "atomic":
        return
    seen = set()
    for index, entry in enumerate(instance):
        if list_type == "map":
            if not isinstance(entry, dict):
                continue
            entry = {key: entry.get(key) for key in schema["x-kubernetes-list-map-keys"]}
        identity = json.dumps(with_text_keys(entry), sort_keys=True, default=str)
        if identity in seen:
            yield ValidationError(shown(entry), path=[index])
        seen.add(identity)


def with_text_keys(value: object) -> object:
    """As JSON has it: a folder's YAML may have numbers for keys, which cannot be sorted among texts."""
    if isinstance(value, dict):
        return {str(key): with_text_keys(entry) for key, entry in value.items()}
    return [with_text_keys(entry) for entry in value] if isinstance(value, list) else copy.copy(value)


_Structural = extend(  # type: ignore[no-untyped-call]  # published without types
    Draft4Validator,
    {"pattern": _pattern, "required": _required, "format": _format, "x-kubernetes-list-type": _list_type},
)
