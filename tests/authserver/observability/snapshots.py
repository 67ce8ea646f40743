"""Pictures of a registry for tests that need one and look at nothing in it."""

from datetime import UTC, datetime
from types import MappingProxyType

from holdfast_authserver.registry.snapshot import Snapshot

NOBODY = Snapshot(
    revision=1,
    instance="tests",
    instance_created=datetime(2026, 1, 1, tzinfo=UTC),
    clients=MappingProxyType({}),
    confirmed=True,
    owners=MappingProxyType({}),
)
