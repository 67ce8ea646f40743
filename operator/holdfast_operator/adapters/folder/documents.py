"""The documents of a folder: which objects it declares, and what is wrong with those it cannot.

Owns walking the folder, reading files safely and naming every problem by file, document and field. Rules of our own
kinds are the generated CRD's, never repeated here. Keeps nothing between readings: `cluster` remembers the last good form.
Neighbours: `yaml_text` below, `cluster` above.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast_operator.adapters.folder import metadata, yaml_text
from holdfast_operator.reconcile.ports import Key, Kind, Object

MAX_FILE = 1024 * 1024  # bytes: the API server takes no larger object either
MAX_DOCUMENTS = 1000  # of one file
MAX_FILES = 2000  # a folder with more is not the folder that was meant

READ = {
    (kind.api_version, kind.kind): kind
    for kind in (
        Kind.OAUTH_CLIENT,
        Kind.MTLS_POLICY,
        Kind.CONFIG_MAP,
        Kind.NAMESPACE,
        Kind.ISSUER,
        Kind.CLUSTER_ISSUER,
    )
}
"""What a folder may declare. Other kinds stay where they are, with a note: folders hold Deployments, too."""

Check = Callable[[Key, Object], tuple[Object, list[tuple[str, str]]]]
"""Fills in defaults and answers (field, message) for every broken rule of one object."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the folder: where it stands, and what was expected against what was found."""

    file: str
    document: int | None
    key: Key | None
    field: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.document is None else f"{self.file}, document {self.document}"
        name = f", {describe(self.key)}" if self.key else ""
        return f"{place}{name}: {self.field + ': ' if self.field else ''}{self.message}"


@dataclass(frozen=True, slots=True)
class Document:
    """A document that declares an object, valid by every rule."""

    file: str
    number: int
    object: Object


@dataclass(slots=True)
class Reading:
    """What one look at the folder saw.

    `broken`: objects that some document means and cannot declare. `unreadable`: files with a document whose object is
    not known; whatever came from them earlier may still be meant.
    """

    documents: dict[Key, Document] = field(default_factory=dict)
    broken: set[Key] = field(default_factory=set)
    unreadable: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def describe(key: Key) -> str:
    """`OAuthClient shop/orders`, or `MTLSPolicy baseline`."""
    return f"{key.kind.kind} {key.namespace + '/' if key.namespace else ''}{key.name}"


def read_folder(root: Path, check: Check, *, skip: Path | None = None) -> Reading:
    """Read every *.yaml and *.yml below `root`, in the order of their paths.

    Hidden files and folders are left out, symlinked folders are not followed (symlinked files are), and so is `skip`.
    """
    reading = Reading()
    for count, path in enumerate(_files(root, skip, reading)):
        if count == MAX_FILES:
            reading.problems.append(
                Problem(str(root), None, None, "", f"expected at most {MAX_FILES} files, found more; the rest is not read")
            )
            break
        _read_file(path, _shown(path.relative_to(root)), check, reading)
    return reading


def _shown(path: Path) -> str:
    """A file's name need not be text; where it is printed it must be."""
    return path.as_posix().encode("utf-8", "replace").decode()


def _files(root: Path, skip: Path | None, reading: Reading) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        name = _shown(Path(error.filename).relative_to(root))
        reading.unreadable.add("." if name == "." else f"{name}/")
        reading.problems.append(Problem(name, None, None, "", f"folder cannot be read: {error.strerror}"))

    for folder, folders, names in os.walk(root, onerror=unreadable):
        here = Path(folder)
        folders[:] = sorted(f for f in folders if not f.startswith(".") and here / f != skip)
        for name in sorted(names):
            if name.endswith((".yaml", ".yml")) and not name.startswith("."):
                yield here / name


def _read_file(path: Path, name: str, check: Check, reading: Reading) -> None:
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        reading.unreadable.add(name)
        reading.problems.append(Problem(name, None, None, "", reason))
        return
    for part in yaml_text.split(text):
        if part.number > MAX_DOCUMENTS:
            reading.unreadable.add(name)
            message = f"expected at most {MAX_DOCUMENTS} documents, found more; the rest is not read"
            reading.problems.append(Problem(name, None, None, "", message))
            break
        read_document(part, name, check, reading)


def read_text(path: Path, limit: int = MAX_FILE) -> str:
    """The text of a regular file of at most `limit` bytes. Raises OSError, ValueError."""
    # Non-blocking, so that a FIFO in the folder cannot hold us up.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "expected a regular file")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"expected at most {limit} bytes, found more")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"expected UTF-8, found byte 0x{data[error.start]:02x} at offset {error.start}") from error


def read_document(part: yaml_text.Part, name: str, check: Check, reading: Reading) -> None:
    """Take one document of the file `name` into the reading."""
    try:
        value = yaml_text.load(part)
    except yaml_text.YamlError as error:
        reading.unreadable.add(name)
        reading.problems.append(Problem(name, part.number, None, "", str(error)))
        return
    if value is None:
        return
    kind, problems = _kind(value)
    if kind is None:
        if problems:
            reading.unreadable.add(name)
            reading.problems += [Problem(name, part.number, None, f, m) for f, m in problems]
        else:
            reading.notes.append(
                f"{name}, document {part.number}: {value.get('apiVersion')} {value['kind']} is not read here"
            )
        return
    _read_object(kind, value, part.number, name, check, reading)


def _kind(value: Any) -> tuple[Kind | None, list[tuple[str, str]]]:
    """The kind that a document means; (None, []) is a kind that is not ours to read."""
    if not isinstance(value, dict):
        return None, [("", f"expected an object with apiVersion, kind and metadata, found {type(value).__name__}")]
    version, kind = value.get("apiVersion"), value.get("kind")
    for member, found in (("apiVersion", version), ("kind", kind)):
        if not isinstance(found, str) or not found:
            return None, [(member, f"expected a non-empty string, found {found!r}")]
    if isinstance(value.get("items"), list) and str(kind).endswith("List"):
        return None, [("kind", f"expected the items of the {kind} as documents, separated by ---, found them in a list")]
    known = READ.get((str(version), str(kind)))
    if known is None and str(version).split("/")[0] == Kind.OAUTH_CLIENT.group:
        ours = ", ".join(f"{k.api_version} {k.kind}" for k in (Kind.OAUTH_CLIENT, Kind.MTLS_POLICY))
        return None, [("kind", f"expected one of {ours}; found {version} {kind}")]
    return known, []


def _read_object(kind: Kind, value: Mapping[str, Any], number: int, name: str, check: Check, reading: Reading) -> None:
    key, problems = metadata.identify(kind, value)
    if key is None:
        reading.unreadable.add(name)
        reading.problems += [Problem(name, number, None, f, m) for f, m in problems]
        return
    obj = metadata.declared(key, value)
    obj, broken = check(key, obj)
    problems += [p for p in broken if p not in problems]
    earlier = reading.documents.get(key)
    if earlier is not None:
        there = f"{earlier.file}, document {earlier.number}"
        problems.append(("metadata.name", f"the same object stands in {there}, which holds"))
    if problems:
        reading.problems += [Problem(name, number, key, f, m) for f, m in problems]
        reading.broken.add(key)
    else:
        reading.documents[key] = Document(name, number, obj)
