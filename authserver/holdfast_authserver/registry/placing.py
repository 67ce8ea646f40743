"""Registrations judged against one picture of the registry, in their order: a later one sees what an earlier one took.

Owns the checks and their order, and what is to be written of a client that passes them. Pure. Neighbours: `rules` and
`claims` (what may be registered), `registrations` (reads the picture, writes what was placed), `writer`.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Row

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.policy.model import EffectivePolicy
from holdfast.registry.port import RefusalReason, RegistrationRefused, RegistryError, StaleGeneration
from holdfast_authserver.registry.claims import Claim, ClaimKind, claims_of
from holdfast_authserver.registry.rules import check_introspection_algorithm, check_metadata
from holdfast_authserver.registry.tenure import check_client_id, kept_until, since


class PreconditionFailed(RegistryError):
    """The client is not as the writer believes (RFC 9110 section 13.1.1)."""


class Holder(NamedTuple):
    """The client that holds a claim, and its object."""

    client_id: str
    namespace: str
    name: str


StoredClaim = tuple[str, str]
"""Kind and value as the table has them."""


@dataclass(frozen=True, slots=True)
class Before:
    """What the registry has of the clients in question, by client id and by hash."""

    rows: Mapping[str, Row[Any]]
    policies: Mapping[str, EffectivePolicy]
    now: datetime
    grace: timedelta
    """How long the id of a deleted client is kept for its namespace."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A client that may be registered. `since`: from when on its tokens count; None: as before."""

    client: ClientMetadata
    held: frozenset[Claim]
    since: datetime | None
    same: bool
    """The registry has it with this content: nothing but who wrote it last is to be remembered."""


class Holders:
    """Who holds the claims in question; changes with each client that is placed."""

    def __init__(self) -> None:
        self._by_claim: dict[StoredClaim, set[Holder]] = defaultdict(set)
        self._by_client: dict[str, set[StoredClaim]] = defaultdict(set)

    def note(self, claim: StoredClaim, holder: Holder) -> None:
        """The holder has the claim."""
        self._by_claim[claim].add(holder)
        self._by_client[holder.client_id].add(claim)

    def check(self, client: ClientMetadata, held: Collection[Claim]) -> None:
        """Raises RegistrationRefused for what another has."""
        for claim in sorted(held):
            for holder in sorted(self._by_claim.get((claim.kind, claim.stored), ())):
                if holder.client_id != client.client_id and not _shareable(claim, holder, client):
                    raise _taken(claim, client, holder)

    def take(self, client: ClientMetadata, held: Collection[Claim]) -> None:
        """In the place of what the client held before."""
        holder = Holder(client.client_id, client.owner.namespace, client.owner.name)
        for claim in self._by_client.pop(client.client_id, ()):
            self._by_claim[claim] = {h for h in self._by_claim[claim] if h.client_id != client.client_id}
        for claimed in held:
            self.note((claimed.kind, claimed.stored), holder)


def claims_wanted(
    client: ClientMetadata,
    before: Before,
    *,
    term: int,
    expected: str | None,
    algorithms: Collection[str],
    adopt: bool = False,
) -> frozenset[Claim]:
    """What the client would hold. `expected`: the digest that it has to have now. `adopt`: an orphan's id is free for it.

    Raises PreconditionFailed, StaleGeneration, RegistrationRefused.
    """
    row = before.rows.get(client.client_id)
    check_expected(row, client.client_id, expected)
    _check_generation(row, client, term)
    check_metadata(client)
    check_introspection_algorithm(client, algorithms)
    policy = before.policies.get(client.policy)
    if policy is None:
        raise RegistrationRefused(
            RefusalReason.UNKNOWN_POLICY, f"client {client.client_id}: put policy {client.policy[:80]} first"
        )
    check_client_id(client, policy, row, adopt=adopt, kept=kept_until(row, before.grace, before.now))
    return claims_of(client, policy)


def place(client: ClientMetadata, held: frozenset[Claim], before: Before, holders: Holders) -> Placed:
    """Raises RegistrationRefused."""
    holders.check(client, held)
    holders.take(client, held)
    row = before.rows.get(client.client_id)
    same_object = row is not None and row.uid == client.owner.uid and row.deleted_at is None
    same = row is not None and same_object and row.digest == client.digest
    return Placed(client, held, since(row, client, before.now), same=same)


def check_expected(row: Row[Any] | None, client_id: str, expected: str | None) -> None:
    """Raises PreconditionFailed."""
    found = None if row is None or row.deleted_at is not None else row.digest
    if expected is not None and expected != found:
        raise PreconditionFailed(f"client {client_id}: expected digest {expected}, found {found or 'no client'}")


def _check_generation(row: Row[Any] | None, client: ClientMetadata, term: int) -> None:
    owner = client.owner
    if row is not None and (row.uid, row.term) == (owner.uid, term) and owner.generation < row.generation:
        raise StaleGeneration(
            f"client {client.client_id}: generation {owner.generation} comes after {row.generation} of the same object"
        )


def _shareable(claim: Claim, holder: Holder, client: ClientMetadata) -> bool:
    """A subject may be that of several clients of one namespace; an audience has one owner."""
    return claim.kind is ClaimKind.SUBJECT and holder.namespace == client.owner.namespace


def _taken(claim: Claim, client: ClientMetadata, other: Holder) -> RegistrationRefused:
    holder, who = f"{other.namespace}/{other.name}", f"{client.owner.namespace}/{client.owner.name}"
    if claim.kind is ClaimKind.AUDIENCE:
        message = f"audience {claim.value}: {holder} owns it, {who} asked for it"
        return RegistrationRefused(RefusalReason.AUDIENCE_TAKEN, message)
    return RegistrationRefused(
        RefusalReason.SUBJECT_TAKEN,
        f"subject {claim.value.split(' under ')[0]}: {holder} has it under the same CA, {who} asked",
    )
