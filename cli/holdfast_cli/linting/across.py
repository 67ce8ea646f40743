"""What objects show together: each client judged as admission judges it, and as the operator's plan does.

Owns which of their answers are findings, and what cannot be said without a cluster. Has no rule of its own. Neighbours:
`holdfast_operator.admission.judge` (policies, rivals), `rehearsal` (the plan, in a world of nothing but the files).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from holdfast.api.v1alpha1.conditions import ConditionType, Reason, reason
from holdfast_cli.linting.findings import Finding, Level, OwnRule, Rule
from holdfast_cli.linting.single import of_field
from holdfast_cli.linting.unknown import missing_references, unknown_namespaces, without_missing
from holdfast_cli.manifests.documents import Declared
from holdfast_cli.rehearsal.files_alone import Rehearsal, rehearse
from holdfast_operator.admission.claimants import claimant_of
from holdfast_operator.admission.judge import judge_client, judge_policy
from holdfast_operator.admission.world import World, world_of
from holdfast_operator.reconcile.names import references
from holdfast_operator.reconcile.ports import Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings

_FIELD = re.compile(
    r"(?P<policy>MTLSPolicy \S+(?: \([A-Za-z]+\))?: )?(?P<field>spec(?:\.[A-Za-z]+|\[[0-9]+\])*)(?P<colon>: )?"
)
"""How messages begin when they are about a field: the policy that is broken, the field, what is wrong with it."""
_FIELDS: Mapping[Rule, str] = {
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
_OF_RESOURCES = frozenset({Reason.RESOURCE_NOT_ALLOWED, Reason.SCOPE_NOT_ALLOWED})
"""Reservations that follow from who owns what; where an owner is not among the files, nothing is said."""


def judge_together(objects: Iterable[Declared], settings: ReconcileSettings, now: datetime) -> list[Finding]:
    """Findings about policies, and about clients under them. `objects`: valid ones, with their defaults."""
    declared = {found.key: found for found in objects}
    findings = [*missing_references(declared), *unknown_namespaces(declared)]
    known = {key: without_missing(found, declared) for key, found in declared.items()}
    world = world_of([obj for key, obj in known.items() if key.kind is not Kind.OAUTH_CLIENT], settings, now)
    for key, found in declared.items():
        if key.kind is Kind.MTLS_POLICY:
            findings += _policy(found, known[key], world)
    for rehearsal in rehearse(known, settings, now):
        findings += _client(declared[rehearsal.key], rehearsal, world)
        world.claimants.put(claimant_of(rehearsal.client, holds=True))  # the first to claim something has it
    return findings


def _policy(declared: Declared, policy: Object, world: World) -> Iterator[Finding]:
    for objection in judge_policy(policy, world.config_maps).objections:
        yield _told(declared, objection.reason, Level.ERROR, objection.message)


def _client(declared: Declared, rehearsal: Rehearsal, world: World) -> Iterator[Finding]:
    """What admission says by itself, then what only the plan says."""
    judged = judge_client(rehearsal.client, world)
    for objection in judged.objections:
        yield _told(declared, objection.reason, Level.ERROR, objection.message)
    planned = list(_conditions(rehearsal, {objection.reason for objection in judged.objections}))
    for why, level, message in planned:
        yield _told(declared, why, level, message)
    for warning in judged.warnings:
        if warning not in [message for _, _, message in planned]:
            yield _told(declared, OwnRule.MAY_BE_REFUSED, Level.WARNING, warning)


def _conditions(rehearsal: Rehearsal, told: set[Reason]) -> Iterator[tuple[Reason, Level, str]]:
    """`told`: what need not be said again."""
    accepted = rehearsal.condition(ConditionType.ACCEPTED)
    if accepted.get("status") == "False" and reason(accepted["reason"]) not in told:
        yield reason(accepted["reason"]), Level.ERROR, accepted["message"]
    elif accepted.get("reason") in _OF_RESOURCES and accepted.get("status") == "True" and rehearsal.owners_known:
        yield reason(accepted["reason"]), Level.WARNING, accepted["message"]
    certificate = rehearsal.condition(ConditionType.CERTIFICATE_READY)
    if certificate.get("status") == "False" and certificate["reason"] in _SHOWN_BY_FILES and _is_complete(rehearsal):
        yield reason(certificate["reason"]), Level.ERROR, certificate["message"]


def _is_complete(rehearsal: Rehearsal) -> bool:
    """Not where a ConfigMap itself is not among the files: a note says that."""
    return references(rehearsal.client).config_maps <= rehearsal.config_maps


def _told(declared: Declared, rule: Rule, level: Level, message: str) -> Finding:
    """With the field as a field, where the message names one, and as a place."""
    found = _FIELD.match(message)
    if found is None:
        return of_field(declared, rule, level, _FIELDS.get(rule, "spec"), message)
    text = f"{found['policy'] or ''}{message[found.end() :]}" if found["colon"] else message
    return of_field(declared, rule, level, found["field"], text)
