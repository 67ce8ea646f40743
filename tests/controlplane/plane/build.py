"""The control plane's binaries, built once into a cache folder outside the work tree.

Owns: where they lie, and that two processes do not build them at once. Must not know how one is compiled (`recipes`)
or started (`plane`). `python -m tests.controlplane.plane.build` builds what is missing, with progress on stderr.
"""

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.controlplane.plane import recipes, versions
from tests.controlplane.plane.recipes import BuildError

__all__ = ["Binaries", "BuildError", "cache_folder", "ensure", "present"]


@dataclass(frozen=True)
class Binaries:
    """Where everything lies once it is built."""

    folder: Path

    def path(self, name: str) -> Path:
        return self.folder / "bin" / name

    @property
    def cert_manager_crds(self) -> Path:
        """A folder of YAML files."""
        return self.folder / "cert-manager" / "crds"

    @property
    def cert_manager_chart(self) -> Path:
        """cert-manager's own Helm chart, as its module carries it."""
        return self.folder / "cert-manager" / "chart"


def cache_folder() -> Path:
    """`$HOLDFAST_CACHE`, else `~/.cache/holdfast`."""
    return Path(os.environ.get("HOLDFAST_CACHE") or Path.home() / ".cache" / "holdfast")


def present() -> Binaries | None:
    """The binaries, if they have been built."""
    target = _target()
    return Binaries(target) if target.exists() else None


def ensure() -> Binaries:
    """The binaries, built now if need be, which takes minutes. Raises BuildError, and OSError from the cache folder."""
    target = _target()
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.parent / "build.lock"):
            if not target.exists():
                _build(target)
    return Binaries(target)


def _target() -> Path:
    """A folder named by all that decides what the binaries are."""
    digest = hashlib.sha256()
    for file in (Path(versions.__file__), Path(recipes.__file__), *sorted(recipes.SOURCES.rglob("*.go"))):
        digest.update(file.read_bytes())
    return cache_folder() / f"controlplane-{digest.hexdigest()[:16]}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _build(target: Path) -> None:
    began = time.monotonic()
    recipes.say(f"building the control plane once, about eight minutes on two cores, into {target}")
    work = Path(tempfile.mkdtemp(dir=target.parent, prefix="building-"))
    try:
        recipes.build_all(work, work / "out")
        (work / "out").rename(target)  # in one step: a folder of that name is a whole one
    finally:
        shutil.rmtree(work, ignore_errors=True)
    recipes.say(f"control plane built in {time.monotonic() - began:.0f} s")


def main() -> int:
    try:
        folder = ensure().folder
    except (BuildError, OSError) as error:
        recipes.say(f"the control plane could not be built: {error}")
        return 1
    recipes.say(f"control plane ready in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
