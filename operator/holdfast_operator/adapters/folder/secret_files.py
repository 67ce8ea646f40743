"""A Secret as files, exactly as a mounted one: swapped as a whole, readable by the owner alone.

Owns the layout that the kubelet's atomic writer has: `tls.crt -> ..data/tls.crt`, `..data -> ..<time>`. A reader that
opens `..data` once sees key and certificate of one pair. Neighbours: `issuance`.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

DATA = "..data"


def write_secret(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make `folder` hold exactly `files`; whoever reads meanwhile sees all of the old or all of the new."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = Path(tempfile.mkdtemp(prefix="..", dir=folder))
    try:
        for name, content in files.items():
            _write(fresh / name, content)
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)  # a full disk is not filled further by each attempt
        raise
    _point(folder / DATA, fresh.name)
    for name in files:
        if not _is_shown(folder / name):
            _point(folder / name, f"{DATA}/{name}")
    for path in list(folder.iterdir()):
        if path.is_symlink() and path.name != DATA and path.name not in files:
            path.unlink()
        elif path.is_dir() and not path.is_symlink() and path != fresh:
            shutil.rmtree(path, ignore_errors=True)  # the old one, or what a crash left


def read_secret(folder: Path) -> dict[str, bytes]:
    """What `folder` holds now; empty when there is nothing, or nothing whole. A file somebody put over a link is none."""
    try:
        data = folder / os.readlink(folder / DATA)
        return {path.name: path.read_bytes() for path in data.iterdir() if _is_shown(folder / path.name)}
    except OSError:
        return {}


def _is_shown(link: Path) -> bool:
    return link.is_symlink() and os.readlink(link) == f"{DATA}/{link.name}"


def matching_certificate(files: Mapping[str, bytes]) -> x509.Certificate | None:
    """`tls.crt`, if `tls.key` is the key of it."""
    try:
        leaf = x509.load_pem_x509_certificate(files["tls.crt"])
        key = load_pem_private_key(files["tls.key"], password=None)
        return leaf if key.public_key() == leaf.public_key() else None
    except (KeyError, ValueError, TypeError, UnsupportedAlgorithm):
        return None


def remove_secret(folder: Path) -> None:
    """Take the files away, and the namespace's folder with its last Secret; what cannot be taken away stays."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # not empty, or not ours to remove
        folder.parent.rmdir()


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)


def _point(link: Path, target: str) -> None:
    temporary = link.with_name(f"{link.name}_tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    os.replace(temporary, link)
