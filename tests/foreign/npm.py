"""Programs in JavaScript that judge this server: a package from npm, fetched once, and a script beside it.

Owns the cache folder and how a script is asked: JSON in, JSON out. Must not know what is asked.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

_CACHE = Path(os.environ.get("HOLDFAST_CACHE") or Path.home() / ".cache" / "holdfast")

needs_npm = pytest.mark.skipif(
    shutil.which("npm") is None or shutil.which("node") is None, reason="npm and node are needed to run it"
)


def script_beside(package: str, script: Path) -> Path:
    """A copy of `script` from which imports of `package` (`name@version`) resolve."""
    folder, name = _CACHE / package.replace("@", "-"), package.rpartition("@")[0]
    if not (folder / "node_modules" / name).exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
        options = ["--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--package-lock=false"]
        subprocess.run(["npm", "install", *options, package], cwd=folder, check=True, timeout=100)
    return Path(shutil.copy(script, folder))


def ask(script: Path, question: dict[str, Any]) -> Any:
    """What the script answers. Raises subprocess.CalledProcessError when it fails."""
    done = subprocess.run(
        ["node", script], input=json.dumps(question), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)
