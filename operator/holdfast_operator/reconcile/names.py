"""How things are called that belong to a client, read from its object without parsing the rest of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.oauth.client_metadata import DeletionPolicy
from holdfast_operator.reconcile.ports import Kind, Object

CLIENT_LABEL = "holdfast.dev/client"
"""On a Certificate: the name of the OAuthClient it was asked for."""


def mapping(value: object) -> Mapping[str, Any]:
    """The value where it is an object, else an empty one: an object that cannot be parsed still has a name."""
    return value if isinstance(value, Mapping) else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """What a client refers to. `issuer` and `secret_name`: None when it brings its own certificate.

    `resources`: audiences, which may be another client's.
    """

    issuer: tuple[Kind, str] | None
    secret_name: str | None
    config_maps: frozenset[str]
    resources: frozenset[str]


def references(client: Object) -> References:
    """Read leniently: what a client that cannot be parsed refers to may be what is wrong with it."""
    spec = mapping(client.get("spec"))
    config_maps, resources = frozenset(_config_maps(spec)), _texts(spec.get("resources"))
    certificate = spec.get("certificate")
    if not isinstance(certificate, Mapping):
        return References(issuer=None, secret_name=None, config_maps=config_maps, resources=resources)
    issuer = mapping(certificate.get("issuerRef"))
    kind = Kind.ISSUER if issuer.get("kind") == Kind.ISSUER.kind else Kind.CLUSTER_ISSUER
    secret = certificate.get("secretName") or f"{client['metadata']['name']}-mtls"
    named = (kind, str(issuer.get("name") or ""))
    return References(issuer=named, secret_name=str(secret), config_maps=config_maps, resources=resources)


def audiences(client: Object) -> frozenset[str]:
    """What the client would own as an API."""
    return _texts(mapping(mapping(client.get("spec")).get("resourceServer")).get("audiences"))


def _texts(value: object) -> frozenset[str]:
    return frozenset(v for v in value if isinstance(v, str)) if isinstance(value, list) else frozenset()


def _config_maps(spec: Mapping[str, Any]) -> Iterator[str]:
    anchors = mapping(spec.get("authentication")).get("trustAnchors")
    for anchor in anchors if isinstance(anchors, list) else ():
        if name := mapping(mapping(anchor).get("configMapKeyRef")).get("name"):
            yield str(name)


def client_id_of(client: Object) -> str:
    """The id its registration has: the one in force, else the one it will get."""
    metadata = client["metadata"]
    in_force = mapping(client.get("status")).get("clientId")
    chosen = mapping(client.get("spec")).get("clientId")
    return str(in_force or chosen or f"{metadata['namespace']}.{metadata['name']}")


def deletion_policy_of(client: Object) -> DeletionPolicy:
    """What is to become of its registration with it, read as the rest of this is."""
    return DeletionPolicy.ORPHAN if mapping(client.get("spec")).get("deletionPolicy") == "Orphan" else DeletionPolicy.DELETE


def owner_reference(client: Object) -> dict[str, Any]:
    """What makes the garbage collector take a child with its client."""
    metadata = client["metadata"]
    return {
        "apiVersion": Kind.OAUTH_CLIENT.api_version,
        "kind": Kind.OAUTH_CLIENT.kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def was_a_namesakes(child: Object, client: Object) -> bool:
    """Whether a deleted client of this name controlled the child, which the garbage collector has yet to take."""
    references = child["metadata"].get("ownerReferences") or ()
    name, uid = client["metadata"]["name"], client["metadata"]["uid"]
    return any(
        r.get("controller")
        and (r.get("apiVersion"), r.get("kind")) == (Kind.OAUTH_CLIENT.api_version, Kind.OAUTH_CLIENT.kind)
        and (r.get("name"), r.get("uid") != uid) == (name, True)
        for r in references
    )


def is_owned_by(child: Object, client: Object) -> bool:
    """Whether this very client controls the child."""
    references = child["metadata"].get("ownerReferences") or ()
    return any(r.get("uid") == client["metadata"]["uid"] and r.get("controller") for r in references)
