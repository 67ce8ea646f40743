"""Where in a YAML text the value of a field stands.

Owns finding the line of a path such as `spec.scopes[1]` or `data[ca.crt]`; a field that is not there is where it would be
written. Must not know what fields mean. Neighbour: `documents`.
"""

import re
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import yaml

from holdfast_operator.adapters.folder.yaml_text import Part, compose

_STEP = re.compile(r"\[([^\]]*)\]|([^.\[\]]+)")


class Mark(NamedTuple):
    """Both count from 1."""

    line: int
    column: int


class Marks:
    """Of one document."""

    def __init__(self, part: Part) -> None:
        self._part = part

    def of(self, field: str) -> Mark:
        """The key of that field, or of the nearest one above it that is written."""
        node, mark = self._root, self._root.start_mark if self._root is not None else None
        for step in _steps(field):
            found = _below(node, step)
            if found is None:
                break
            mark, node = found
        if mark is None:
            return Mark(self._part.line, 1)
        return Mark(mark.line + self._part.line, mark.column + 1)

    @cached_property
    def _root(self) -> yaml.Node | None:
        return compose(self._part)


def _steps(field: str) -> Iterator[str]:
    for match in _STEP.finditer(field):
        yield match.group(1) if match.group(1) is not None else match.group(2)


def _below(node: yaml.Node | None, step: str) -> tuple[yaml.Mark, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key.start_mark, value) for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and step.isdecimal() and int(step) < len(node.value):
        entry = node.value[int(step)]
        return entry.start_mark, entry
    return None
