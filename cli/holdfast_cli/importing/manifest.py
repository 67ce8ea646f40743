"""A foreign client as the OAuthClient that says the same, or why there is none.

Owns the way from RFC 7591's words to the manifest's, and what the caller has to decide: namespace, issuer or anchors. What
the API server or the operator would refuse does not get out. Neighbours: `foreign`, `holdfast.api`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from holdfast.api.v1alpha1.convert import duration
from holdfast.api.v1alpha1.validation import InvalidObject, apply_defaults_and_validate
from holdfast_cli.importing.foreign import ForeignClient, Left
from holdfast_operator.reconcile.ports import Kind, Object
from holdfast_operator.reconcile.request import read_request

_SECRET_METHODS = ("client_secret_basic", "client_secret_post", "client_secret_jwt")
_KEY_METHODS = ("self_signed_tls_client_auth", "private_key_jwt")
_LONGEST_NAME = 63  # of an OAuthClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What no export says. `issuer`: kind and name. `anchors`: name and key of a ConfigMap with CA certificates.

    `replace_secrets`: a client with a secret gets a certificate of `issuer` in its place. `trust_domain`: the operator's.
    """

    namespace: str
    trust_domain: str
    issuer: tuple[str, str] | None = None
    anchors: tuple[str, str] | None = None
    keep_ids: bool = True
    replace_secrets: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one client. `manifest` None: it was left out, for `refusal`. `own`: of the foreign server itself."""

    client_id: str
    manifest: Object | None
    refusal: str
    own: bool
    left: tuple[Left, ...]


class _Refused(Exception):
    """There can be no manifest of this client."""


def make_manifests(clients: Iterable[ForeignClient], choices: Choices) -> list[Outcome]:
    """One outcome for each client, in their order."""
    taken: dict[str, str] = {}
    return [_outcome(client, choices, taken) for client in clients]


def _outcome(client: ForeignClient, choices: Choices, taken: dict[str, str]) -> Outcome:
    manifest, told = None, list(client.left)
    refusal = "the foreign server's own client" if client.own else client.refusal
    if not refusal:
        try:
            manifest = _checked(_manifest(client, choices, taken), choices.trust_domain)
            told = list(client.left)
            taken[manifest["metadata"]["name"]] = client.client_id
        except _Refused as error:
            refusal = str(error)
    return Outcome(client_id=client.client_id, manifest=manifest, refusal=refusal, own=client.own, left=tuple(told))


def _manifest(client: ForeignClient, choices: Choices, taken: dict[str, str]) -> Object:
    name = _name(client, taken)
    spec: dict[str, Any] = {}
    if choices.keep_ids and client.client_id != f"{choices.namespace}.{name}":
        spec["clientId"] = client.client_id
        if not client.client_id.startswith(f"{choices.namespace}."):
            client.leave("spec.clientId", "kept: a policy's grants.allowedClientIds has to list it")
    spec |= _authentication(client, choices)
    spec["grantTypes"] = list(client.grant_types)
    spec |= {k: list(v) for k, v in (("scopes", client.scopes), ("resources", client.audiences)) if v}
    if tokens := _tokens(client):
        spec["tokens"] = tokens
    if client.suspended:
        spec["suspend"] = True
    kind = Kind.OAUTH_CLIENT
    metadata = {"name": name, "namespace": choices.namespace}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}


def _name(client: ForeignClient, taken: dict[str, str]) -> str:
    """The client id where it can be one, else as near as Kubernetes allows, and told. Raises _Refused."""
    name = re.sub(r"[^a-z0-9.-]+", "-", client.client_id.lower())
    name = ".".join(part.strip("-") for part in name.split(".") if part.strip("-"))
    if not name or len(name) > _LONGEST_NAME:
        raise _Refused(f"its id gives no name of at most {_LONGEST_NAME} letters, digits, '-' and '.'")
    if name in taken:
        raise _Refused(f"its name would be {name}, as that of client {taken[name]}: rename one of them first")
    if name != client.client_id:
        client.leave("metadata.name", f"{name}: the id is no name of a Kubernetes object")
    return name


def _authentication(client: ForeignClient, choices: Choices) -> dict[str, Any]:
    if client.method == "tls_client_auth":
        return _by_ca(client, choices)
    if client.method in _KEY_METHODS:
        return _by_keys(client)
    if client.method in _SECRET_METHODS:
        return _in_place_of_a_secret(client, choices)
    raise _Refused(f"token_endpoint_auth_method {client.method}: Holdfast has no such method")


def _by_ca(client: ForeignClient, choices: Choices) -> dict[str, Any]:
    """The subject is the client's; whose CA counts is not in the export."""
    if client.subject is None:
        raise _Refused("tls_client_auth without a subject: expected one of the five of RFC 8705 section 2.1.2")
    authentication: dict[str, Any] = {"method": client.method, "subject": dict((client.subject,))}
    if choices.anchors is not None:
        name, key = choices.anchors
        authentication["trustAnchors"] = [{"configMapKeyRef": {"name": name, "key": key}}]
    elif choices.issuer is None:
        raise _Refused("whose CA its certificate is of is not said: name --trust-anchors or --issuer")
    return {"authentication": authentication, **_certificate(choices)}


def _certificate(choices: Choices) -> dict[str, Any]:
    if choices.issuer is None:
        return {}
    kind, name = choices.issuer
    return {"certificate": {"issuerRef": {"name": name, "kind": kind}}}


def _by_keys(client: ForeignClient) -> dict[str, Any]:
    authentication: dict[str, Any] = {"method": client.method}
    if client.jwks_uri is not None:
        authentication["jwksUri"] = client.jwks_uri
    elif client.jwks is not None:
        authentication["jwks"] = dict(client.jwks)
    else:
        raise _Refused(f"{client.method} without keys: expected jwks or jwks_uri, found neither")
    if client.method == "private_key_jwt":
        client.leave("authentication.method", "private_key_jwt: a policy's authentication.allowedMethods has to list it")
        if client.signing_algorithm is not None:
            authentication["signingAlgorithm"] = client.signing_algorithm
    return {"authentication": authentication}


def _in_place_of_a_secret(client: ForeignClient, choices: Choices) -> dict[str, Any]:
    if not choices.replace_secrets or choices.issuer is None:
        raise _Refused(f"{client.method}: secrets are not carried over; --replace-secrets gives it a certificate instead")
    client.leave("authentication.method", f"{client.method}: it gets a certificate in place of its secret")
    return _certificate(choices)


def _tokens(client: ForeignClient) -> dict[str, Any]:
    tokens: dict[str, Any] = {}
    if client.lifetime is not None and _fits(client.lifetime):
        tokens["lifetime"] = client.lifetime
    elif client.lifetime is not None:
        client.leave("tokens.lifetime", f"{client.lifetime}: expected 1s to 24h, such as 1h30m; the server's default counts")
    if client.opaque:
        tokens["format"] = "Opaque"
    return tokens


def _fits(lifetime: str) -> bool:
    try:
        return timedelta(seconds=1) <= duration(lifetime) <= timedelta(hours=24)
    except ValueError:
        return False


def _checked(manifest: Object, trust_domain: str) -> Object:
    """Raises _Refused with what the API server, or the operator, would say."""
    try:
        settled = apply_defaults_and_validate(manifest)
    except InvalidObject as error:
        raise _Refused(str(error)) from error
    uid = {"uid": "not applied yet", "generation": 1}
    try:
        read_request({**settled, "metadata": {**settled["metadata"], **uid}}, trust_domain)
    except ValueError as error:
        raise _Refused(str(error)) from error
    return manifest
