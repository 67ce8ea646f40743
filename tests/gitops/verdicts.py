"""What the tools of a pipeline make of an object: kstatus, Argo CD with our Lua, Flux with our expressions.

Each answers with kstatus' words: `InProgress`, `Failed`, `Current`, `Terminating`. Owns how each tool reads; must not know
what is expected. The Lua and the expressions are those that manifests/gitops/ ships.
"""

from functools import cache
from pathlib import Path
from typing import Any

import celpy
import yaml
from celpy.adapter import json_to_cel
from celpy.evaluation import CELEvalError
from lupa.lua51 import LuaRuntime  # the Lua that Argo CD embeds is 5.1

GITOPS = Path(__file__).parents[2] / "manifests" / "gitops"
Object = dict[str, Any]

_ARGO = {"Progressing": "InProgress", "Degraded": "Failed", "Healthy": "Current", "Suspended": "Current"}


def kstatus(obj: Object) -> str:
    """The rules of cli-utils for a kind it does not know (pkg/kstatus/status: generic.go, checkReadyCondition)."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    if "deletionTimestamp" in metadata:
        return "Terminating"
    observed = status.get("observedGeneration")
    if observed is not None and observed != metadata.get("generation"):
        return "InProgress"
    conditions = {c["type"]: c["status"] for c in status.get("conditions") or ()}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    if conditions.get("Ready") in ("False", "Unknown"):
        return "InProgress"
    return "Current"


def argo(obj: Object) -> tuple[str, str]:
    """Argo CD's own word, and what it would show beside it."""
    runtime = LuaRuntime(unpack_returned_tuples=True)
    runtime.globals().obj = runtime.table_from(obj, recursive=True)
    health = runtime.execute(_lua()[obj["kind"]])
    return str(health["status"]), str(health["message"])


def argo_as_kstatus(obj: Object) -> str:
    return _ARGO[argo(obj)[0]]


def flux(obj: Object) -> str:
    """In the order in which Flux asks; an expression that cannot be evaluated keeps it waiting."""
    found = _expressions()[obj["kind"]]
    for name, word in (("inProgress", "InProgress"), ("failed", "Failed"), ("current", "Current")):
        try:
            holds = found[name].evaluate({member: json_to_cel(value) for member, value in obj.items()})
        except CELEvalError:
            return "InProgress"
        if holds:
            return word
    return "InProgress"


@cache
def _lua() -> dict[str, str]:
    data = yaml.safe_load((GITOPS / "argocd-health.yaml").read_text())["data"]
    return {name.rpartition("_")[2]: text for name, text in data.items()}


@cache
def _expressions() -> dict[str, dict[str, celpy.Runner]]:
    checks = yaml.safe_load((GITOPS / "flux-kustomization.yaml").read_text())["spec"]["healthCheckExprs"]
    environment = celpy.Environment()
    return {
        check["kind"]: {
            name: environment.program(environment.compile(check[name])) for name in ("inProgress", "failed", "current")
        }
        for check in checks
    }
