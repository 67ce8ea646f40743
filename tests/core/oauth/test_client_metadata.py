"""A registration as JSON: read as it was written, and every problem of a spoiled one named at once."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.oauth.client_metadata import (
    SUBJECT_MEMBERS,
    AllowedRequester,
    ClientMetadata,
    InvalidClientMetadata,
    Owner,
    ResourceServer,
    TrustAnchor,
    to_json,
)
from holdfast.oauth.client_metadata_reader import from_json
from holdfast.x509.subject import SubjectKind, SubjectRule, parse_subject_rule

SUBJECTS = [
    parse_subject_rule(SubjectKind.DN, "CN=orders,O=Shop"),
    parse_subject_rule(SubjectKind.DNS, "orders.example.org"),
    parse_subject_rule(SubjectKind.URI, "spiffe://cluster.local/ns/shop/sa/orders"),
    parse_subject_rule(SubjectKind.IP, "2001:db8::1"),
    parse_subject_rule(SubjectKind.EMAIL, "orders@example.org"),
]
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
TOKEN = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=10)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
COUNT = st.integers(0, 2**63 - 1)
CLIENTS = st.builds(
    ClientMetadata,
    client_id=TEXT,
    owner=st.builds(Owner, namespace=TEXT, name=TEXT, uid=TEXT, generation=COUNT, service_account=TEXT),
    token_endpoint_auth_method=TEXT,
    subject=st.none() | st.sampled_from(SUBJECTS),
    trust_anchors=st.lists(st.builds(TrustAnchor, der=st.binary(max_size=50), shared=st.booleans()), max_size=3).map(tuple),
    grant_types=TEXTS,
    scopes=st.lists(TOKEN, max_size=3).map(tuple),
    resources=TEXTS,
    resource_server=st.none()
    | st.builds(
        ResourceServer,
        audiences=TEXTS,
        allow_from=st.none()
        | st.lists(st.builds(AllowedRequester, namespace=TEXT, client=TEXT, scopes=TEXTS), max_size=2).map(tuple),
    ),
    certificate_bound=st.booleans(),
    token_lifetime=st.none() | COUNT,
    suspended=st.booleans(),
    policy=TEXT,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


def _client(subject: SubjectRule = SUBJECTS[2]) -> ClientMetadata:
    return ClientMetadata(
        client_id="shop.orders",
        owner=Owner(namespace="shop", name="orders", uid="u", generation=3, service_account="orders"),
        token_endpoint_auth_method="tls_client_auth",
        subject=subject,
        trust_anchors=(TrustAnchor(der=b"der", shared=True),),
        grant_types=("client_credentials",),
        scopes=("orders.read", "orders.write"),
        resources=("https://billing.fin.svc",),
        resource_server=ResourceServer(
            audiences=("https://orders.shop.svc",),
            allow_from=(AllowedRequester(namespace="web", client="*", scopes=("orders.read",)),),
        ),
        certificate_bound=True,
        token_lifetime=300,
        suspended=False,
        policy="hash",
    )


@given(CLIENTS)
def test_a_registration_survives_its_json(client: ClientMetadata) -> None:
    assert from_json(json.loads(json.dumps(to_json(client)))) == client


@given(JSON)
def test_nothing_but_a_registration_is_read(value: Any) -> None:
    with pytest.raises(InvalidClientMetadata):
        from_json(value)


PATHS = [
    ("client_id",), ("token_endpoint_auth_method",), ("grant_types",), ("scope",), ("tls_client_auth_san_uri",),
    ("tls_client_certificate_bound_access_tokens",), ("holdfast",), ("holdfast", "owner"),
    ("holdfast", "owner", "namespace"),
    ("holdfast", "owner", "generation"), ("holdfast", "trust_anchors"), ("holdfast", "trust_anchors", 0),
    ("holdfast", "trust_anchors", 0, "x5c"), ("holdfast", "trust_anchors", 0, "shared"), ("holdfast", "resources"),
    ("holdfast", "resources", 0), ("holdfast", "resource_server"), ("holdfast", "resource_server", "audiences"),
    ("holdfast", "resource_server", "allow_from"), ("holdfast", "resource_server", "allow_from", 0),
    ("holdfast", "resource_server", "allow_from", 0, "scopes"), ("holdfast", "token_lifetime"), ("holdfast", "suspended"),
    ("holdfast", "policy"),
]  # fmt: skip


@given(st.sampled_from(PATHS), JSON)
def test_a_spoiled_member_is_a_problem_or_a_value(path: tuple[Any, ...], odd: Any) -> None:
    """Never another exception: what comes over a wire ends in an answer."""
    value: Any = to_json(_client())
    member = value
    for key in path[:-1]:
        member = member[key]
    member[path[-1]] = odd

    try:
        client = from_json(value)
    except InvalidClientMetadata:
        return
    assert from_json(to_json(client)) == client


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda rule: rule.kind)
def test_a_subject_has_the_registered_member_name(subject: SubjectRule) -> None:
    """RFC 8705 section 2.1.2."""
    value = to_json(_client(subject))

    assert value[SUBJECT_MEMBERS[subject.kind]] == subject.value
    assert [member for member in value if member.startswith("tls_client_auth_")] == [SUBJECT_MEMBERS[subject.kind]]
    assert from_json(value).subject == subject


def test_two_subjects_are_one_too_many() -> None:
    """RFC 8705 section 2.1.2: exactly one."""
    value = {**to_json(_client()), "tls_client_auth_san_dns": "a.example.org"}

    with pytest.raises(InvalidClientMetadata, match="exactly one subject member"):
        from_json(value)


def test_every_problem_is_named_with_expected_and_found() -> None:
    value = to_json(_client())
    value["grant_types"] = "client_credentials"
    value["tls_client_auth_san_uri"] = "no uri"
    value["holdfast"]["owner"]["generation"] = True
    value["holdfast"]["trust_anchors"][0]["x5c"] = "%%%"
    value["holdfast"]["resource_server"]["allow_from"][0]["client"] = ""
    del value["holdfast"]["policy"]

    with pytest.raises(InvalidClientMetadata) as refused:
        from_json(value)

    assert {p.field for p in refused.value.problems} == {
        "grant_types",
        "tls_client_auth_san_uri",
        "holdfast.owner.generation",
        "holdfast.trust_anchors[0].x5c",
        "holdfast.resource_server.allow_from[0].client",
        "holdfast.policy",
    }
    assert all("expected" in p.message and "found" in p.message for p in refused.value.problems)


def test_a_generation_that_no_store_can_hold_is_refused() -> None:
    value = to_json(_client())
    value["holdfast"]["owner"]["generation"] = 2**63

    with pytest.raises(InvalidClientMetadata, match=r"holdfast\.owner\.generation"):
        from_json(value)


def test_the_digest_is_over_content_and_not_over_order_of_writes() -> None:
    client = _client()

    assert replace(client, owner=replace(client.owner, generation=9)).digest == client.digest
    assert replace(client, owner=replace(client.owner, uid="other")).digest != client.digest


@pytest.mark.parametrize("changes", [
    {"client_id": "x"}, {"token_endpoint_auth_method": "x"}, {"subject": SUBJECTS[0]}, {"trust_anchors": ()},
    {"trust_anchors": (TrustAnchor(der=b"der", shared=False),)}, {"grant_types": ()}, {"scopes": ("orders.read",)},
    {"resources": ()}, {"resource_server": None}, {"certificate_bound": False}, {"token_lifetime": None},
    {"suspended": True}, {"policy": "other"},
])  # fmt: skip
def test_the_digest_changes_with_all_that_matters_to_a_token(changes: dict[str, Any]) -> None:
    assert replace(_client(), **changes).digest != _client().digest


def test_an_anchor_is_standard_base64_of_its_der() -> None:
    (anchor,) = to_json(_client())["holdfast"]["trust_anchors"]

    assert anchor == {"x5c": base64.b64encode(b"der").decode(), "shared": True}
