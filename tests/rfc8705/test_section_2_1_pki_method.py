"""RFC 8705 section 2.1: `tls_client_auth`, a path to an anchor of this client and the subject of the leaf."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from holdfast.oauth.client_metadata import TrustAnchor
from holdfast.policy.model import AllowedSubjects, EffectivePolicy
from holdfast.x509.subject import SubjectKind, parse_subject_rule
from tests.authserver.running import RunningServer, client, spiffe_id, token_form
from tests.core.x509.authority import DAY, NOW, Authority, Issued, key_usage
from tests.rfc8705.expectations import assert_failed_authentication

pytestmark = pytest.mark.asyncio(loop_scope="module")
URI = spiffe_id("shop.orders")
ANY_SUBJECT = EffectivePolicy(
    trust_domain="cluster.local",
    cluster_domain="cluster.local",
    allowed_subjects=(
        AllowedSubjects(
            uris=("spiffe://cluster.local/ns/{namespace}/sa/*", "https://orders.example"),
            dns_names=("*.example",),
            ip_addresses=("192.0.2.0/24", "2001:db8::/32"),
            email_addresses=("*@example.org",),
            distinguished_names=("O=Example",),
        ),
    ),
)


async def _assert_refused(server: RunningServer, certificate: Issued) -> None:
    assert_failed_authentication(await server.token(certificate))


async def test_m11_a_certificate_of_a_foreign_ca_with_the_right_subject_is_refused(server: RunningServer) -> None:
    await _assert_refused(server, Authority.root("CN=Workloads Root").issue(uris=[URI]))


async def test_m11_a_self_signed_certificate_is_refused(server: RunningServer) -> None:
    await _assert_refused(server, Authority.root("CN=me").issue(uris=[URI]))


async def test_m11_a_chain_without_its_intermediate_is_refused_and_with_it_accepted(server: RunningServer) -> None:
    issued = server.ca.intermediate().issue(uris=[URI])

    await _assert_refused(server, replace(issued, chain=()))
    assert (await server.token(issued)).status_code == 200


async def test_m12_only_the_leaf_is_matched(server: RunningServer) -> None:
    """An intermediate with the victim's subject in the presented chain does not help (CVE-2023-2422)."""
    own = server.ca.issue(uris=[spiffe_id("shop.cart")])
    victim = server.certificate("shop.orders")

    await _assert_refused(server, replace(own, chain=(victim.certificate,)))


@pytest.mark.parametrize("value", [URI + "/x", URI[:-1], URI.upper(), "spiffe://cluster.local/ns/shop/sa/Orders"])
async def test_m13_another_subject_value_is_refused(server: RunningServer, value: str) -> None:
    await _assert_refused(server, server.ca.issue(uris=[value]))


RULES: list[tuple[SubjectKind, str, dict[str, Any]]] = [
    (SubjectKind.DN, "CN=orders,O=Example", {"subject_dn": "CN=orders,O=Example"}),
    (SubjectKind.DNS, "orders.example", {"dns": ["orders.example"]}),
    (SubjectKind.URI, "https://orders.example", {"uris": ["https://orders.example"]}),
    (SubjectKind.IP, "192.0.2.7", {"ips": ["192.0.2.7"]}),
    (SubjectKind.EMAIL, "orders@example.org", {"emails": ["orders@example.org"]}),
]


@pytest.mark.parametrize(("kind", "value", "names"), RULES, ids=[r[0] for r in RULES])
async def test_m15_each_subject_kind_accepts_its_own_and_refuses_the_others(
    server: RunningServer, kind: SubjectKind, value: str, names: dict[str, Any]
) -> None:
    rule = parse_subject_rule(kind, value)
    client_id = f"shop.by-{kind}"
    await server.put(client(client_id, anchors=[server.ca], subject=rule), ANY_SUBJECT)

    assert (await server.token(server.ca.issue(**names), client_id)).status_code == 200
    for other_kind, _, other_names in RULES:
        if other_kind != kind:
            assert_failed_authentication(await server.token(server.ca.issue(**other_names), client_id))


@pytest.mark.parametrize(
    "dn",
    ["CN=orders", "O=Example,CN=orders", "CN=orders,O=Example,C=DE", "CN=orders.evil,O=Example", "CN=orders\\,O\\=Example"],
)
async def test_m14_a_dn_is_compared_rdn_by_rdn(server: RunningServer, dn: str) -> None:
    rule = parse_subject_rule(SubjectKind.DN, "CN=orders,O=Example")
    await server.put(client("shop.by-name", anchors=[server.ca], subject=rule), ANY_SUBJECT)

    assert_failed_authentication(await server.token(server.ca.issue(dn), "shop.by-name"))


async def test_m16_the_common_name_does_not_stand_in_for_a_san(server: RunningServer) -> None:
    rule = parse_subject_rule(SubjectKind.DNS, "cn.example")
    await server.put(client("shop.by-cn", anchors=[server.ca], subject=rule), ANY_SUBJECT)

    assert_failed_authentication(await server.token(server.ca.issue("CN=cn.example"), "shop.by-cn"))


@pytest.mark.parametrize(
    ("not_before", "not_after"), [(NOW - 2 * DAY, NOW - DAY), (NOW + DAY, NOW + 2 * DAY)], ids=["expired", "not yet"]
)
async def test_m17_a_leaf_outside_its_validity_is_refused(
    server: RunningServer, not_before: datetime, not_after: datetime
) -> None:
    await _assert_refused(server, server.ca.issue(uris=[URI], not_before=not_before, not_after=not_after))


async def test_m17_a_leaf_that_begins_within_the_skew_is_accepted(server: RunningServer) -> None:
    """An issuer's clock is a little ahead: 5 s are allowed for."""
    ahead = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=4)

    assert (await server.token(server.ca.issue(uris=[URI], not_before=ahead))).status_code == 200


async def test_m17_an_expired_issuer_is_refused(server: RunningServer) -> None:
    expired = server.ca.intermediate(not_after=NOW - timedelta(hours=1))

    await _assert_refused(server, expired.issue(uris=[URI], not_after=NOW + DAY))


_SIGNS = key_usage(digital_signature=True, key_cert_sign=True)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"usages": [ExtendedKeyUsageOID.SERVER_AUTH]}, id="m18 server only"),
        pytest.param({"usages": [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]}, id="m18 any"),
        pytest.param({"digital_signature": False}, id="m19 no digitalSignature"),
        pytest.param({"ca": True}, id="m20 a CA"),
        pytest.param({"digital_signature": None, "extra": [(_SIGNS, True)]}, id="m20 may sign certificates"),
        pytest.param(
            {"extra": [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"), True)]},
            id="m21 unknown critical extension",
        ),
    ],
)
async def test_a_leaf_that_may_not_be_a_clients_is_refused(server: RunningServer, changes: dict[str, Any]) -> None:
    """Usages, a CA, an unknown critical extension (M-18, M-19, M-20, M-21)."""
    await _assert_refused(server, server.ca.issue(uris=[URI], **changes))


async def test_m18_a_leaf_without_extended_key_usage_may_be_used_for_anything(server: RunningServer) -> None:
    assert (await server.token(server.ca.issue(uris=[URI], client_auth=False))).status_code == 200


async def test_m24_a_weak_key_is_refused_as_json(server: RunningServer) -> None:
    """The client has to be told to use one at all; the server's TLS layer leaves the judgement to the application."""
    weak = server.ca.issue(uris=[URI], key=rsa.generate_private_key(65537, 1024))
    async with server.http(weak, ciphers="DEFAULT:@SECLEVEL=0") as http:
        response = await http.post(server.token_endpoint, data=token_form())

    assert_failed_authentication(response)


async def test_m21_name_constraints_are_enforced(server: RunningServer) -> None:
    elsewhere = x509.NameConstraints([x509.DNSName("elsewhere.example")], None)
    constrained = server.ca.intermediate("CN=Constrained", constraints=elsewhere)

    await _assert_refused(server, constrained.issue(uris=[URI], dns=["orders.example"]))


async def test_m21_path_length_is_enforced(server: RunningServer) -> None:
    last = server.ca.intermediate("CN=One", path_length=0).intermediate("CN=Two")

    await _assert_refused(server, last.issue(uris=[URI]))


async def test_m23_a_renewed_certificate_of_the_same_subject_works_at_once(server: RunningServer) -> None:
    old, new = server.certificate(), server.certificate()

    thumbprints = [
        (await server.introspect(c, (await server.token(c)).json()["access_token"]))["cnf"]["x5t#S256"] for c in (old, new)
    ]

    assert thumbprints == [old.certificate.x5t_s256, new.certificate.x5t_s256]


async def test_m80_a_client_without_a_usable_anchor_is_refused(server: RunningServer) -> None:
    await server.put(client("shop.lonely", anchors=[Authority.root("CN=Elsewhere")]))

    assert_failed_authentication(await server.token(server.certificate("shop.lonely"), "shop.lonely"))


async def test_m81_an_anchor_is_a_key_and_not_a_name(server: RunningServer) -> None:
    """Another CA of the same name, sent along with the leaf or not."""
    twin = Authority.root("CN=Workloads Root")
    issued = twin.issue(uris=[URI])

    await _assert_refused(server, issued)
    await _assert_refused(server, replace(issued, chain=(twin.certificate,)))


async def test_m79_a_removed_anchor_is_noticed_on_an_open_connection(server: RunningServer) -> None:
    """E-03: the verdict of a certificate ends with the record it was made from."""
    other = Authority.root("CN=Other")
    metadata = client("shop.moving", anchors=[server.ca])
    await server.put(metadata)
    form = {"grant_type": "client_credentials", "client_id": "shop.moving"}
    async with server.http(server.certificate("shop.moving")) as http:
        before = await http.post(server.token_endpoint, data=form)
        await server.put(replace(metadata, trust_anchors=(TrustAnchor(der=other.certificate.der, shared=True),)))
        after = await http.post(server.token_endpoint, data=form)

    assert before.status_code == 200
    assert_failed_authentication(after)
