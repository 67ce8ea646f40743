"""What the operator's actions mean to people.

Owns the sentences. An action that keeps books only (a finalizer) is not told. Neighbour: `compare`.
"""

from collections.abc import Iterator
from typing import Any, assert_never

from holdfast.oauth.client_metadata import ClientMetadata, to_json
from holdfast_cli.planning.changes import FieldChange, differences
from holdfast_cli.planning.scene import Standing
from holdfast_operator.reconcile.actions import (
    Action,
    AddFinalizer,
    ApplyCertificate,
    DeleteCertificate,
    DeleteClient,
    PutClient,
    ReleaseClient,
    RemoveFinalizer,
    RenewCertificate,
)
from holdfast_operator.reconcile.certificate import find_certificate
from holdfast_operator.reconcile.names import client_id_of
from holdfast_operator.reconcile.ports import Object
from holdfast_operator.reconcile.registration import own_record

_LONG = frozenset({"holdfast.trust_anchors", "jwks"})
"""Members of a registration whose values nobody can read."""
_BOOKS = frozenset({"holdfast.owner.generation", "holdfast.policy"})


def effects(standing: Standing) -> tuple[str, ...]:
    """What would be done, in order; what waits for a certificate last."""
    told = [text for action in standing.actions for text in _told(action, standing)]
    return (*told, *_waiting(standing))


def _told(action: Action, standing: Standing) -> Iterator[str]:
    match action:
        case ApplyCertificate(certificate):
            yield _certificate(certificate, standing)
        case RenewCertificate(certificate):
            yield f"Certificate {certificate['metadata']['name']}: issue once more"
        case DeleteCertificate(name, _):
            yield f"Certificate {name}: delete"
        case PutClient(metadata, _):
            yield _registration(metadata, standing)
        case DeleteClient(client_id, _):
            yield f"registration {client_id}: remove, so that it gets no tokens"
        case ReleaseClient(client_id, _):
            yield f"registration {client_id}: let go on as nobody's"
        case AddFinalizer() | RemoveFinalizer():
            return
        case _:
            assert_never(action)


def _certificate(wanted: Object, standing: Standing) -> str:
    name, live = wanted["metadata"]["name"], find_certificate(standing.observed)
    if live is None:
        issuer = wanted["spec"]["issuerRef"]
        return f"Certificate {name}: have {issuer['kind']} {issuer['name']} issue it"
    before = {member: (live.get("spec") or {}).get(member) for member in wanted["spec"]}
    return f"Certificate {name}: issue anew with {_shown(differences(before, wanted['spec']))}"


def _registration(wanted: ClientMetadata, standing: Standing) -> str:
    stored = own_record(standing.observed)
    if stored is None:
        return f"registration {wanted.client_id}: make"
    changed = [c for c in differences(to_json(stored.metadata), to_json(wanted)) if c.field not in _BOOKS]
    return f"registration {wanted.client_id}: change {_shown(changed) or 'the policy that rules it'}"


def _shown(changes: Any) -> str:
    return ", ".join(_field(change) for change in changes)


def _field(change: FieldChange) -> str:
    name = change.field.removeprefix("holdfast.")
    return name if change.field in _LONG else f"{name} {change.before} -> {change.after}"


def _waiting(standing: Standing) -> Iterator[str]:
    registers = any(isinstance(action, PutClient) for action in standing.actions)
    allowed, ready = standing.accepted.get("status") == "True", standing.certificate.get("status") == "True"
    if allowed and not ready and not registers and own_record(standing.observed) is None:
        yield f"registration {client_id_of(standing.observed.client)}: make once its certificate is issued"
