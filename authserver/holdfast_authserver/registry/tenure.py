"""Who may hold a client id, and from when on its tokens count, where somebody had it before.

An id outlives its holder: deleted, it is kept for the namespace that had it; orphaned, it goes on until somebody adopts it.
Tokens name clients by id and moments in whole seconds, so that those of two holders must never lie in one second. Pure.
Neighbours: `writer` asks, `holdfast.policy.adoption` knows what policies give away.
"""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.policy.adoption import may_take_over
from holdfast.policy.evaluate import evaluate_client_id
from holdfast.policy.model import EffectivePolicy
from holdfast.registry.port import RefusalReason, RegistrationRefused

HANDOVER = timedelta(seconds=2)
"""From the end of one holder to the first token of the next: other workers learn of the end within a second, and the last
token that one of them gave out until then may say the second in which it was made."""


def since(row: Row[Any] | None, client: ClientMetadata, now: datetime) -> datetime | None:
    """From when on tokens of `client` count, which takes its id at `now`; None: as before, since its tenure goes on.

    `row`: what the registry has under the id, deleted or not. An orphan's tokens go on where its own namespace adopts it.
    """
    if row is None:
        return now
    goes_on = row.uid == client.owner.uid or (not row.uid and row.namespace == client.owner.namespace)
    return None if goes_on and row.deleted_at is None else _after(row, now)


def _after(row: Row[Any], now: datetime) -> datetime:
    before: datetime = row.since
    return max(free_from(row.deleted_at or now), now, before)


def free_from(ended: datetime) -> datetime:
    """The first whole second that no token of a holder who ended then can say."""
    return datetime.fromtimestamp(math.ceil((ended + HANDOVER).timestamp()), UTC)


def kept_until(row: Row[Any] | None, grace: timedelta, now: datetime) -> datetime | None:
    """Until when a deleted client's namespace alone may take its id; None: the grace period is over, or never began."""
    if row is None or row.deleted_at is None:
        return None
    until: datetime = row.deleted_at + grace
    return until if now < until else None


def check_client_id(
    client: ClientMetadata,
    policy: EffectivePolicy,
    row: Row[Any] | None,
    *,
    adopt: bool,
    kept: datetime | None,
) -> None:
    """Whether this object may have the id. Raises RegistrationRefused.

    A holder keeps its id when a policy takes the right away (it is denied then); a newcomer does not get it.
    """
    owner = client.owner
    if row is not None and row.deleted_at is None and row.uid:
        if (row.namespace, row.name) == (owner.namespace, owner.name):
            return
        raise _refused(
            f"client id {client.client_id}: {row.namespace}/{row.name} has it, {owner.namespace}/{owner.name} asked for it"
        )
    decision = evaluate_client_id(client.client_id, owner.namespace, policy)
    if not decision.allowed:
        raise RegistrationRefused(RefusalReason.CLIENT_ID_NOT_ALLOWED, decision.message)
    if row is None:
        return
    mine = may_take_over(client.client_id, left_by=row.namespace, namespace=owner.namespace, policy=policy)
    if row.deleted_at is None and not adopt:
        raise _refused(f"client id {client.client_id}: an orphan of {row.namespace}/{row.name} has it; {_ADOPT}")
    if row.deleted_at is None and not mine:
        raise _refused(f"client id {client.client_id}: an orphan of {row.namespace}/{row.name} has it; {_RELEASE}")
    if kept is not None and not mine:
        until = kept.isoformat(timespec="seconds")
        raise _refused(f"client id {client.client_id}: kept for namespace {row.namespace} until {until}; {_RELEASE}")


_ADOPT = "spec.adoptionPolicy: IfUnowned takes it over"
_RELEASE = "a policy has to name it in grants.allowedClientIds, word for word, for another namespace to take it"


def _refused(message: str) -> RegistrationRefused:
    return RegistrationRefused(RefusalReason.CLIENT_ID_TAKEN, message)
