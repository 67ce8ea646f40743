"""Where keys may be fetched from, as a table."""

import ipaddress

import pytest

from holdfast_authserver.client_authentication.jwks_addresses import AddressRules

OPEN = AddressRules.from_entries(())
PLATFORM = [
    "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "169.254.169.254", "fe80::1",
    "0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "ff02::1", "100.100.100.200", "168.63.129.16", "192.0.0.192",
    "fd00:ec2::254", "64:ff9b::7f00:1", "64:ff9b:1::a9fe:a9fe", "::ffff:0:169.254.169.254",
    "64:ff9b::a9fe:a9fe", "2002:7f00:1::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PLATFORM)
def test_m42_no_list_still_keeps_this_machine_and_its_platform_apart(address: str) -> None:
    """In every notation that reaches it (M-42)."""
    assert not OPEN.allows("keys.example", ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PLATFORM)
def test_m42_a_name_on_the_list_opens_none_of_them(address: str) -> None:
    """Its owner decides what the name leads to (M-42)."""
    rules = AddressRules.from_entries(("keys.example", "*.example"))

    assert not rules.allows("keys.example", ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "10.0.0.1", "192.168.1.1", "fd12::1", "2001:4860::8888"])
def test_m42_without_a_list_others_are_allowed(address: str) -> None:
    """Services of the cluster have private addresses (M-42)."""
    assert OPEN.allows("keys.example", ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("entries", "host", "address", "allowed"),
    [
        (("keys.example",), "keys.example", "8.8.8.8", True),
        (("keys.example",), "KEYS.example.", "8.8.8.8", True),
        (("Keys.Example",), "keys.example", "8.8.8.8", True),
        (("keys.example",), "a.keys.example", "8.8.8.8", False),
        (("keys.example",), "keys.example.evil", "8.8.8.8", False),
        (("*.example",), "keys.example", "8.8.8.8", True),
        (("*.example",), "a.b.example", "8.8.8.8", True),
        (("*.example",), "example", "8.8.8.8", False),
        (("*.example",), "evilexample", "8.8.8.8", False),
        (("10.0.0.0/8",), "any.name", "10.1.2.3", True),
        (("10.0.0.0/8",), "any.name", "11.1.2.3", False),
        (("10.0.0.0/8",), "any.name", "::ffff:10.1.2.3", True),
        (("10.0.0.0/8", "keys.example"), "keys.example", "8.8.8.8", True),
        (("127.0.0.0/8",), "any.name", "127.0.0.1", True),
        (("fd00::/8",), "any.name", "fd00:ec2::254", True),
        (("8.8.8.8",), "any.name", "8.8.8.8", True),
    ],
)
def test_m42_a_list_allows_what_it_names_and_nothing_else(
    entries: tuple[str, ...], host: str, address: str, allowed: bool
) -> None:
    """(M-42)"""
    assert AddressRules.from_entries(entries).allows(host, ipaddress.ip_address(address)) is allowed


@pytest.mark.parametrize(
    "entry", ["", "*", "*.", "a*.example", "https://keys.example", "keys.example:443", "10.0.0.1/8", "a b"]
)
def test_an_entry_that_is_neither_name_nor_network_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="expected a host name"):
        AddressRules.from_entries((entry,))
