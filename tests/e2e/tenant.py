"""What an application team does with a cluster: applies YAML, waits, fetches its Secret, asks for tokens.

Owns the steps that end-to-end tests share. Must not assert: the tests do. Neighbour: `tests.controlplane.cluster`.
"""

import base64
import json
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.controlplane.cluster import LocalCluster
from tests.controlplane.plane.plane import KubectlError

TEN_LINES = """\
apiVersion: holdfast.dev/v1alpha1
kind: OAuthClient
metadata:
  name: {name}
  namespace: {namespace}
spec:
  certificate:
    issuerRef: {{name: workloads, kind: ClusterIssuer}}
  grantTypes: [client_credentials]
  scopes: [orders.read]
"""
OAUTH_CLIENT = "oauthclients.holdfast.dev"


@dataclass(frozen=True)
class Answer:
    """What came back. `body` is {} when there was none; `status` 0: nobody answered."""

    status: int
    body: dict[str, Any]

    @property
    def error(self) -> object:
        return self.body.get("error")


@dataclass(frozen=True)
class Pair:
    """A client's certificate and key as files, as a mounted Secret has them."""

    folder: Path

    @property
    def cert(self) -> Path:
        return self.folder / "tls.crt"

    @property
    def key(self) -> Path:
        return self.folder / "tls.key"


@dataclass
class Tenant:
    """One namespace of one application team."""

    cluster: LocalCluster
    namespace: str
    folder: Path

    def apply(self, text: str) -> None:
        self.cluster.kubectl("apply", "--filename=-", input=text)

    def client(self, name: str, seconds: float = 10) -> Pair:
        """Apply the ten lines, wait until Ready, fetch the Secret."""
        self.apply(TEN_LINES.format(name=name, namespace=self.namespace))
        self.wait_ready(name, seconds)
        return self.pair(name)

    def wait_ready(self, name: str, seconds: float = 10) -> None:
        self.cluster.kubectl(
            "wait",
            "--for=condition=Ready",
            f"{OAUTH_CLIENT}/{name}",
            f"--namespace={self.namespace}",
            f"--timeout={seconds}s",
        )

    def get(self, name: str, resource: str = OAUTH_CLIENT) -> dict[str, Any]:
        said = self.cluster.kubectl("get", resource, name, f"--namespace={self.namespace}", "--output=json")
        value: dict[str, Any] = json.loads(said)
        return value

    def condition(self, name: str, kind: str) -> dict[str, Any]:
        """The condition of that type, {} while there is none."""
        found = self.get(name).get("status", {}).get("conditions", [])
        return next((c for c in found if c["type"] == kind), {})

    def patch(self, name: str, spec: dict[str, Any]) -> None:
        body = json.dumps({"spec": spec})
        self.cluster.kubectl(
            "patch", OAUTH_CLIENT, name, f"--namespace={self.namespace}", "--type=merge", f"--patch={body}"
        )  # fmt: skip

    def delete(self, name: str) -> None:
        self.cluster.kubectl("delete", OAUTH_CLIENT, name, f"--namespace={self.namespace}", "--timeout=30s")

    def pair(self, name: str) -> Pair:
        """The files of the Secret `<name>-mtls`."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        for key, value in self.get(f"{name}-mtls", "secret")["data"].items():
            (folder / key).write_bytes(base64.b64decode(value))
        return Pair(folder)

    def token(self, client_id: str, pair: Pair | None, **form: str) -> Answer:
        """Ask the token endpoint of the mTLS host with that certificate."""
        fields = {"grant_type": "client_credentials", "client_id": client_id, **form}
        return self.post("/oauth2/token", fields, pair)

    def introspect(self, client_id: str, pair: Pair, token: str) -> Answer:
        return self.post("/oauth2/introspect", {"client_id": client_id, "token": token}, pair)

    def post(self, path: str, fields: dict[str, str], pair: Pair | None) -> Answer:
        """POST a form on a connection of its own, with that certificate or none."""
        trust = ssl.create_default_context(cafile=str(self.cluster.ca_file))
        if pair is not None:
            trust.load_cert_chain(pair.cert, pair.key)
        try:
            with httpx.Client(verify=trust, trust_env=False) as http:
                response = http.post(self.cluster.mtls_issuer + path, data=fields)
        except httpx.TransportError:
            return Answer(0, {})  # nobody answers just now
        is_json = response.headers.get("content-type", "").startswith("application/json")
        return Answer(response.status_code, response.json() if is_json else {})

    def curl_token(self, client_id: str, pair: Pair) -> Answer:
        """Ask for a token as a person would, with curl."""
        command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--cacert", str(self.cluster.ca_file)]
        command += ["--cert", str(pair.cert), "--key", str(pair.key), "--write-out", "\n%{http_code}"]
        command += ["--data", "grant_type=client_credentials", "--data", f"client_id={client_id}"]
        command += [f"{self.cluster.mtls_issuer}/oauth2/token"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        body, _, status = done.stdout.rpartition("\n")
        return Answer(int(status), json.loads(body))


@contextmanager
def without_webhooks(cluster: LocalCluster) -> Iterator[None]:
    """As where the injector is not installed: what it would refuse is stored, and reconcile has the word."""
    kind = "validatingwebhookconfiguration"
    found = json.loads(cluster.kubectl("get", kind, "holdfast-validating", "--output=json"))
    found["metadata"] = {k: v for k, v in found["metadata"].items() if k in ("name", "labels", "annotations")}
    cluster.kubectl("delete", kind, "holdfast-validating")
    try:
        eventually(lambda: not _reviewed(cluster), 10, "the API server asks no webhook any more")
        yield
    finally:
        cluster.kubectl("create", "--filename=-", input=json.dumps(found))
        eventually(lambda: _reviewed(cluster), 10, "the API server asks the webhook again")


def _reviewed(cluster: LocalCluster) -> bool:
    """Whether an object is refused that only the webhook refuses: a client id of another namespace."""
    probe = {"apiVersion": "holdfast.dev/v1alpha1", "kind": "OAuthClient",
             "metadata": {"name": "probe", "namespace": "default"},
             "spec": {"clientId": "another.probe", "certificate": {"issuerRef": {"name": "workloads"}}}}  # fmt: skip
    try:
        cluster.kubectl("create", "--dry-run=server", "--filename=-", input=json.dumps(probe))
    except KubectlError as error:
        if "clientId" not in str(error):
            raise
        return True
    return False


def claims(token: str) -> dict[str, Any]:
    """The payload of a JWT, unverified."""
    payload = token.split(".")[1]
    value: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return value


def eventually(check: Callable[[], bool], seconds: float, what: str) -> float:
    """Poll until true; answers with the seconds it took. Fails with `what` when time runs out."""
    began = time.monotonic()
    while not check():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.1)
    return time.monotonic() - began
