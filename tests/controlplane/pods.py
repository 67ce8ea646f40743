"""Runs what a Deployment describes as a process of this machine: the place of the kubelet, as far as Holdfast needs one.

Owns: reading arguments, environment and volumes from a Deployment, laying Secrets and empty folders where the container
would find them, and keeping the process up as `restartPolicy: Always` does. Must not know what the process is.
Neighbours: `plane` (the API server it reads Secrets from), `cluster` (which puts the whole together).
"""

import base64
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.controlplane.plane.plane import KubectlError
from tests.controlplane.plane.process import Process

RESTART_DELAY = 0.3
"""Seconds between the death of a process and its next start."""
SECRET_REFRESH = 20.0
"""Seconds after which changed Secrets are laid again, as the kubelet does about once a minute."""

Kubectl = Callable[..., str]
"""Runs kubectl with these arguments as the administrator and answers with what it printed."""


@dataclass(frozen=True)
class Container:
    """What a Deployment's only container needs to run here. `mounts`: mount path -> volume, as the Deployment has them."""

    name: str
    namespace: str
    service_account: str
    args: tuple[str, ...]
    env: Mapping[str, str]
    mounts: Mapping[str, Mapping[str, Any]] = field(repr=False)


def container_of(deployment: Mapping[str, Any]) -> Container:
    """Read a Deployment whose one container has an environment of plain values."""
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    volumes = {v["name"]: v for v in pod.get("volumes", [])}
    return Container(
        name=deployment["metadata"]["name"],
        namespace=deployment["metadata"]["namespace"],
        service_account=pod["serviceAccountName"],
        args=tuple(container.get("args", ())),
        env={e["name"]: str(e["value"]) for e in container.get("env", [])},
        mounts={m["mountPath"]: volumes[m["name"]] for m in container.get("volumeMounts", [])},
    )


class Pod:
    """One container as a process under `root`, started anew whenever it dies, until `stop`; `start` again after that."""

    def __init__(self, container: Container, root: Path, kubectl: Kubectl, overrides: Mapping[str, str]) -> None:
        """`overrides`: environment that differs here from what a cluster has (ports, addresses, credentials)."""
        self.container = container
        self.root = root
        self.on_start: Callable[[], None] = lambda: None
        """Called after each start, when `pid` is already the new one."""
        self._kubectl = kubectl
        self._overrides = dict(overrides)
        self._process: Process | None = None
        self._wanted = threading.Event()
        self._stopped = threading.Event()

    @property
    def process(self) -> Process:
        """The one that runs now, or ran last."""
        assert self._process is not None, f"{self.container.name} was never started"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        """All that its processes printed so far."""
        return (self.root / f"{self.container.name}.log").read_text(errors="replace")

    def path(self, mounted: str) -> Path:
        """Where a path inside the container lies on this machine. Raises KeyError when it is on no volume."""
        mount = self._mount_of(mounted)
        if mount is None:
            raise KeyError(f"{mounted} lies on no volume of {self.container.name}: {sorted(self.container.mounts)}")
        return self.root / "volumes" / mount.strip("/").replace("/", "-") / mounted[len(mount) :].strip("/")

    def start(self) -> None:
        """Lay the volumes and start the process."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.lay_volumes()
        self._wanted.set()
        self._stopped.clear()
        started = threading.Event()
        threading.Thread(target=self._supervise, args=(started,), daemon=True, name=self.container.name).start()
        started.wait(10)

    def kill(self) -> int:
        """SIGKILL; a new process follows. Answers with the pid of the one that was killed."""
        pid = self.pid
        self.process.signal(signal.SIGKILL)
        return pid

    def crash(self) -> None:
        """SIGKILL; it stays down until `start`."""
        self._wanted.clear()
        self.process.signal(signal.SIGKILL)
        self._stopped.wait(5)

    def stop(self) -> None:
        """SIGTERM, SIGKILL after ten seconds; it stays down until `start`."""
        if self._wanted.is_set():
            self._wanted.clear()
            self.process.stop(10)
            self._stopped.wait(5)

    def lay_volumes(self) -> None:
        """Write every Secret where the container mounts it, and make the folders of the other volumes."""
        for mount, volume in self.container.mounts.items():
            folder = self.path(mount)
            folder.mkdir(parents=True, exist_ok=True)
            if "secret" in volume:
                self._lay_secret(volume["secret"], folder)

    def _lay_secret(self, source: Mapping[str, Any], folder: Path) -> None:
        """All of the Secret, or the `items` that the volume names."""
        name, namespace = source["secretName"], self.container.namespace
        data = json.loads(self._kubectl("get", "secret", name, f"--namespace={namespace}", "--output=json"))["data"]
        wanted = {item["key"]: item["path"] for item in source.get("items", ())} or {key: key for key in data}
        for key, path in wanted.items():
            fresh, target = base64.b64decode(data[key]), folder / path
            if not target.exists() or target.read_bytes() != fresh:
                staged = folder / f".{path}"
                staged.touch(mode=0o600)
                staged.write_bytes(fresh)
                staged.replace(target)

    def _supervise(self, started: threading.Event) -> None:
        """Runs in a thread of its own, which has to outlive the process: a child dies with the thread that made it."""
        command = [str(Path(sys.executable).with_name("holdfast")), *self.container.args]
        while self._wanted.is_set():
            self._process = Process.start(self.container.name, command, self.root, self._environment())
            self.on_start()
            started.set()
            self._attend(self._process)
            self._stopped.wait(RESTART_DELAY if self._wanted.is_set() else 0)
        self._stopped.set()

    def _attend(self, process: Process) -> None:
        waited = 0.0
        while process.running:
            self._stopped.wait(0.1)
            waited += 0.1
            if waited >= SECRET_REFRESH:
                waited = 0.0
                with contextlib.suppress(KubectlError):  # without the API server what is there stays, as with a kubelet
                    self.lay_volumes()

    def _environment(self) -> dict[str, str]:
        # Process.start adds to what this process has; a HOLDFAST_ variable of the caller must not reach the pod.
        inherited = {name: "" for name in os.environ if name.startswith("HOLDFAST_")}
        return inherited | {name: self._local(value) for name, value in self.container.env.items()} | self._overrides

    def _local(self, value: str) -> str:
        """A value that is a path on a volume, or a URL that ends in one, as it is on this machine."""
        before, slashes, path = value.rpartition("///")
        if slashes and self._mount_of("/" + path.lstrip("/")):
            return f"{before}///{self.path('/' + path.lstrip('/'))}"
        return str(self.path(value)) if self._mount_of(value) else value

    def _mount_of(self, path: str) -> str | None:
        fitting = [m for m in self.container.mounts if path == m or path.startswith(m + "/")]
        return max(fitting, key=len, default=None)
