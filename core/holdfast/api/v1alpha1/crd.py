"""The CustomResourceDefinitions, made from the types.

Owns the way from pydantic's JSON schema to a structural schema, and what surrounds it: names, columns, subresources. A type
that has no structural form is an error here, at generation, not a surprise at the API server. Written to `crds/` by
`tools/generate.py`; evaluated without an API server by `validation`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.api.v1alpha1 import GROUP, VERSION
from holdfast.api.v1alpha1.base import UNSEEN, JsonSchema
from holdfast.api.v1alpha1.mtls_policy import MTLSPolicy
from holdfast.api.v1alpha1.oauth_client import OAuthClient

CATEGORY = "holdfast"

_ORDER = (
    *("description", "type", "format", "enum", "default", "pattern", "minLength", "maxLength", "minimum", "maximum"),
    *("minItems", "maxItems", "minProperties", "maxProperties", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"),
    *(
        "x-kubernetes-map-type",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
        "required",
        "properties",
        "additionalProperties",
        "items",
    ),
)
"""What a structural schema may hold here, in the order it is written."""
_DROPPED = {"title", "$defs", "anyOf", "const"}


class NotStructural(ValueError):
    """A type that the API server would refuse as a schema, or whose rules it could not bound."""


def crds() -> dict[str, JsonSchema]:
    """Each CustomResourceDefinition by the file name that it is committed under."""
    return {f"{GROUP}_{kind.PLURAL}.yaml": _definition(kind) for kind in (MTLSPolicy, OAuthClient)}


def _definition(kind: type[OAuthClient] | type[MTLSPolicy]) -> JsonSchema:
    short, columns = ("hfc", _CLIENT_COLUMNS) if kind is OAuthClient else ("mtlsp", _POLICY_COLUMNS)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.KIND,
                "listKind": f"{kind.KIND}List",
                "plural": kind.PLURAL,
                "singular": kind.KIND.lower(),
                "shortNames": [short],
                "categories": [CATEGORY],
            },
            "scope": "Namespaced" if kind is OAuthClient else "Cluster",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": list(columns),
                    "schema": {"openAPIV3Schema": _root(kind)},
                }
            ],
        },
    }


def _root(kind: type[OAuthClient] | type[MTLSPolicy]) -> JsonSchema:
    whole = kind.model_json_schema(by_alias=True)
    parts = {
        part: _structural(whole["properties"][part], whole["$defs"], f"{kind.KIND}.{part}") for part in ("spec", "status")
    }
    parts["status"] |= {"default": {"observedGeneration": UNSEEN}}
    name = {"type": "string", "maxLength": kind.NAME_LENGTH}
    return {
        "description": " ".join(whole["description"].split()),
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {"name": name}},
        }
        | parts,
    }


def _structural(node: JsonSchema, definitions: Mapping[str, JsonSchema], path: str) -> JsonSchema:
    node = _flatten(node, definitions, path)
    if "properties" in node:
        node["properties"] = {
            name: _structural(child, definitions, f"{path}.{name}") for name, child in node["properties"].items()
        }
    for member in ("items", "additionalProperties"):
        if member in node:
            node[member] = _structural(node[member], definitions, f"{path}.{member}")
    _settle_default(node)
    _check(node, path)
    return {member: node[member] for member in _ORDER if member in node}


def _flatten(node: JsonSchema, definitions: Mapping[str, JsonSchema], path: str) -> JsonSchema:
    """`$ref` and `X | None` written out; a field's own members win over those of its type."""
    if "$ref" in node:
        target = definitions[node["$ref"].rsplit("/", 1)[-1]]
        return _flatten(target | {k: v for k, v in node.items() if k != "$ref"}, definitions, path)
    if "anyOf" in node:
        forms = [form for form in node["anyOf"] if form.get("type") != "null"]
        if len(forms) != 1:
            raise NotStructural(f"{path}: unions are not structural; use optional fields and a rule")
        return _flatten(forms[0] | {k: v for k, v in node.items() if k != "anyOf"}, definitions, path)
    flat = {member: value for member, value in node.items() if member not in _DROPPED}
    if flat.get("additionalProperties") is True:
        del flat["additionalProperties"]
    if "const" in node:
        flat["enum"] = [node["const"]]
    if "description" in flat:
        flat["description"] = " ".join(flat["description"].split())
    return flat


def _settle_default(node: JsonSchema) -> None:
    """An empty default says nothing that absence does not; an object's is what the defaults of its fields make of {}."""
    default = node.pop("default", None)
    if isinstance(default, Mapping):
        node["default"] = {}
    elif isinstance(default, Sequence) and not isinstance(default, str):
        node |= {"default": list(default)} if default else {}
    elif default is not None and default != "" and not (node["type"] == "integer" and default == 0):
        node["default"] = default


def _check(node: Mapping[str, Any], path: str) -> None:
    if unknown := set(node) - set(_ORDER):
        raise NotStructural(f"{path}: {', '.join(sorted(unknown))} has no structural form here")
    kind = node.get("type")
    if kind is None:
        raise NotStructural(f"{path}: expected a type, found none")
    bounded = {
        "string": ("maxLength", "enum", "format"),
        "array": ("maxItems",),
        "object": ("properties", "maxProperties", "x-kubernetes-preserve-unknown-fields"),
    }
    if kind in bounded and not any(member in node for member in bounded[kind]):
        raise NotStructural(f"{path}: expected one of {', '.join(bounded[kind])}, so that the cost of rules has a bound")
    pattern = node.get("pattern", "^$")
    if not (pattern.startswith("^") and pattern.endswith("$")):
        raise NotStructural(f"{path}: expected a pattern of the whole value (^…$), found {pattern}")


def _column(name: str, path: str, *, wide: bool = False, kind: str = "string", description: str = "") -> JsonSchema:
    column: JsonSchema = {"name": name, "type": kind, "jsonPath": path}
    if description:
        column["description"] = description
    return column | ({"priority": 1} if wide else {})


_READY = (
    _column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
    _column("Reason", '.status.conditions[?(@.type=="Ready")].reason'),
)
_AGE = _column("Age", ".metadata.creationTimestamp", kind="date")

_CLIENT_COLUMNS = (
    *_READY,
    _column("Client-ID", ".status.clientId"),
    _column("Method", ".spec.authentication.method"),
    # Not a date: kubectl prints how long ago that was, and <invalid> for what is to come.
    _column("Expires", ".status.certificate.notAfter", description="When the certificate ends"),
    _AGE,
    _column("Issuer", ".spec.certificate.issuerRef.name", wide=True),
    _column("Policies", ".status.effectivePolicy.names", wide=True),
    _column("Last-Token", ".status.lastTokenTime", wide=True, kind="date", description="How long ago it got a token"),
)
_POLICY_COLUMNS = (
    *_READY,
    _column("Mode", ".spec.mode"),
    _column("Matched", ".status.matchedClients", kind="integer"),
    _column("Violations", ".status.violations.count", kind="integer"),
    _AGE,
)
