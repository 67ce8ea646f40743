"""The reference pages of the API as Markdown, from the CRDs and the closed sets of conditions and reasons.

Owns how a page looks. Every fact in it stands in `holdfast.api.v1alpha1`; a page is never edited by hand.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.api.v1alpha1 import API_VERSION
from holdfast.api.v1alpha1.conditions import ConditionType, Reason
from holdfast.api.v1alpha1.crd import crds

_HEADER = "<!-- Generated from core/holdfast/api/v1alpha1 by `make generate`; do not edit. -->\n\n"
_LIMITS = (
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minimum", "at least {}"),
    ("maximum", "at most {}"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
    ("maxProperties", "at most {} entries"),
    ("pattern", "matches {}"),
)


def pages() -> dict[str, str]:
    """Each page by its file name."""
    kinds = {f"{crd['spec']['names']['singular']}.md": _kind_page(crd) for crd in crds().values()}
    return kinds | {"conditions.md": _conditions_page()}


def _kind_page(crd: Mapping[str, Any]) -> str:
    names = crd["spec"]["names"]
    version = crd["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    scope = "of a namespace" if crd["spec"]["scope"] == "Namespaced" else "of the cluster"
    full, short = crd["metadata"]["name"], names["shortNames"][0]
    parts = [
        f"{_HEADER}# {names['kind']}\n\n{schema['description']}\n",
        f"`{API_VERSION}`, {scope}. `kubectl get {full}`, short `{short}`. "
        f"A name has at most {schema['properties']['metadata']['properties']['name']['maxLength']} characters.\n",
    ]
    for part in ("spec", "status"):
        parts.append(f"## {part}\n\n{schema['properties'][part]['description']}\n")
        parts.append(_table(("Field", "Type", "Meaning"), _fields(schema["properties"][part], part)))
    parts.append(
        "## Rules\n\nBeyond types and limits, the API server and `holdfast dev` refuse an object that breaks one.\n"
    )
    parts.append(_table(("Where", "Message", "Rule (CEL)"), _rules(schema["properties"]["spec"], "spec")))
    parts.append("## Columns\n\n`wide` ones need `kubectl get -o wide`.\n")
    parts.append(_table(("Column", "From", "Wide"), _columns(version["additionalPrinterColumns"])))
    return "\n".join(parts)


def _fields(node: Mapping[str, Any], path: str) -> Iterator[tuple[str, ...]]:
    required = node.get("required", [])
    for name, child in node.get("properties", {}).items():
        here = f"{path}.{name}"
        yield f"`{here}`", _type(child), _meaning(child, required=name in required)
        items = child.get("items", {})
        if "properties" in items:
            yield from _fields(items, f"{here}[]")
        yield from _fields(child, here)


def _type(node: Mapping[str, Any]) -> str:
    if node["type"] == "array":
        return f"list of {_type(node['items'])}"
    if "additionalProperties" in node:
        return f"map of {_type(node['additionalProperties'])}"
    return "time" if node.get("format") == "date-time" else str(node["type"])


def _meaning(node: Mapping[str, Any], *, required: bool) -> str:
    single = node.get("items", node)
    said = [node["description"]] if "description" in node else []
    if "enum" in single:
        said.append("One of " + ", ".join(f"`{value}`" for value in single["enum"]) + ".")
    if limits := list(_limits(node)):
        said.append(f"({'; '.join(limits)})")
    if node.get("default") not in (None, {}):
        said.append(f"Default: {_literal(node['default'])}.")
    return ("**Required.** " if required else "") + " ".join(said)


def _limits(node: Mapping[str, Any]) -> Iterator[str]:
    for member, text in _LIMITS:
        if member in node and (member, node[member]) != ("minLength", 1):
            yield text.format(_literal(node[member]) if member == "pattern" else node[member])
    if "items" in node and (inner := list(_limits(node["items"]))):
        yield f"each {', '.join(inner)}"


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return ", ".join(_literal(entry) for entry in value)
    return f"`{value}`"


def _rules(node: Mapping[str, Any], path: str) -> Iterator[tuple[str, ...]]:
    for entry in node.get("x-kubernetes-validations", []):
        yield f"`{path}`", entry["message"], f"`{entry['rule']}`"
    for name, child in node.get("properties", {}).items():
        yield from _rules(child, f"{path}.{name}")
    if "items" in node:
        yield from _rules(node["items"], f"{path}[]")


def _columns(columns: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    for column in columns:
        yield column["name"], f"`{column['jsonPath']}`", "wide" if column.get("priority") else ""


def _conditions_page() -> str:
    types = ((f"`{t}`", ", ".join(t.kinds), t.polarity.value, t.meaning) for t in ConditionType)
    return "\n".join(
        [
            f"{_HEADER}# Conditions and reasons\n",
            "Both sets are closed. Events carry the same reasons. `kubectl wait --for=condition=Ready`, Argo CD and Flux "
            "read the conditions as kstatus does: an `observedGeneration` behind `metadata.generation`, or "
            "`Reconciling=True`, is work in progress; `Stalled=True` needs somebody; `Ready=True` is done.\n",
            "## Conditions\n",
            _table(("Type", "Of", "Polarity", "Meaning"), types),
            "## Reasons\n",
            _table(("Reason", "Meaning"), ((f"`{reason}`", reason.meaning) for reason in Reason)),
        ]
    )


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
