"""YAML text to plain JSON values, one document at a time, whatever the text tries.

Owns splitting, size and alias limits, duplicate keys and YAML's own types. Knows nothing of Kubernetes objects.
Neighbours: `documents` calls it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

MAX_NODES = 50_000  # of one document with its aliases written out; the largest honest ConfigMap stays far below
MAX_DEPTH = 64  # deeper than any CRD; the constructor recurses

if TYPE_CHECKING or not yaml.__with_libyaml__:
    from yaml import SafeLoader
else:
    from yaml import CSafeLoader as SafeLoader  # ten times as fast

_SEPARATOR = re.compile(r"^---(?=[ \t]|$)", re.MULTILINE)
_NOT_BLANK = re.compile(r"^[ \t]*[^\s#]", re.MULTILINE)


class YamlError(ValueError):
    """A document cannot be read; the message says what was expected and what was found, with the line."""


@dataclass(frozen=True, slots=True)
class Part:
    """One document of a text. `number` counts from 1 as it stands in the file, `line` is where it begins."""

    number: int
    line: int
    text: str


def split(text: str) -> Iterator[Part]:
    """The documents that hold more than comments. A broken one does not touch its neighbours.

    `---` at the start of a line always separates (YAML 1.2 section 9.1.2), also inside a block scalar.
    """
    starts = [0, *(m.end() for m in _SEPARATOR.finditer(text))]
    ends = [*(m.start() for m in _SEPARATOR.finditer(text)), len(text)]
    number = 0
    for start, end in zip(starts, ends, strict=True):
        if _NOT_BLANK.search(text[start:end]):
            number += 1
            yield Part(number, text.count("\n", 0, start) + 1, text[start:end])


def load(part: Part) -> Any:
    """The document as JSON has it: null, booleans, numbers, strings, lists, maps with string keys. Raises YamlError."""
    try:
        _check_size(part.text)
        value = yaml.load(part.text, Loader=_JsonLoader)  # noqa: S506  a SafeLoader with fewer types
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is a string to YAML, and to nobody else
        return value
    except yaml.MarkedYAMLError as error:
        raise YamlError(_with_line(error, part.line)) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise YamlError(f"not valid YAML: {error}") from error


def _with_line(error: yaml.MarkedYAMLError, offset: int) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + offset}: " if mark else ""
    return f"{where}{error.problem or error.context or 'not valid YAML'}"


def _check_size(text: str) -> None:
    """Refuse what grows beyond the limits once its aliases are written out, before anything is built from it."""
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(text, Loader=SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise YamlError(f"alias *{event.anchor} is unknown or contains itself")
            total += sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = total - before
        if total > MAX_NODES:
            raise YamlError(f"expected at most {MAX_NODES} values with aliases written out, found more")
        if len(open_nodes) > MAX_DEPTH:
            raise YamlError(f"expected at most {MAX_DEPTH} levels, found more")


class _JsonLoader(SafeLoader):
    """As the API server reads YAML: no dates, no binary, no sets; a key that stands twice is refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue  # what it merges in may stand again: that is an override
            if key.tag != "tag:yaml.org,2002:str":
                raise yaml.constructor.ConstructorError(
                    None, None, f"expected a string as key, found {getattr(key, 'value', 'a collection')!r}", key.start_mark
                )
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping

    def construct_float(self, node: yaml.ScalarNode) -> float:
        value: float = self.construct_yaml_float(node)
        if value != value or value in (float("inf"), float("-inf")):
            raise yaml.constructor.ConstructorError(None, None, f"{node.value} is no JSON number", node.start_mark)
        return value

    def refuse(self, node: yaml.Node) -> None:
        raise yaml.constructor.ConstructorError(
            None, None, f"expected a type that JSON has, found {node.tag!r}", node.start_mark
        )


_JsonLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in SafeLoader.yaml_implicit_resolvers.items()
}
_JsonLoader.add_constructor("tag:yaml.org,2002:float", _JsonLoader.construct_float)
for _tag in ("timestamp", "binary", "set", "omap", "pairs"):
    _JsonLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", _JsonLoader.refuse)
