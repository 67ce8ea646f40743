"""The real authorization server in the scenario: its own process, its own start, a registry that holds the client.

Owns how the scenario's client becomes a registration. Must not know what is measured. Neighbours: `scenario`, `servers`.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks.scenario import CLIENT_ID, LIFETIME, SCOPE, SUBJECT, Scenario
from holdfast.clock import system_clock
from holdfast.oauth.client_metadata import ClientMetadata, Owner, TrustAnchor
from holdfast.policy.model import EffectivePolicy
from holdfast.registry.port import MAX_BATCH, RegistryError
from holdfast.x509.subject import SubjectKind, parse_subject_rule
from holdfast_authserver.registry.keeper import RegistryKeeper

POLICY = EffectivePolicy(trust_domain="cluster.local", cluster_domain="cluster.local")
"""What holds for every client at first."""


def environment(scenario: Scenario, registry: Path, **settings: str) -> Mapping[str, str]:
    """Settings of `holdfast authserver`: as it ships, audit log and all, with ports and paths of this run."""
    own = {
        "public_port": "0",
        "mtls_port": "0",
        "public_tls_cert_file": str(scenario.server("tls.crt")),
        "public_tls_key_file": str(scenario.server("tls.key")),
        "database_url": database_url(registry),
        "keys_dir": str(registry.parent / "keys"),
        "audit_log": str(registry.parent / "audit.jsonl"),
        "token_lifetime": str(LIFETIME),
        "startup_hold": "0",  # no operator confirms the registry here
        **settings,
    }
    return {**os.environ, **{f"HOLDFAST_{name.upper()}": value for name, value in own.items()}}


async def register(scenario: Scenario, registry: Path, *, others: int = 0) -> None:
    """Writes the scenario's client, and that many besides, into the registry file, as the operator's port does."""
    registry.parent.mkdir(parents=True, exist_ok=True)
    keeper = await RegistryKeeper.open(database_url(registry), system_clock)
    try:
        term = await keeper.writer.open_term("benchmark")
        await keeper.writer.put_policy(POLICY, term=term)
        await keeper.writer.put_client(registration(scenario, POLICY), term=term)
        first = registration(scenario, POLICY)
        for begin in range(0, others, MAX_BATCH):
            batch = [other(first, number) for number in range(begin, min(begin + MAX_BATCH, others))]
            refused = [
                found for found in await keeper.writer.put_clients(batch, term=term) if isinstance(found, RegistryError)
            ]
            assert not refused, refused[0]
    finally:
        await keeper.close()


def registration(scenario: Scenario, policy: EffectivePolicy) -> ClientMetadata:
    """The scenario's client."""
    return ClientMetadata(
        client_id=CLIENT_ID,
        owner=Owner(namespace="shop", name="orders", uid="benchmark", generation=1, service_account="orders"),
        token_endpoint_auth_method="tls_client_auth",
        subject=parse_subject_rule(SubjectKind.URI, SUBJECT),
        trust_anchors=(TrustAnchor(der=scenario.client_authority.der, shared=True),),
        grant_types=("client_credentials",),
        scopes=(SCOPE,),
        resources=(),
        resource_server=None,
        certificate_bound=True,
        token_lifetime=None,
        suspended=False,
        policy=policy.hash,
    )


def other(client: ClientMetadata, number: int) -> ClientMetadata:
    """A further client of the same authority, told from its neighbours by `number`."""
    name = f"other-{number}"
    owner = replace(client.owner, name=name, uid=name, service_account=name)
    subject = parse_subject_rule(SubjectKind.URI, f"spiffe://cluster.local/ns/shop/sa/{name}")
    return replace(client, client_id=f"shop.{name}", owner=owner, subject=subject)


def database_url(registry: Path) -> str:
    """Of a registry file."""
    return f"sqlite+aiosqlite:///{registry}"
