"""A registration as the OAuthClient that would make it, with the ConfigMap that holds its trust anchors.

Owns the way back from `ClientMetadata`. What the registry does not hold is the caller's to say: which issuer a certificate
comes from. Policies cannot be had back: the registry has what they come to. Neighbour: `holdfast_operator.reconcile.request`
goes the other way.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from holdfast.oauth.client_metadata import ClientMetadata, DeletionPolicy, TokenFormat
from holdfast.oauth.jwks import Jwk
from holdfast.registry.port import Registry
from holdfast.x509.certificate import Certificate
from holdfast_operator.reconcile.ports import Kind, Object
from holdfast_operator.reconcile.publishing import REVISION, is_published

_BATCH = 100
"""Registrations asked for at a time."""
_KEY = "ca.crt"
_DEFAULT_METHOD = "tls_client_auth"

Issuer = tuple[str, str]
"""Kind and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """`objects`: of one registration. `notes`: what has to be looked at before they are applied."""

    objects: tuple[Object, ...]
    notes: tuple[str, ...] = ()


async def export_registrations(
    registry: Registry, namespaces: Collection[str], issuer: Issuer | None, trust_domain: str
) -> list[Exported]:
    """By namespace and name. Raises RegistryUnavailable."""
    listed = [s for s in await registry.list_clients() if not namespaces or s.owner.namespace in namespaces]
    ids = [s.client_id for s in sorted(listed, key=lambda s: (s.owner.namespace, s.owner.name, s.client_id))]
    found: list[Exported] = []
    for start in range(0, len(ids), _BATCH):
        stored = await registry.get_clients(ids[start : start + _BATCH])
        found += [export_registration(s.metadata, issuer, trust_domain) for s in stored if s is not None]
    return found


def export_registration(client: ClientMetadata, issuer: Issuer | None, trust_domain: str) -> Exported:
    """The client, after the ConfigMap that it refers to."""
    owner = client.owner
    publishes = any(is_published(key) for key in client.jwks or ())
    is_issued = publishes or any(anchor.shared for anchor in client.trust_anchors)
    issued_by = issuer if is_issued else None
    anchors = _config_map(client) if client.trust_anchors and issued_by is None else None
    spec = {
        **_identity(client),
        **_authentication(client, anchors, _spiffe_id(client, trust_domain) if issued_by else None),
        **({"certificate": {"issuerRef": {"name": issued_by[1], "kind": issued_by[0]}}} if issued_by else {}),
        **_grants(client),
    }
    made = _object(Kind.OAUTH_CLIENT, owner.namespace, owner.name, spec=spec)
    notes = tuple(_notes(client, lost_issuer=is_issued and issuer is None, publishes=publishes))
    return Exported(objects=(made,) if anchors is None else (anchors, made), notes=notes)


def _notes(client: ClientMetadata, *, lost_issuer: bool, publishes: bool) -> Iterator[str]:
    who = f"{client.owner.namespace}/{client.owner.name}"
    if lost_issuer and publishes:
        yield f"{who}: written with the keys of its certificates, which no renewal replaces then; name the issuer: --issuer"
    elif lost_issuer:
        yield f"{who}: written as one that brings its own certificate; if cert-manager issues it, name the issuer: --issuer"
    if client.owner.is_gone:
        yield f"{who}: its object is gone; this one takes {client.client_id} over when it is applied"


def _identity(client: ClientMetadata) -> dict[str, Any]:
    owner, spec = client.owner, {}
    if client.client_id != f"{owner.namespace}.{owner.name}":
        spec["clientId"] = client.client_id
    if owner.service_account != owner.name:
        spec["serviceAccountName"] = owner.service_account
    return spec


def _spiffe_id(client: ClientMetadata, trust_domain: str) -> str:
    return f"spiffe://{trust_domain}/ns/{client.owner.namespace}/sa/{client.owner.service_account}"


def _authentication(client: ClientMetadata, anchors: Object | None, issued: str | None) -> dict[str, Any]:
    """`issued`: the subject that a certificate of an issuer has by itself; neither that nor its keys need to be written."""
    found: dict[str, Any] = {}
    if client.token_endpoint_auth_method != _DEFAULT_METHOD:
        found["method"] = client.token_endpoint_auth_method
    if client.subject is not None and client.subject.value != issued:
        found["subject"] = {client.subject.kind.value: client.subject.value}
    if anchors is not None:
        found["trustAnchors"] = [{"configMapKeyRef": {"name": anchors["metadata"]["name"], "key": _KEY}}]
    if client.jwks is not None and issued is None:
        found["jwks"] = {"keys": [_own_key(key) for key in client.jwks]}
    if client.jwks_uri is not None:
        found["jwksUri"] = client.jwks_uri
    if client.token_endpoint_auth_signing_alg is not None:
        found["signingAlgorithm"] = client.token_endpoint_auth_signing_alg
    if client.accept_expired_certificate:
        found["acceptExpiredCertificate"] = True
    return {"authentication": found} if found else {}


def _own_key(key: Jwk) -> dict[str, Any]:
    """As the client would name it, whoever made it."""
    return {name: value for name, value in key.to_json().items() if name != REVISION}


def _grants(client: ClientMetadata) -> dict[str, Any]:
    """Everything after authentication, as far as it differs from the defaults."""
    spec: dict[str, Any] = {"adoptionPolicy": "IfUnowned"} if client.owner.is_gone else {}
    if client.grant_types != ("client_credentials",):
        spec["grantTypes"] = list(client.grant_types)
    if client.scopes:
        spec["scopes"] = list(client.scopes)
    if client.resources:
        spec["resources"] = list(client.resources)
    if server := _resource_server(client):
        spec["resourceServer"] = server
    if tokens := _tokens(client):
        spec["tokens"] = tokens
    if client.suspended:
        spec["suspend"] = True
    if client.deletion_policy is not DeletionPolicy.DELETE:
        spec["deletionPolicy"] = client.deletion_policy.value
    return spec


def _resource_server(client: ClientMetadata) -> dict[str, Any]:
    server = client.resource_server
    if server is None:
        return {}
    found: dict[str, Any] = {"audiences": list(server.audiences)}
    if server.allow_from is not None:
        found["allowFrom"] = [
            {"namespace": a.namespace, "client": a.client, **({"scopes": list(a.scopes)} if a.scopes else {})}
            for a in server.allow_from
        ]
    if client.introspection_signed_response_alg is not None:
        found["introspectionSigningAlgorithm"] = client.introspection_signed_response_alg
    return found


def _tokens(client: ClientMetadata) -> dict[str, Any]:
    tokens: dict[str, Any] = {}
    if not client.certificate_bound:
        tokens["certificateBound"] = False
    if client.token_lifetime is not None:
        tokens["lifetime"] = f"{client.token_lifetime}s"
    if client.token_format is not TokenFormat.JWT:
        tokens["format"] = client.token_format.value
    return tokens


def _config_map(client: ClientMetadata) -> Object:
    pem = "".join(Certificate.from_der(anchor.der).pem.decode() for anchor in client.trust_anchors)
    return _object(Kind.CONFIG_MAP, client.owner.namespace, f"{client.owner.name}-trust-anchors", data={_KEY: pem})


def _object(kind: Kind, namespace: str, name: str, **content: Any) -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **content}
