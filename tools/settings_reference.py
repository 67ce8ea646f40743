"""The page of the authorization server's settings as Markdown, from the class that reads them.

Owns how a setting's type and default are written. Every fact stands in `holdfast_authserver.settings`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.settings_file import CONFIG_FILE_VARIABLE
from holdfast_authserver.settings import Settings

PAGE = "authserver-settings.md"

_HEADER = "<!-- Generated from authserver/holdfast_authserver/settings.py by `make generate`; do not edit. -->\n\n"
_INTRODUCTION = f"""# Settings of `holdfast authserver`

Environment variables. `{CONFIG_FILE_VARIABLE}` may name one YAML file that holds the same, each under its name in lower
case without `HOLDFAST_`; the environment wins. A variable that is set and empty counts as not set. A setting that is
wrong, a port in use or a file that cannot be read ends the start with one line that names it, and exit code 2.

| Variable | Type | Default | Meaning |
| --- | --- | --- | --- |
"""
_TYPES = {"boolean": "true or false", "integer": "integer", "number": "number", "string": "text", "object": "JSON object"}
_FORMATS = {"path": "path", "file-path": "path", "directory-path": "path", "password": "secret text"}
_LIMITS = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "more than {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "less than {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("pattern", "matches `{}`"),
)


def page() -> str:
    """The page."""
    schema = Settings.model_json_schema()
    rows = (_row(name, node, schema.get("$defs", {})) for name, node in schema["properties"].items())
    return _HEADER + _INTRODUCTION + "".join(rows)


def _row(name: str, node: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    cells = (f"`HOLDFAST_{name.upper()}`", _type(node, definitions), _default(node), _text(node.get("description", "")))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _type(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "$ref" in node:
        return _type(definitions[node["$ref"].rpartition("/")[2]], definitions)
    if choices := node.get("anyOf"):
        return " or ".join(_type(choice, definitions) for choice in choices if choice.get("type") != "null")
    if values := node.get("enum", [node["const"]] if "const" in node else []):
        return ", ".join(f"`{value}`" for value in values)
    if node["type"] == "array":
        return f"JSON list of {_type(node['items'], definitions)}" if "items" in node else "JSON list"
    return ", ".join([_FORMATS.get(node.get("format", ""), _TYPES[node["type"]]), *_limits(node)])


def _limits(node: Mapping[str, Any]) -> Iterator[str]:
    for member, text in _LIMITS:
        if member in node:
            yield text.format(node[member])


def _default(node: Mapping[str, Any]) -> str:
    default = node.get("default")
    if default is None or default == "":
        return "–"
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _text(description: str) -> str:
    """A docstring as one line, its first letter as it is."""
    return " ".join(description.split())
