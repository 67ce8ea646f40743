"""Where keys may be fetched from: a `jwks_uri` is written by a tenant, and the request comes from inside the cluster.

Pure: names and addresses are values, and nothing is looked up here. Without a list every name is allowed, but no address
that belongs to this machine or to the platform beneath it. With a list, only what an entry allows.
"""

import ipaddress
import re
from dataclasses import dataclass

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_PATTERN = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_PLATFORM = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",  # this machine, on Linux
            "100.100.100.200/32",  # metadata of Alibaba Cloud
            "168.63.129.16/32",  # the host of an Azure machine
            "192.0.0.192/32",  # metadata of Oracle Cloud
            "fd00:ec2::254/128",  # metadata of AWS
            "fd20:ce::254/128",  # metadata of Google Cloud
        ),
    )
)
"""Beside loopback and link-local (169.254.169.254 is one of these): what may answer with credentials of the machine."""
_TRANSLATED = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96")))
"""RFC 6052, RFC 8215 and RFC 7915: the last four bytes are an IPv4 address."""


@dataclass(frozen=True, slots=True)
class AddressRules:
    """`names`: host names, `*.` before one for all names under it. `networks`: addresses. Both empty: no list."""

    names: frozenset[str] = frozenset()
    networks: tuple[IPNetwork, ...] = ()

    @classmethod
    def from_entries(cls, entries: tuple[str, ...]) -> "AddressRules":
        """Raises ValueError for an entry that is neither a name, a pattern, an address nor a network."""
        names: set[str] = set()
        networks: list[IPNetwork] = []
        for entry in entries:
            network = _network(entry)
            if network is not None:
                networks.append(network)
            elif _PATTERN.fullmatch(entry.lower()):
                names.add(entry.lower())
            else:
                raise ValueError(f"expected a host name, *. before one, or a network such as 10.0.0.0/8, found {entry!r}")
        return cls(frozenset(names), tuple(networks))

    def allows(self, host: str, address: IPAddress) -> bool:
        """Whether `host`, found at `address`, may be asked. A network alone can allow this machine's own addresses."""
        seen = _seen(address)
        if any(seen in network for network in self.networks):
            return True
        if _is_platform(seen):
            return False
        return self._open or self._names(host)

    @property
    def _open(self) -> bool:
        return not self.names and not self.networks

    def _names(self, host: str) -> bool:
        """Whether an entry names it, or a name above it."""
        labels = host.lower().removesuffix(".").split(".")
        above = ("*." + ".".join(labels[at:]) for at in range(1, len(labels)))
        return ".".join(labels) in self.names or any(pattern in self.names for pattern in above)


def _network(entry: str) -> IPNetwork | None:
    try:
        return ipaddress.ip_network(entry)
    except ValueError:
        return None


def _seen(address: IPAddress) -> IPAddress:
    """The IPv4 address inside an IPv6 one, where that is what would be reached."""
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in _TRANSLATED):
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def _is_platform(address: IPAddress) -> bool:
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or any(address in network for network in _PLATFORM)
    )
