"""The status of an OAuthClient: what the operator observed of it.

Owns the form of every member. What is in it is the operator's to say. Neighbours: `oauth_client` (the spec),
`effective_policy` (what policies come to).
"""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from holdfast.api.v1alpha1.base import ATOMIC, UNSEEN, Condition, Part, map_list
from holdfast.api.v1alpha1.effective_policy import EffectivePolicyStatus
from holdfast.api.v1alpha1.fields import Thumbprint


class CertificateStatus(Part):
    """The certificate that the client is registered with."""

    secret_name: Annotated[str, Field(max_length=253)] = ""
    """Secret that holds it; empty when the client brings its own."""
    thumbprint: Thumbprint = ""
    """Its `x5t#S256` (RFC 8705 section 3.1). Of several that the client has registered itself, the one that ends last; empty
    where none is registered as such."""
    not_after: datetime | None = None
    """When it ends."""
    renewal_time: datetime | None = None
    """When cert-manager renews it."""
    subject: Annotated[str, Field(max_length=4096)] = ""
    """The subject rule in force, in canonical form."""
    trust_anchors: Annotated[
        tuple[Annotated[str, Field(max_length=64)], ...], Field(max_length=32, json_schema_extra=ATOMIC)
    ] = ()
    """SHA-256, in hex, of each CA certificate that its chain may end in, before policies leave some of them out."""


class RegistrationStatus(Part):
    """The registration as it was read back from the authorization server."""

    revision: Annotated[int | None, Field(ge=0, json_schema_extra={"format": "int64"})] = None
    """Revision of the registry in which the registration last changed."""
    last_sync_time: datetime | None = None
    """When the registration last changed."""


class EndpointsStatus(Part):
    """Where this client goes."""

    issuer: Annotated[str, Field(max_length=2048)] = ""
    """The authorization server's issuer identifier (RFC 8414)."""
    token_endpoint: Annotated[str, Field(max_length=2048)] = ""
    """Token endpoint on the mTLS host."""
    introspection_endpoint: Annotated[str, Field(max_length=2048)] = ""
    """Introspection endpoint on the mTLS host."""


class OAuthClientStatus(Part):
    """What was observed of the client."""

    observed_generation: Annotated[int | None, Field(ge=UNSEEN, json_schema_extra={"format": "int64"})] = None
    """metadata.generation that this status was made of; -1: nobody has looked yet."""
    client_id: Annotated[str, Field(max_length=253)] = ""
    """The `client_id` in force."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=32, json_schema_extra=map_list("type"))] = ()
    """Ready, Accepted, CertificateReady, Registered, TokenIssued; Reconciling and Stalled only while they are true."""
    certificate: CertificateStatus | None = None
    """The certificate that the client is registered with."""
    effective_policy: EffectivePolicyStatus | None = None
    """What all matching MTLSPolicy objects that are enforced come to."""
    registration: RegistrationStatus | None = None
    """The registration as it was read back."""
    endpoints: EndpointsStatus | None = None
    """Where this client goes."""
    last_token_time: datetime | None = None
    """When the client last got a token; written at most daily."""
