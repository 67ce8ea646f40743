"""RFC 8705 section 2.1.2: the one of five subject members a `tls_client_auth` client is registered with."""

from typing import Any

import pytest

from holdfast.oauth.client_metadata import InvalidClientMetadata, to_json
from holdfast.oauth.client_metadata_reader import from_json
from tests.authserver.running import client
from tests.core.x509.authority import Authority

BASE = {k: v for k, v in to_json(client(anchors=[Authority.root()])).items() if not k.startswith("tls_client_auth_")}


def test_m26_two_subject_members_are_refused() -> None:
    with pytest.raises(InvalidClientMetadata, match="exactly one"):
        from_json({**BASE, "tls_client_auth_san_dns": "a.example", "tls_client_auth_san_ip": "192.0.2.1"})


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("tls_client_auth_subject_dn", "no name"),  # M-27
        ("tls_client_auth_subject_dn", "CN=a,,O=b"),
        ("tls_client_auth_san_dns", "*.example"),  # M-28
        ("tls_client_auth_san_dns", "a.example."),
        ("tls_client_auth_san_dns", "192.0.2.1"),
        ("tls_client_auth_san_uri", "/orders"),  # M-29
        ("tls_client_auth_san_uri", "https://a b"),
        ("tls_client_auth_san_ip", "192.0.2.0/24"),  # M-30
        ("tls_client_auth_san_ip", "fe80::1%eth0"),
        ("tls_client_auth_san_ip", "192.0.2.01"),
        ("tls_client_auth_san_ip", "[2001:db8::1]"),
        ("tls_client_auth_san_email", "a@example.org,b@example.org"),  # M-31
        ("tls_client_auth_san_email", "A <a@example.org>"),
        ("tls_client_auth_san_email", "example.org"),
        ("tls_client_auth_san_email", 7),
    ],
)
def test_a_malformed_subject_value_is_refused_by_its_member(member: str, value: Any) -> None:
    """Each of the five kinds (M-27, M-28, M-29, M-30, M-31)."""
    with pytest.raises(InvalidClientMetadata) as raised:
        from_json({**BASE, member: value})

    assert member in {problem.field for problem in raised.value.problems}


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("tls_client_auth_subject_dn", "cn = Orders , o=Example"),
        ("tls_client_auth_san_dns", "Orders.Example"),
        ("tls_client_auth_san_ip", "2001:DB8:0:0::1"),
    ],
)
def test_m33_a_value_keeps_its_registered_spelling(member: str, value: str) -> None:
    assert to_json(from_json({**BASE, member: value}))[member] == value
