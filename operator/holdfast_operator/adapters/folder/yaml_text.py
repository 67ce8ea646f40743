"""YAML text to plain JSON values, one document at a time, whatever the text tries.

Owns splitting, size and alias limits, duplicate keys and YAML's own types. Knows nothing of Kubernetes objects.
Neighbours: `documents` calls it.
"""

import json
import re
import reprlib
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
_BOOL = "tag:yaml.org,2002:bool"
_PLAIN_NUMBERS = {
    "tag:yaml.org,2002:int": re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]+|0|[1-9][0-9_]*)$"),
    "tag:yaml.org,2002:float": re.compile(
        r"(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
}
"""YAML 1.1's without its numbers to base 60: `1:30` is a string to the API server, and a long one takes hours to read."""


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
    number, line, counted = 0, 1, 0
    for start, end in zip(starts, ends, strict=True):
        line += text.count("\n", counted, start)
        counted = start
        if _NOT_BLANK.search(text[start:end]):
            number += 1
            yield Part(number, line, text[start:end])


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
    except Exception as error:
        # The library answers odd documents with whatever its code runs into; to the folder they are one more bad text.
        raise YamlError(f"not valid YAML: the parser gave up with {type(error).__name__}") from error


def compose(part: Part) -> yaml.Node | None:
    """The nodes of a document that `load` has taken, with their marks: for whoever asks where a value stands."""
    node: yaml.Node | None = yaml.compose(part.text, Loader=SafeLoader)
    return node


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
    """As kubectl reads YAML: no dates, no binary, no sets; a key that stands twice is refused."""

    bool_values = SafeLoader.bool_values | {"y": True, "n": False}

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            kind = node.tag.rsplit(":", 1)[-1]
            raise _refusal(node, f"expected a value that can be read as {kind}, found {_shown(node)}") from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):  # `!!map` may stand before anything
            raise _refusal(node, "expected a map")
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue  # what it merges in may stand again: that is an override
            if key.tag != "tag:yaml.org,2002:str" or not isinstance(key, yaml.ScalarNode):
                quoted = f": kubectl reads a boolean there, write '{key.value}'" if key.tag == _BOOL else ""
                raise _refusal(key, f"expected a string as key, found {_shown(key)}{quoted}")
            if key.value in seen:
                raise _refusal(key, f"key {key.value!r} stands twice")
            seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping

    def construct_int(self, node: yaml.ScalarNode) -> int:
        if ":" in self.construct_scalar(node):
            raise _refusal(node, "expected a number without ':'")
        value: int = self.construct_yaml_int(node)
        return value

    def construct_float(self, node: yaml.ScalarNode) -> float:
        if ":" in self.construct_scalar(node):
            raise _refusal(node, "expected a number without ':'")
        value: float = self.construct_yaml_float(node)
        if value != value or value in (float("inf"), float("-inf")):
            raise _refusal(node, f"{node.value} is no JSON number")
        return value

    def refuse(self, node: yaml.Node) -> None:
        raise _refusal(node, f"expected a type that JSON has, found {node.tag!r}")


def _shown(node: yaml.Node) -> str:
    return reprlib.repr(node.value) if isinstance(node, yaml.ScalarNode) else "a collection"


def _refusal(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    error: yaml.MarkedYAMLError = yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
    return error


_JsonLoader.yaml_implicit_resolvers = {
    first: [(tag, _PLAIN_NUMBERS.get(tag, pattern)) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in SafeLoader.yaml_implicit_resolvers.items()
}
_JsonLoader.add_implicit_resolver(_BOOL, re.compile(r"[yYnN]$"), list("yYnN"))  # what PyYAML leaves out of YAML 1.1
_JsonLoader.add_constructor("tag:yaml.org,2002:int", _JsonLoader.construct_int)
_JsonLoader.add_constructor("tag:yaml.org,2002:float", _JsonLoader.construct_float)
for _tag in ("timestamp", "binary", "set", "omap", "pairs"):
    _JsonLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", _JsonLoader.refuse)
