"""Everything a decision may depend on, as values.

Owns the shape of the observation. `observe` fills it, `plan` reads it, and what failed while a plan was carried out
comes back as an observation, too. Must not do I/O.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.registry.port import RegistrationRefused
from holdfast.registry.records import Endpoints, StoredClient
from holdfast_operator.reconcile.ports import Object
from holdfast_operator.reconcile.settings import ReconcileSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySeen:
    """What the registry answered. `stored`: the live record under the client's id, whoever owns it."""

    endpoints: Endpoints
    stored: StoredClient | None
    token_lifetime: int = 300
    """Seconds a token lives where neither client nor policy says how long."""
    owners: Mapping[str, ClientMetadata | None] = field(default_factory=dict)
    """Whose each of the client's resources is; None: nobody's."""
    refusal: RegistrationRefused | None = None
    """Why it would not take the client in this pass."""
    refused: str = ""
    """Digest of the registration that was refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryUnreachable:
    """It could not be asked. `retry_after`: seconds, where it said so."""

    message: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One client's world at one moment."""

    client: Object
    now: datetime
    settings: ReconcileSettings
    registry: RegistrySeen | RegistryUnreachable
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    namespace_ends: bool = False
    """The namespace is being deleted: nothing new can be made in it, and the client will be deleted in a moment."""
    policies: tuple[Object, ...] = ()
    """Every MTLSPolicy there is."""
    policy_config_maps: Mapping[tuple[str, str], Object | None] = field(default_factory=dict)
    """ConfigMaps that policies refer to, by namespace and name; None: not found."""
    certificates: tuple[Object, ...] = ()
    """The client's own, and while its Secret's name is not taken yet, every other of the namespace."""
    requests: tuple[Object, ...] = ()
    """Among them those that the Certificate's current revision and the one before came from, where they are there."""
    issuer: Object | None = None
    """The issuer that the client names; None: not found."""
    config_maps: Mapping[str, Object | None] = field(default_factory=dict)
    """Those that the client refers to; None: not found."""
    shared_keys: frozenset[str] = frozenset()
    """SHA-256 of the public keys of all CAs behind ClusterIssuers: anchors that others have certificates under."""
    certificate_rejected: str | None = None
    """Why the API server would not take the Certificate in this pass."""
