"""Texts to the objects that they declare, each with its place; lists (`kind: List`) count as what they hold.

Owns identity: kind, name, namespace, and what cannot be told apart. Whether an object is valid is `linting`'s to say.
Neighbours: `files` below; the folder adapter of `holdfast dev`, whose YAML and whose rules on names these are.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from holdfast_cli.manifests.files import Source
from holdfast_cli.manifests.marks import Mark, Marks
from holdfast_operator.adapters.folder import metadata, yaml_text
from holdfast_operator.adapters.folder.documents import describe
from holdfast_operator.reconcile.ports import Key, Kind, Object

READ = {
    (kind.api_version, kind.kind): kind
    for kind in (
        *(Kind.OAUTH_CLIENT, Kind.MTLS_POLICY, Kind.CONFIG_MAP, Kind.NAMESPACE),
        *(Kind.ISSUER, Kind.CLUSTER_ISSUER, Kind.CERTIFICATE),
    )
}
"""What is looked at; every other kind is left alone."""
OWN = (Kind.OAUTH_CLIENT, Kind.MTLS_POLICY)


@dataclass(frozen=True, slots=True)
class Place:
    """A value in a file."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Spot:
    """Where an object stands: its document, and the path to it inside of a list."""

    file: str
    marks: Marks
    prefix: str = ""

    def of(self, path: str) -> Place:
        """The place of one of its fields; "" is the object itself."""
        mark: Mark = self.marks.of(f"{self.prefix}{path}".removesuffix("."))
        return Place(self.file, mark.line, mark.column)


@dataclass(frozen=True, slots=True)
class Declared:
    """An object as it is declared: no status, nothing that a server owns, its namespace filled in."""

    key: Key
    object: Object
    spot: Spot

    def __str__(self) -> str:
        return describe(self.key)


@dataclass(frozen=True, slots=True)
class Unusable:
    """A document, or an entry of a list, that gives no object. `key`: whose it is, where that can be told."""

    place: Place
    key: Key | None
    field: str
    message: str


@dataclass(slots=True)
class Documents:
    """`unreadable`: no YAML, or no object at all. `invalid`: an object with metadata that no server takes."""

    declared: list[Declared] = field(default_factory=list)
    unreadable: list[Unusable] = field(default_factory=list)
    invalid: list[Unusable] = field(default_factory=list)


def read_documents(sources: Iterable[Source], namespace: str = metadata.DEFAULT_NAMESPACE) -> Documents:
    """`namespace`: of objects that name none."""
    found = Documents()
    for source in sources:
        for part in yaml_text.split(source.text):
            try:
                value = yaml_text.load(part)
            except yaml_text.YamlError as error:
                found.unreadable.append(_unreadable(source, part, error))
                continue
            for entry, spot in _entries(value, Spot(source.name, Marks(part))):
                _take(entry, spot, namespace, found)
    return found


def _unreadable(source: Source, part: yaml_text.Part, error: yaml_text.YamlError) -> Unusable:
    """The message of the parser begins with the line that it gave up at, which may be the one after the last."""
    last = part.line + part.text.rstrip().count("\n")
    line, _, rest = str(error).partition(": ")
    number = line.removeprefix("line ")
    if rest and number.isdecimal():
        return Unusable(Place(source.name, min(int(number), last), 1), None, "", rest)
    return Unusable(Place(source.name, part.line, 1), None, "", str(error))


def _entries(value: Any, spot: Spot) -> Iterator[tuple[Any, Spot]]:
    """The value itself, or what it lists, lists in lists as well."""
    if isinstance(value, dict) and str(value.get("kind")).endswith("List") and isinstance(value.get("items"), list):
        for index, entry in enumerate(value["items"]):
            yield from _entries(entry, Spot(spot.file, spot.marks, f"{spot.prefix}items[{index}]."))
    else:
        yield value, spot


def _take(value: Any, spot: Spot, namespace: str, found: Documents) -> None:
    kind, problem = _kind(value)
    if problem is not None:
        path, message = problem
        found.unreadable.append(Unusable(spot.of(path), None, path, message))
    if kind is None:
        return
    if kind.namespaced and isinstance(value.get("metadata"), dict) and value["metadata"].get("namespace") is None:
        value = {**value, "metadata": {**value["metadata"], "namespace": namespace}}
    key, problems = metadata.identify(kind, value)
    found.invalid += [Unusable(spot.of(path), key, path, message) for path, message in problems]
    if key is not None and (kind in OWN or not problems):
        found.declared.append(Declared(key, metadata.declared(key, value), spot))


def _kind(value: Any) -> tuple[Kind | None, tuple[str, str] | None]:
    """(None, None) is something else than an object that is looked at."""
    if not isinstance(value, dict) or not {"apiVersion", "kind"} & set(value):
        return None, None
    version, kind = value.get("apiVersion"), value.get("kind")
    for member, name in (("apiVersion", version), ("kind", kind)):
        if not isinstance(name, str) or not name:
            return None, (member, f"expected a non-empty string, found {name!r}")
    known = READ.get((str(version), str(kind)))
    if known is None and str(version).split("/")[0] == Kind.OAUTH_CLIENT.group:
        ours = ", ".join(f"{k.api_version} {k.kind}" for k in OWN)
        return None, ("kind", f"expected one of {ours}; found {version} {kind}")
    return known, None
