"""`status.effectivePolicy` of an OAuthClient: which policies are enforced on it, and what they come to.

Owns the form of what people look up before they ask the platform: how long, how large, which methods, which subjects. A
member that is absent is limited by no policy. Neighbour: `oauth_client_status`, which it is part of.
"""

from typing import Annotated

from pydantic import Field

from holdfast.api.v1alpha1.base import ATOMIC, ATOMIC_MAP, Part

_Value = Annotated[str, Field(max_length=1024)]
_Values = Annotated[tuple[_Value, ...] | None, Field(max_length=256, json_schema_extra=ATOMIC)]
_Patterns = Annotated[tuple[_Value, ...], Field(max_length=64, json_schema_extra=ATOMIC)]


class EffectiveSubjects(Part):
    """Subjects that one policy allows, with the client's namespace and ServiceAccount filled in."""

    uris: _Patterns = ()
    """URIs; `*` stands for one segment of the path."""
    dns_names: _Patterns = ()
    """DNS names; `*` stands for one label."""
    ip_addresses: _Patterns = ()
    """IP addresses, as CIDRs."""
    email_addresses: _Patterns = ()
    """E-mail addresses."""
    distinguished_names: _Patterns = ()
    """Trailing RDNs."""


class EffectiveKey(Part):
    """How large a key has to be."""

    rsa_bits: Annotated[int | None, Field(json_schema_extra={"format": "int32"})] = None
    """Bits of an RSA key."""
    ec_bits: Annotated[int | None, Field(json_schema_extra={"format": "int32"})] = None
    """Bits of the curve of an EC key."""


class EffectivePolicyStatus(Part):
    """What all matching MTLSPolicy objects that are enforced come to."""

    names: Annotated[tuple[Annotated[str, Field(max_length=253)], ...], Field(max_length=256, json_schema_extra=ATOMIC)] = ()
    """Names of the policies that match and are enforced, sorted."""
    hash: Annotated[str, Field(max_length=128)] = ""
    """Hash of the effective policy."""
    allowed_methods: _Values = None
    """Methods that the client may authenticate with."""
    require_certificate_bound: bool | None = None
    """Whether its tokens have to be bound to a certificate."""
    max_lifetime: Annotated[str, Field(max_length=28)] = ""
    """The longest lifetime that its tokens may have."""
    allowed_grant_types: _Values = None
    """Grants that it may list."""
    allowed_scopes: _Values = None
    """Scopes that it may list; `*` at the end stands for any ending."""
    allowed_issuers: _Values = None
    """Issuers that it may name, as kind and name."""
    allowed_subjects: Annotated[tuple[EffectiveSubjects, ...] | None, Field(max_length=64, json_schema_extra=ATOMIC)] = None
    """Subjects that it may claim: each entry is what one policy allows, and every entry has to allow it."""
    minimum_key: Annotated[EffectiveKey | None, Field(json_schema_extra=ATOMIC_MAP)] = None
    """The smallest keys that its certificate may have."""
    max_duration: Annotated[str, Field(max_length=28)] = ""
    """The longest that its certificate may be valid."""
    require_client_auth_usage: bool | None = None
    """Whether its certificate has to name clientAuth in the extended key usage."""
    dn_matching: Annotated[str, Field(max_length=16)] = ""
    """How a subject `dn` is compared."""
    revocation: Annotated[str, Field(max_length=16)] = ""
    """Whether its certificate is looked up in CRLs."""
