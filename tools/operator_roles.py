"""The rules of the operator's roles in the chart, made of what its modules say they call.

Owns their form as Helm templates: one set for what lies in no namespace, one for what lies in namespaces, one for the
Lease. Who is bound where is `charts/holdfast/templates/operator-rbac.yaml`'s. Must not know why a call is made.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from holdfast_operator import shell
from holdfast_operator.adapters import lease_store
from holdfast_operator.approval import approver
from holdfast_operator.converge import execution, mirror, namespace_config, telling
from holdfast_operator.reconcile import certificate_intent
from holdfast_operator.reconcile.permission import Permission

FILE = "charts/holdfast/templates/_operator-rules.tpl"
MODULES = (shell, mirror, execution, telling, namespace_config, certificate_intent, approver)
"""Every module of the operator that calls, but for the Lease."""

EMPTY = '""'
_HEADER = "{{- /* Generated from the PERMISSIONS of the operator's modules by `make generate`; do not edit. */}}\n"
_SIGNERS = """
    {{- range .Values.approver.issuers }}
    - clusterissuers.cert-manager.io/{{ . }}
    {{- end }}"""
_NAMES = {
    "config_map_name": " [{{ .Values.operator.configMapName }}]",
    "lease_name": ' [{{ include "holdfast.operator" . }}]',
    "approver_issuers": _SIGNERS,
}
"""What a setting is in the chart's values."""
_CONDITIONS = {"approver_issuers": ".Values.approver.issuers"}


def page() -> str:
    """The content of `FILE`."""
    called = [permission for module in MODULES for permission in module.PERMISSIONS]
    sets = {
        "cluster": [p for p in called if not p.namespaced],
        "namespaced": [p for p in called if p.namespaced],
        "lease": list(lease_store.PERMISSIONS),
    }
    return _HEADER + "".join(map(_defined, sets.keys(), sets.values()))


def _defined(name: str, permissions: Iterable[Permission]) -> str:
    rules = "".join(map(_rule, _joined(permissions)))
    return f'{{{{- define "holdfast.operator.rules.{name}" }}}}\n{rules}{{{{- end }}}}\n'


def _joined(permissions: Iterable[Permission]) -> Iterator[Permission]:
    """One rule for what differs in its verbs alone, in the order of the first."""
    found: dict[tuple[str, ...], list[Permission]] = {}
    for p in permissions:
        found.setdefault((p.group, p.resource, p.name, p.only_with), []).append(p)
    for same in found.values():
        verbs = tuple(dict.fromkeys(verb for p in same for verb in p.verbs))
        why = "; ".join(dict.fromkeys(p.why for p in same if p.why))
        yield replace(same[0], verbs=verbs, why=why)


def _rule(p: Permission) -> str:
    lines = [f"- apiGroups: [{p.group or EMPTY}]", f"  resources: [{p.resource}]"]
    lines += [f"  resourceNames:{_NAMES[p.name]}"] if p.name else []
    lines += [f"  verbs: [{', '.join(p.verbs)}]" + (f"  # {p.why}" if p.why else "")]
    if p.only_with:
        lines = [f"{{{{- if {_CONDITIONS[p.only_with]} }}}}", *lines, "{{- end }}"]
    return "".join(f"{line}\n" for line in lines)
