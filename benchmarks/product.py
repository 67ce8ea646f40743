"""The real authorization server in the scenario: its own process, its own start, a registry that holds the client.

Owns how the scenario's client becomes a registration. Must not know what is measured. Neighbours: `scenario`, `floor`.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from benchmarks.scenario import CLIENT_ID, SCOPE, SUBJECT, Scenario
from holdfast.clock import system_clock
from holdfast.oauth.client_metadata import ClientMetadata, Owner, TrustAnchor
from holdfast.policy.model import EffectivePolicy
from holdfast.x509.subject import SubjectKind, parse_subject_rule
from holdfast_authserver.registry.keeper import RegistryKeeper


def environment(scenario: Scenario) -> Mapping[str, str]:
    """Settings of `holdfast authserver`: as it ships, with ports and paths of this run."""
    return {
        **os.environ,
        "HOLDFAST_PUBLIC_PORT": "0",
        "HOLDFAST_MTLS_PORT": "0",
        "HOLDFAST_PUBLIC_TLS_CERT_FILE": str(scenario.server("tls.crt")),
        "HOLDFAST_PUBLIC_TLS_KEY_FILE": str(scenario.server("tls.key")),
        "HOLDFAST_DATABASE_URL": _database_url(scenario.folder),
        "HOLDFAST_KEYS_DIR": str(scenario.folder / "keys"),
        "HOLDFAST_AUDIT_LOG": str(scenario.folder / "audit.jsonl"),
        "HOLDFAST_STARTUP_HOLD": "0",  # no operator confirms the registry here
    }


async def register(scenario: Scenario) -> None:
    """Writes the scenario's client into the registry file, as the operator's port does."""
    keeper = await RegistryKeeper.open(_database_url(scenario.folder), system_clock)
    try:
        term = await keeper.writer.open_term("benchmark")
        policy = EffectivePolicy(trust_domain="cluster.local", cluster_domain="cluster.local")
        await keeper.writer.put_policy(policy, term=term)
        await keeper.writer.put_client(_client(scenario, policy), term=term)
    finally:
        await keeper.close()


def _client(scenario: Scenario, policy: EffectivePolicy) -> ClientMetadata:
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


def _database_url(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{folder / 'registry.db'}"
