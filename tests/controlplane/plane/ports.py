"""Ports on 127.0.0.1 that nothing else takes between the choice and the bind.

Owns: the choice. Must not know who listens there.
"""

import random
import socket

_BELOW_EPHEMERAL = (20000, 32000)
"""Outgoing connections draw from 32768 upwards, so a port chosen here is not lost to one of them meanwhile."""


def free_ports(count: int) -> list[int]:
    """`count` different ports that could be bound just now. Raises OSError when hardly any are free."""
    held: list[socket.socket] = []
    try:
        while len(held) < count:
            held.append(_bound(attempts=200))
        return [int(sock.getsockname()[1]) for sock in held]
    finally:
        for sock in held:
            sock.close()


def _bound(attempts: int) -> socket.socket:
    for _ in range(attempts):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.bind(("127.0.0.1", random.randint(*_BELOW_EPHEMERAL)))
        except OSError:
            sock.close()
        else:
            return sock
    raise OSError(f"no free port on 127.0.0.1 between {_BELOW_EPHEMERAL[0]} and {_BELOW_EPHEMERAL[1]}")
