"""RFC 8705 section 2.1.2 with RFC 5280 and RFC 9525: what is nearly the registered name, and what CAs are constrained to."""

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509

from holdfast.policy.model import AllowedSubjects, EffectivePolicy
from holdfast.x509.chain import PathError, check_trust_anchor
from holdfast.x509.subject import SubjectKind, parse_subject_rule
from tests.authserver.running import RunningServer, client
from tests.core.x509.authority import Authority
from tests.rfc8705.expectations import assert_failed_authentication

pytestmark = pytest.mark.asyncio(loop_scope="module")
CLIENT_ID = "shop.named"
ANY = EffectivePolicy(
    trust_domain="cluster.local",
    cluster_domain="cluster.local",
    allowed_subjects=(
        AllowedSubjects(
            uris=("https://orders.example/*", "spiffe://cluster.local/ns/{namespace}/sa/*"),
            dns_names=("*.example",),
            ip_addresses=("10.0.0.0/8", "::/0"),
            email_addresses=("*@example.org",),
            distinguished_names=("O=Example",),
        ),
    ),
)


async def _put(server: RunningServer, kind: SubjectKind, value: str, ca: Authority | None = None) -> None:
    rule = parse_subject_rule(kind, value)
    await server.put(client(CLIENT_ID, anchors=[ca or server.ca], subject=rule), ANY)


def _raw_dns(value: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.DNSName._init_without_validation(value)])


NEARLY: list[Any] = [
    pytest.param("dns", "a.example", {"dns": ["*.example"]}, id="Y-01 wildcard"),
    pytest.param("dns", "a.example", {"extra": [(_raw_dns("a.example."), False)]}, id="Y-01 trailing dot"),
    pytest.param("dns", "a.example", {"extra": [(_raw_dns("a.example\0.evil.example"), False)]}, id="Y-01 NUL"),
    pytest.param("dns", "xn--bcher-kva.example", {"extra": [(_raw_dns("bücher.example"), False)]}, id="Y-01 U-label"),
    pytest.param("dns", "a.example", {"extra": [(_raw_dns("x, DNS:a.example"), False)]}, id="a list in one value"),
    pytest.param("ip", "10.1.2.3", {"ips": ["::ffff:10.1.2.3"]}, id="Y-02 mapped"),
    pytest.param("ip", "::ffff:10.1.2.3", {"ips": ["10.1.2.3"]}, id="Y-02 unmapped"),
    pytest.param("ip", "10.1.2.3", {"ips": ["10.1.2.0/24"]}, id="Y-02 subnet"),
    pytest.param("ip", "10.1.2.3", {"dns": ["10.1.2.3"]}, id="Y-02 text"),
    pytest.param("uri", "https://orders.example/A", {"uris": ["https://orders.example/a"]}, id="Y-03 case of the path"),
    pytest.param("uri", "https://orders.example/a", {"uris": ["https://orders.example/%61"]}, id="Y-03 percent"),
    pytest.param("uri", "https://orders.example/a", {"uris": ["https://orders.example/b/../a"]}, id="Y-03 dot segments"),
    pytest.param("uri", "spiffe://cluster.local/ns/shop/sa/named", {"uris": ["spiffe://CLUSTER.local/ns/shop/sa/named"]},
                 id="Y-03 SPIFFE host"),
    pytest.param("email", "Alice@example.org", {"emails": ["alice@example.org"]}, id="Y-04 local part"),
    pytest.param("email", "alice@example.org", {"extra": [(x509.SubjectAlternativeName([x509.OtherName(
        x509.ObjectIdentifier("1.3.6.1.5.5.7.8.9"), b"\x0c\x11alice@example.org")]), False)]}, id="Y-05 UTF-8 mailbox"),
    pytest.param("email", "alice@example.org", {"subject_dn": "1.2.840.113549.1.9.1=alice@example.org"},
                 id="Y-05 in the subject"),
    pytest.param("dn", "CN=orders,O=Example", {"uris": ["urn:x"]}, id="Y-06 empty subject"),
    pytest.param("dn", "CN=orders,O=Example", {"subject_dn": "CN=orders\\,O\\=Example,O=Example"}, id="M-14 one value"),
    pytest.param("dn", "CN=orders,O=Example", {"subject_dn": "CN=orders+CN=x,O=Example"}, id="M-14 one more"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "registered", "shown"), NEARLY)
async def test_what_is_nearly_the_registered_name_is_refused(
    server: RunningServer, kind: str, registered: str, shown: dict[str, Any]
) -> None:
    """Each kind by its own rule (M-13, M-14, M-15, Y-01, Y-02, Y-03, Y-04, Y-05, Y-06)."""
    await _put(server, SubjectKind(kind), registered)

    assert_failed_authentication(await server.token(server.ca.issue(**shown), CLIENT_ID))


@pytest.mark.parametrize(
    ("kind", "registered", "shown"),
    [
        ("dns", "A.example", {"dns": ["a.EXAMPLE"]}),
        ("ip", "2001:DB8:0:0::1", {"ips": ["10.0.0.1", "2001:db8::1"]}),
        ("uri", "HTTPS://Orders.Example/A", {"uris": ["https://orders.example/A"]}),
        ("email", "Alice@EXAMPLE.org", {"emails": ["Alice@example.org"]}),
        ("dn", "cn=Orders , o=EXAMPLE", {"subject_dn": "CN=orders,O=Example"}),
    ],
)
async def test_what_the_rules_call_equal_is_accepted(
    server: RunningServer, kind: str, registered: str, shown: dict[str, Any]
) -> None:
    """Case where it does not count, octets where these count (M-33, Y-01, Y-02, Y-03, Y-04)."""
    await _put(server, SubjectKind(kind), registered)

    assert (await server.token(server.ca.issue(**shown), CLIENT_ID)).status_code == 200


def _permitted(*names: x509.GeneralName) -> x509.NameConstraints:
    return x509.NameConstraints(list(names), None)


def _excluded(*names: x509.GeneralName) -> x509.NameConstraints:
    return x509.NameConstraints(None, list(names))


EXAMPLE = x509.DirectoryName(x509.Name.from_rfc4514_string("O=Example"))
NET = x509.IPAddress(ipaddress.ip_network("10.9.0.0/16"))
CONSTRAINED: list[Any] = [
    pytest.param(_permitted(x509.DNSName("shop.example")), {"dns": ["a.example"]}, "dns", "a.example", id="dNSName"),
    pytest.param(_excluded(x509.DNSName("a.example")), {"dns": ["a.example"]}, "dns", "a.example", id="excluded dNSName"),
    pytest.param(_excluded(x509.DNSName("a.example")), {"dns": ["b.example", "*.example"]}, "dns", "b.example",
                 id="a wildcard that covers what is excluded"),
    pytest.param(_permitted(NET), {"ips": ["10.1.2.3"]}, "ip", "10.1.2.3", id="iPAddress"),
    pytest.param(_permitted(x509.RFC822Name("example.com")), {"emails": ["a@example.org"]}, "email", "a@example.org",
                 id="rfc822Name"),
    pytest.param(_permitted(x509.UniformResourceIdentifier("other.example")), {"uris": ["https://orders.example/a"]}, "uri",
                 "https://orders.example/a", id="uniformResourceIdentifier"),
    pytest.param(_permitted(EXAMPLE), {"subject_dn": "CN=orders,O=Other,O=Example"}, "dn", "CN=orders,O=Other,O=Example",
                 id="directoryName"),
    pytest.param(_permitted(EXAMPLE), {"subject_dn": "CN=orders,O=Example"}, "dn", "CN=orders,O=Example",
                 id="directoryName that would permit it, which cannot be enforced"),
]  # fmt: skip


@pytest.mark.parametrize(("constraints", "shown", "kind", "registered"), CONSTRAINED)
async def test_name_constraints_of_an_intermediate_are_enforced_or_end_validation(
    server: RunningServer, constraints: x509.NameConstraints, shown: dict[str, Any], kind: str, registered: str
) -> None:
    """Every kind; one that cannot be enforced refuses whatever it might permit (M-21, Y-07)."""
    await _put(server, SubjectKind(kind), registered)
    constrained = server.ca.intermediate("CN=Constrained", constraints=constraints)

    assert (await server.token(server.ca.intermediate().issue(**shown), CLIENT_ID)).status_code == 200
    assert_failed_authentication(await server.token(constrained.issue(**shown), CLIENT_ID))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Authority.root(constraints=_permitted(EXAMPLE)), "directoryName"),
        (lambda: Authority.root(constraints=_permitted(x509.UniformResourceIdentifier("a.example"))), "uniformResource"),
        (lambda: Authority.root(constraints=_excluded(x509.RegisteredID(x509.ObjectIdentifier("1.2.3")))), "registeredID"),
    ],
)
async def test_an_anchor_with_constraints_that_cannot_be_enforced_is_told_when_loaded(
    make: Callable[[], Authority], says: str
) -> None:
    """Not at the first login, which would then fail (Y-07)."""
    with pytest.raises(PathError, match=says):
        check_trust_anchor(make().certificate)
