"""Registrations to write in tests: every field has a plausible value, and each test changes the one it is about."""

from dataclasses import replace
from functools import cache
from typing import Any

from holdfast.oauth.client_metadata import ClientMetadata, Owner, ResourceServer, TrustAnchor
from holdfast.policy.model import EffectivePolicy, Policy
from holdfast.policy.resolve import resolve
from holdfast.x509.subject import SubjectKind, parse_subject_rule
from tests.core.x509.authority import Authority


@cache
def authority(name: str = "Workloads") -> Authority:
    return Authority.root(f"CN={name}")


def a_policy(*policies: Policy) -> EffectivePolicy:
    return resolve(policies, trust_domain="cluster.local", cluster_domain="cluster.local")


BUILT_IN = a_policy()


def an_anchor(name: str = "Workloads", *, shared: bool = True) -> TrustAnchor:
    return TrustAnchor(der=authority(name).certificate.der, shared=shared)


def a_client(
    namespace: str = "shop", name: str = "orders", *, uid: str = "", generation: int = 1, **changes: Any
) -> ClientMetadata:
    client = ClientMetadata(
        client_id=f"{namespace}.{name}",
        owner=Owner(
            namespace=namespace, name=name, uid=uid or f"uid-{namespace}-{name}", generation=generation, service_account=name
        ),
        token_endpoint_auth_method="tls_client_auth",
        subject=parse_subject_rule(SubjectKind.URI, f"spiffe://cluster.local/ns/{namespace}/sa/{name}"),
        trust_anchors=(an_anchor(),),
        grant_types=("client_credentials",),
        scopes=("orders.read",),
        resources=(),
        resource_server=None,
        certificate_bound=True,
        token_lifetime=None,
        suspended=False,
        policy=BUILT_IN.hash,
    )
    return replace(client, **changes)


def an_api(namespace: str = "shop", name: str = "orders", *audiences: str, **changes: Any) -> ClientMetadata:
    """A client that owns audiences; by default the one its namespace has by right."""
    owned = audiences or (f"https://{name}.{namespace}.svc",)
    return a_client(namespace, name, resource_server=ResourceServer(audiences=owned, allow_from=None), **changes)
