"""What the types of both kinds are built from: the base model, CEL rules, object metadata and list types.

Owns the wire form (camelCase, absent instead of null) and the words of Kubernetes that go with it. Reading is tolerant:
a field that this version does not know is ignored, because the API server has already refused typing errors.
Neighbours: `fields` (limits of single values), `oauth_client` and `mtls_policy` above.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

JsonSchema = dict[str, Any]  # JSON has no narrower type


class Part(BaseModel):
    """A part of a custom resource. The docstring under each field is its description in the schema."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )


def rule(expression: str, message: str) -> Mapping[str, str]:
    """A CEL rule that both the API server and cel-python understand, and what it says when it is broken."""
    return {"rule": expression, "message": message}


def rules(*entries: Mapping[str, str]) -> JsonSchema:
    """The member that carries `entries` in a schema."""
    return {"x-kubernetes-validations": [dict(entry) for entry in entries]}


SET: JsonSchema = {"x-kubernetes-list-type": "set"}
"""No value twice; writers by server-side apply may own single entries."""
ATOMIC: JsonSchema = {"x-kubernetes-list-type": "atomic"}
"""Replaced as a whole, because the order means something or because entries are no use alone."""

ATOMIC_MAP: JsonSchema = {"x-kubernetes-map-type": "atomic"}
"""An object that is replaced as a whole: its fields are no use alone."""


def map_list(*keys: str) -> JsonSchema:
    """A list whose entries are told apart by `keys`."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


class ObjectMeta(Part):
    """What Holdfast reads of `metadata`. The schema takes none of it but the length of a name."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()


UNSEEN = -1
"""observedGeneration of an object that was just made: what waits by kstatus takes one without any for current."""


class Condition(Part):
    """One observation about an object, in the form of every Kubernetes condition."""

    type: Annotated[str, Field(max_length=316, pattern=r"^[A-Za-z0-9]([A-Za-z0-9/._-]*[A-Za-z0-9])?$")]
    """What is observed; docs/reference/conditions.md lists the types that Holdfast sets."""
    status: Annotated[str, Field(json_schema_extra={"enum": ["True", "False", "Unknown"]})]
    """Whether it holds."""
    observed_generation: Annotated[int | None, Field(ge=0, json_schema_extra={"format": "int64"})] = None
    """metadata.generation that the observation was made of."""
    last_transition_time: datetime
    """When `status` last changed."""
    reason: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
    """Why, as one word; docs/reference/conditions.md lists them."""
    message: Annotated[str, Field(max_length=32768)]
    """What was expected and what was found, for people."""
