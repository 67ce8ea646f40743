"""Hypothesis strategies for policies that name any of all fields, and for clients that break some of them."""

from dataclasses import fields, replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from holdfast.policy.certificate import AskedCertificate
from holdfast.policy.model import AllowedSubjects, DnMatching, IssuerName, Policy, PolicyMode, RevocationMode
from holdfast.x509.subject import SubjectKind, parse_subject_rule
from tests.registry_conformance.registrations import a_client, an_anchor, an_api

UNHURRIED = settings(deadline=None)
"""An example has a hundred judgements in it, and the machine may be busy."""
METHODS = ("tls_client_auth", "self_signed_tls_client_auth", "private_key_jwt")
ANCHORS = (an_anchor("Workloads"), an_anchor("Partner", shared=False), an_anchor("Elsewhere", shared=False))
ISSUERS = (IssuerName(name="workloads"), IssuerName(name="vault"), IssuerName(name="own", kind="Issuer"))


def some(*values: str) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(values))


def tuples(*values: str) -> st.SearchStrategy[tuple[str, ...]]:
    return some(*values).map(lambda found: tuple(sorted(found)))


SUBJECTS = st.builds(
    AllowedSubjects,
    uris=tuples(
        "spiffe://cluster.local/ns/{namespace}/sa/*",
        "spiffe://cluster.local/ns/{namespace}/sa/{serviceAccount}",
        "https://x.org/*",
    ),
    dns_names=tuples("*.example.org", "{serviceAccount}.{namespace}.example.org"),
    ip_addresses=tuples("10.0.0.0/8"),
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "allowed_methods": some(*METHODS),
    "require_certificate_bound": st.booleans(),
    "max_lifetime": st.integers(1, 3600),
    "allowed_subjects": SUBJECTS,
    "allowed_issuers": st.frozensets(st.sampled_from(ISSUERS)),
    "allowed_resources": some("https://a.org", "https://b.org"),
    "allowed_audiences": some("https://a.org", "https://*.org"),
    "allowed_client_ids": some("legacy-*", "legacy-1"),
    "allowed_anchors": some(*(anchor.name for anchor in ANCHORS)),
    "min_rsa_bits": st.sampled_from([2048, 3072, 4096]),
    "min_ec_bits": st.sampled_from([224, 256, 384]),
    "max_certificate_duration": st.integers(1, 172_800),
    "require_client_auth_usage": st.booleans(),
    "dn_matching": st.sampled_from(DnMatching),
    "revocation": st.sampled_from(RevocationMode),
    "allowed_grant_types": some("client_credentials"),
    "allowed_scopes": some("*", "orders.*", "orders.read", "billing.read"),
    "denied_thumbprints": some("a" * 43, "b" * 43),
}
assert FIELDS.keys() | {"name", "mode"} == {field.name for field in fields(Policy)}, "a field that no property is tested on"

NAMES = st.sampled_from(["one", "two", "three", "four"])
COMPLETE = st.builds(Policy, name=NAMES, **FIELDS)
"""Policies that name every field."""
_PARTIAL = {name: values if name == "denied_thumbprints" else st.none() | values for name, values in FIELDS.items()}
ANY = st.builds(Policy, name=NAMES, **_PARTIAL)
"""Policies that name some fields, or none."""
TELLING = st.builds(replace, ANY, mode=st.sampled_from([PolicyMode.WARN, PolicyMode.AUDIT]))
"""Policies that are not enforced."""

CLIENTS = st.builds(
    lambda client, subject, method, **rest: replace(
        client, subject=subject if method == "tls_client_auth" else None, token_endpoint_auth_method=method, **rest
    ),
    st.sampled_from([a_client(), an_api(), an_api("shop", "orders", "https://a.org")]),
    st.sampled_from([
        parse_subject_rule(SubjectKind.URI, "spiffe://cluster.local/ns/shop/sa/orders"),
        parse_subject_rule(SubjectKind.URI, "spiffe://cluster.local/ns/fin/sa/orders"),
        parse_subject_rule(SubjectKind.DNS, "orders.shop.example.org"),
        parse_subject_rule(SubjectKind.IP, "10.1.1.1"),
    ]),
    st.sampled_from(METHODS),
    certificate_bound=st.booleans(),
    token_lifetime=st.none() | st.integers(1, 3600),
    client_id=st.sampled_from(["shop.orders", "legacy-1"]),
    scopes=tuples("orders.read", "billing.read"),
    resources=tuples("https://a.org", "https://b.org"),
    trust_anchors=st.lists(st.sampled_from(ANCHORS), min_size=1, unique=True).map(tuple),
)  # fmt: skip
CERTIFICATES = st.builds(
    AskedCertificate,
    issuer=st.sampled_from(ISSUERS),
    duration=st.none() | st.integers(3601, 172_800),
    default_duration=st.just(86_400),
    renew_before=st.none() | st.integers(1, 3600),
    algorithm=st.sampled_from(["RSA", "ECDSA"]),
    bits=st.none() | st.sampled_from([256, 384, 2048, 4096]),
)
"""What a client asks its issuer for; sizes that its algorithm has not are refused."""
