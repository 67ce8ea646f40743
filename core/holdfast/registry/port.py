"""The port through which the operator writes the registry, and how a write can fail.

Writes are fenced. Whoever holds the operator's Lease opens a term; every write carries it; once a higher term is open,
writes of a lower one are refused (`StaleTerm`), so a late writer cannot undo a newer one. Within a term, for one object,
a lower generation is refused (`StaleGeneration`).
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from holdfast.oauth.client_metadata import ClientMetadata, Problem
from holdfast.policy.model import EffectivePolicy
from holdfast.registry.records import ClientSummary, RegistryDescription, StoredClient

MAX_BATCH = 200
"""Clients in one call of `put_clients` or `get_clients`: a fraction of a second of the registry's one writer."""


class RegistryError(Exception):
    """Root of what can go wrong at the registry; the message says what and what to do, never a secret."""


class RegistryUnavailable(RegistryError):
    """It cannot be asked now: try again later. `retry_after`: seconds, where the server said so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StaleTerm(RegistryError):
    """A newer writer has opened a term: this one has to stop writing."""


class StaleGeneration(RegistryError):
    """The registry already has a newer generation of the same object."""


class RefusalReason(StrEnum):
    """Why the registry would not take a client."""

    CLIENT_ID_TAKEN = "client_id_taken"
    CLIENT_ID_NOT_ALLOWED = "client_id_not_allowed"
    AUDIENCE_TAKEN = "audience_taken"
    SUBJECT_TAKEN = "subject_taken"
    INVALID_CLIENT_METADATA = "invalid_client_metadata"
    UNKNOWN_POLICY = "unknown_policy"


class RegistrationRefused(RegistryError):
    """The registry holds the rules as well as the operator does: this client breaks one."""

    def __init__(self, reason: RefusalReason, message: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message)
        self.reason = reason
        self.problems = problems


class Registry(Protocol):
    """Every method may raise RegistryUnavailable; writers also StaleTerm."""

    async def describe(self) -> RegistryDescription:
        """Identity, revision, digest and endpoints."""

    async def open_term(self, holder: str) -> int:
        """Open a new, higher term for `holder` (the Lease's identity); earlier terms may no longer write."""

    async def put_policy(self, policy: EffectivePolicy, *, term: int) -> None:
        """Keep a policy under its hash; the same again changes nothing."""

    async def put_denied_thumbprints(self, thumbprints: frozenset[str], *, term: int) -> None:
        """Certificates (`x5t#S256`) that nobody may use from now on, in the place of those before; no limit of namespace."""

    async def put_revocation_lists(self, crls: tuple[bytes, ...], *, term: int) -> None:
        """CRLs (DER) in the place of those before. Raises RegistrationRefused for what is none, naming its index.

        A CRL speaks for the CA that signed it alone, so it does not matter who brought it (RFC 5280 section 5).
        """

    async def put_client(self, client: ClientMetadata, *, term: int) -> StoredClient:
        """Register or replace, and answer with what a fresh read of the store gives. The same again changes nothing.

        Raises RegistrationRefused, StaleGeneration.
        """

    async def put_clients(self, clients: Sequence[ClientMetadata], *, term: int) -> tuple[StoredClient | RegistryError, ...]:
        """Register or replace at most MAX_BATCH in one transaction, in their order, so that the later of two that collide
        is refused. For each what `put_client` would answer or raise; none keeps another from being registered.

        Raises ValueError for too many, or two with one client id.
        """

    async def get_client(self, client_id: str) -> StoredClient | None:
        """The live record, or None."""

    async def get_clients(self, client_ids: Sequence[str]) -> tuple[StoredClient | None, ...]:
        """For each of at most MAX_BATCH ids what `get_client` answers, all of one moment. Raises ValueError for too many."""

    async def list_clients(self) -> tuple[ClientSummary, ...]:
        """All live records, by client id."""

    async def audience_owner(self, audience: str) -> ClientMetadata | None:
        """The live client whose `resourceServer` names this audience and may; None when nobody owns it."""

    async def delete_client(self, client_id: str, *, uid: str, term: int) -> None:
        """Refuse the client from now on, purge it after the grace period. Absent, or owned by another uid: nothing.

        Until then the id is kept: an object of the same namespace may have it, others where a policy gives it away.
        """

    async def release_client(self, client_id: str, *, uid: str, term: int) -> None:
        """Let the client go on as nobody's: its owner's uid becomes "". Absent, or owned by another uid: nothing."""

    async def adopt_client(self, client: ClientMetadata, *, term: int) -> StoredClient:
        """As `put_client`, and an orphan that has the client id is taken over where `holdfast.policy.adoption` allows it.

        Within a namespace its tokens go on; from another one they end.
        """

    async def confirm(self, *, term: int) -> None:
        """Say that every registered client was compared with its object and what had none is deleted."""
