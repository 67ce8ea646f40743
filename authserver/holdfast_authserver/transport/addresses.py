"""What counts as one peer when connections or failures are counted by address.

Neighbours: `admission` counts connections, `client_authentication.throttle` failures.
"""

import ipaddress
from functools import lru_cache


@lru_cache(maxsize=4096)
def peer_of(address: str) -> str:
    """IPv4 as it is; of IPv6 the first 64 bits, since a single host commonly has all the rest to choose from.

    What is no address stands for itself.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(found) if found.is_loopback else str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


@lru_cache(maxsize=4096)
def is_loopback(address: str) -> bool:
    """Whether only this machine can be there."""
    try:
        return ipaddress.ip_address(peer_of(address)).is_loopback
    except ValueError:
        return False
