"""What objects show together: each client judged by the operator's plan, in a world of nothing but the files.

Owns which of the plan's conditions are findings, and what cannot be said without a cluster. Neighbours: `rehearsal`
imagines the world, `holdfast_operator.reconcile` judges.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from holdfast.api.v1alpha1.conditions import ConditionType, Reason, reason
from holdfast_cli.linting.findings import Finding, Level
from holdfast_cli.linting.single import of_field
from holdfast_cli.linting.unknown import missing_references, unknown_namespaces, without_missing
from holdfast_cli.manifests.documents import Declared
from holdfast_cli.rehearsal.files_alone import Rehearsal, rehearse
from holdfast_operator.reconcile.names import references
from holdfast_operator.reconcile.policies import in_force
from holdfast_operator.reconcile.ports import Key, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings

_FIELD = re.compile(r"spec(?:\.[A-Za-z]+|\[[0-9]+\])*")
"""How messages of conditions begin when they are about a field."""
_FIELDS: Mapping[Reason, str] = {
    Reason.CLIENT_ID_TAKEN: "spec.clientId",
    Reason.AUDIENCE_TAKEN: "spec.resourceServer.audiences",
    Reason.SUBJECT_TAKEN: "spec.authentication.subject",
    Reason.RESOURCE_NOT_ALLOWED: "spec.resources",
    Reason.SCOPE_NOT_ALLOWED: "spec.scopes",
    Reason.TRUST_ANCHOR_INVALID: "spec.authentication.trustAnchors",
    Reason.TRUST_ANCHOR_NOT_FOUND: "spec.authentication.trustAnchors",
    Reason.TRUST_ANCHOR_MISSING: "spec.authentication.trustAnchors",
    Reason.SECRET_NAME_TAKEN: "spec.certificate.secretName",
    Reason.CERTIFICATE_NAME_TAKEN: "metadata.name",
}
"""Where to look when the message names no field."""
_SHOWN_BY_FILES = frozenset(
    {
        Reason.TRUST_ANCHOR_INVALID,
        Reason.TRUST_ANCHOR_MISSING,
        Reason.TRUST_ANCHOR_NOT_FOUND,
        Reason.SECRET_NAME_TAKEN,
        Reason.CERTIFICATE_NAME_TAKEN,
    }
)
"""Why a certificate is not ready, as far as it does not take a cluster to know."""
_OWNERS_MATTER = frozenset({Reason.RESOURCE_NOT_ALLOWED, Reason.SCOPE_NOT_ALLOWED})


def judge_together(objects: Iterable[Declared], settings: ReconcileSettings, now: datetime) -> list[Finding]:
    """Findings about policies, and about clients under them. `objects`: valid ones, with their defaults."""
    declared = {found.key: found for found in objects}
    missing = missing_references(declared)
    findings = [*missing, *unknown_namespaces(declared)]
    known = {key: without_missing(found, declared) for key, found in declared.items()}
    for key, found in declared.items():
        if key.kind is Kind.MTLS_POLICY:
            findings += _policy(found, known)
    for rehearsal in rehearse(known, settings, now):
        findings += _client(declared[rehearsal.key], rehearsal)
    return findings


def _policy(declared: Declared, known: Mapping[Key, Object]) -> Iterator[Finding]:
    config_maps = {(key.namespace, key.name): obj for key, obj in known.items() if key.kind is Kind.CONFIG_MAP}
    problem = in_force(known[declared.key], config_maps).problem
    if problem is not None:
        yield _of_condition(declared, problem.reason, Level.ERROR, problem.message)


def _client(declared: Declared, rehearsal: Rehearsal) -> Iterator[Finding]:
    accepted = rehearsal.condition(ConditionType.ACCEPTED)
    if accepted.get("status") == "False":
        yield _of_condition(declared, reason(accepted["reason"]), Level.ERROR, accepted["message"])
    elif _is_reservation(accepted, rehearsal):
        yield _of_condition(declared, reason(accepted["reason"]), Level.WARNING, accepted["message"])
    certificate = rehearsal.condition(ConditionType.CERTIFICATE_READY)
    if certificate.get("status") == "False" and certificate["reason"] in _SHOWN_BY_FILES and _is_told(rehearsal):
        yield _of_condition(declared, reason(certificate["reason"]), Level.ERROR, certificate["message"])


def _is_reservation(accepted: Mapping[str, Any], rehearsal: Rehearsal) -> bool:
    """Who owns a resource that no client here owns is not known: then nothing is said of resources."""
    found = accepted.get("reason")
    if found in _OWNERS_MATTER:
        return rehearsal.owners_known
    return accepted.get("status") == "True" and found != Reason.ACCEPTED


def _is_told(rehearsal: Rehearsal) -> bool:
    """Not where the ConfigMap itself is not among the files: a note says that."""
    return references(rehearsal.client).config_maps <= rehearsal.config_maps


def _of_condition(declared: Declared, why: Reason, level: Level, message: str) -> Finding:
    field = _FIELD.match(message)
    path = field.group() if field else _FIELDS.get(why, "spec" if "spec" in declared.object else "")
    text = message[field.end() :].removeprefix(": ") if field and message[field.end() :].startswith(": ") else message
    return of_field(declared, why, level, path, text)
