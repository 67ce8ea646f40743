"""Runs what a Deployment describes as a process of this machine: the place of the kubelet, as far as Holdfast needs one.

Owns: reading command, environment and volumes from a Deployment, laying Secrets and empty folders where the container
would find them, and keeping the process up as `restartPolicy: Always` does. Must not know what the process is.
Neighbours: `plane` (the API server it reads Secrets from), `cluster` (which puts the whole together).
"""

import base64
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
RESTART_DELAY = 0.3
"""Seconds between the death of a process and its next start."""

Kubectl = Callable[..., str]
"""Runs kubectl with these arguments as the administrator and answers with what it printed."""


@dataclass(frozen=True)
class Container:
    """What a Deployment's only container needs to run here."""

    name: str
    args: tuple[str, ...]
    env: Mapping[str, str]
    mounts: Mapping[str, Mapping[str, Any]] = field(repr=False)
    """Mount path -> volume, as the Deployment has them."""


def container_of(deployment: Mapping[str, Any]) -> Container:
    """Read a Deployment with one container whose environment holds plain values and `metadata.*` references."""
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    volumes = {v["name"]: v for v in pod.get("volumes", [])}
    return Container(
        name=deployment["metadata"]["name"],
        args=tuple(container.get("args", ())),
        env={e["name"]: _value(e, deployment) for e in container.get("env", [])},
        mounts={m["mountPath"]: volumes[m["name"]] for m in container.get("volumeMounts", [])},
    )


def _value(entry: Mapping[str, Any], deployment: Mapping[str, Any]) -> str:
    if "value" in entry:
        return str(entry["value"])
    path = entry["valueFrom"]["fieldRef"]["fieldPath"]
    known = {"metadata.name": deployment["metadata"]["name"], "metadata.namespace": deployment["metadata"]["namespace"]}
    return str(known[path])


class Pod:
    """One container as a process under `root`, restarted whenever it dies, until `stop`."""

    def __init__(self, container: Container, namespace: str, root: Path, kubectl: Kubectl) -> None:
        self.container = container
        self.namespace = namespace
        self.root = root
        self.kubectl = kubectl
        self.log = root / "log"
        self.on_start: Callable[[], None] = lambda: None
        """Called after each start, with the new pid already in `pid`."""
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)
        self._first = threading.Event()

    @property
    def pid(self) -> int:
        """Of the process that runs now; of the last one while it is being restarted."""
        assert self._process is not None, f"{self.container.name} was never started"
        return self._process.pid

    def path(self, mounted: str) -> Path:
        """Where a path inside the container lies on this machine."""
        for mount in sorted(self.container.mounts, key=len, reverse=True):
            if mounted == mount or mounted.startswith(mount + "/"):
                return self.root / "volumes" / mount.strip("/").replace("/", "-") / mounted[len(mount) :].strip("/")
        raise KeyError(f"{mounted} lies on no volume of {self.container.name}: {sorted(self.container.mounts)}")

    def start(self, overrides: Mapping[str, str]) -> None:
        """Lay the volumes and start. `overrides`: environment that differs here from what a cluster has."""
        self.root.mkdir(parents=True, exist_ok=True)
        self._env = self._environment(overrides)
        self.lay_volumes()
        self._wanted.set()
        self._supervisor.start()
        self._first.wait(10)

    def kill(self, sig: int = signal.SIGKILL) -> int:
        """End the running process the hard way; the supervisor starts the next. Answers with the old pid."""
        pid = self.pid
        os.kill(pid, sig)
        return pid

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after ten seconds; it stays down."""
        self._wanted.clear()
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._supervisor.join(5)

    def hold(self) -> None:
        """Stop it and keep it down until `resume`."""
        self.stop()

    def resume(self) -> None:
        """Start it again after `hold`."""
        self.lay_volumes()
        self._wanted.set()
        self._first.clear()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)
        self._supervisor.start()
        self._first.wait(10)

    def lay_volumes(self) -> None:
        """Write every Secret where the container mounts it, and make the folders of the other volumes."""
        for mount, volume in self.container.mounts.items():
            folder = self.path(mount)
            folder.mkdir(parents=True, exist_ok=True)
            if "secret" in volume:
                self._lay_secret(volume["secret"]["secretName"], folder)

    def _lay_secret(self, name: str, folder: Path) -> None:
        secret = json.loads(self.kubectl("get", "secret", name, "-n", self.namespace, "-o", "json"))
        for key, value in secret["data"].items():
            fresh = base64.b64decode(value)
            target = folder / key
            if not target.exists() or target.read_bytes() != fresh:
                staged = folder / f".{key}"
                staged.touch(mode=0o600)
                staged.write_bytes(fresh)
                staged.replace(target)

    def _environment(self, overrides: Mapping[str, str]) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")}
        return inherited | {k: self._local(v) for k, v in self.container.env.items()} | dict(overrides)

    def _local(self, value: str) -> str:
        """A value that is a path on a volume, or a URL that ends in one, as it is on this machine."""
        for mount in sorted(self.container.mounts, key=len, reverse=True):
            at = value.find(mount)
            if at >= 0 and (at == 0 or value[:at].endswith("//")):
                return value[:at] + str(self.path(value[at:]))
        return value

    def _supervise(self) -> None:
        while self._wanted.is_set():
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [str(Path(sys.executable).with_name("holdfast")), *self.container.args],
                    env=self._env, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.root,
                    preexec_fn=_die_with_parent,
                )  # fmt: skip
            self._first.set()
            self.on_start()
            self._process.wait()
            if self._wanted.is_set():
                threading.Event().wait(RESTART_DELAY)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
