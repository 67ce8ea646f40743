"""What each policy that matches a client says of it, by itself: for the client's own status and for the policies'.

Owns what is known of a client from its object alone, so that policies can count clients without reading each one's world.
Pure. Neighbours: `holdfast.policy.attribution` judges; `plan` asks for one client, `policy_plan` for all of them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from holdfast.oauth.client_metadata import ClientMetadata, TrustAnchor
from holdfast.policy.attribution import Breach, broken_by
from holdfast.policy.certificate import AskedCertificate
from holdfast.policy.model import Policy, PolicyMode
from holdfast_operator.reconcile.names import audiences, mapping
from holdfast_operator.reconcile.ports import Object
from holdfast_operator.reconcile.request import ClientRequest, asked_certificate, client_metadata, read_request
from holdfast_operator.reconcile.settings import ReconcileSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownClient:
    """`anchors`: names of its trust anchors, as its status shows them; none: not known yet.

    `thumbprint`: of its certificate, where cert-manager issued it.
    """

    metadata: ClientMetadata
    certificate: AskedCertificate | None
    anchors: tuple[str, ...] = ()
    thumbprint: str = ""


def known_client(client: Object, trust_domain: str) -> KnownClient | None:
    """None for one that cannot be read: that is its own status' to tell."""
    try:
        request = read_request(client, trust_domain)
    except ValueError:
        return None
    anchors, thumbprint = shown_certificate(client)
    return KnownClient(
        metadata=client_metadata(request, (), ""),
        certificate=asked_certificate(request),
        anchors=anchors,
        thumbprint=thumbprint,
    )


def shown_certificate(client: Object) -> tuple[tuple[str, ...], str]:
    """Names of the trust anchors and thumbprint of the certificate, as the client's status shows them."""
    shown = mapping(mapping(client.get("status")).get("certificate"))
    anchors = shown.get("trustAnchors")
    return tuple(map(str, anchors)) if isinstance(anchors, list | tuple) else (), str(shown.get("thumbprint") or "")


def breaches_of_known(
    client: KnownClient, policies: Iterable[Policy], settings: ReconcileSettings, owned: frozenset[str]
) -> tuple[Breach, ...]:
    """`policies`: accepted ones that match. `owned`: audiences that some client's resourceServer names."""
    return broken_by(
        client.metadata,
        client.certificate,
        policies,
        trust_domain=settings.trust_domain,
        cluster_domain=settings.cluster_domain,
        anchors=client.anchors,
        unowned=[r for r in client.metadata.resources if r not in owned],
        thumbprints=[client.thumbprint] if client.thumbprint else [],
    )


def breaches_of_request(
    request: ClientRequest,
    client: Object,
    policies: Iterable[Policy],
    settings: ReconcileSettings,
    anchors: tuple[TrustAnchor, ...],
    owners: Mapping[str, ClientMetadata | None],
    mode: PolicyMode,
) -> Iterator[Breach]:
    """Of policies in that mode; judged when they are looked at, which for most clients nobody does.

    `owners`: of those of the client's resources of which it is known whose they are; None: nobody's.
    """
    found = tuple(policies)
    if not any(policy.mode is mode for policy in found):
        return
    own = audiences(client)
    _, thumbprint = shown_certificate(client)
    yield from broken_by(
        client_metadata(request, () if request.by_keys else anchors, ""),
        asked_certificate(request),
        found,
        trust_domain=settings.trust_domain,
        cluster_domain=settings.cluster_domain,
        unowned=[resource for resource, owner in owners.items() if owner is None and resource not in own],
        thumbprints=[thumbprint] if thumbprint else [],
        modes=(mode,),
    )
