"""How much one connection may ask for, and how long it may take. Every number carries its reason.

Neighbours: `protocol.py`, `listener.py` and `admission.py` hold connections to it; `endpoints/` to the size of a body.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """Seconds and bytes. The defaults serve machine clients near by; tests lower them."""

    handshake: float = 10.0
    """Seconds for a TLS handshake: a distant client on a lossy line needs three round trips."""
    request: float = 10.0
    """Seconds for the whole of one request to arrive, and for the first one to begin."""
    keep_alive: int = 75
    """Seconds an idle connection stays: a handshake costs five to seven requests, so keeping it pays."""
    head: int = 16_384
    """Bytes of request line and headers; no client of a direct endpoint needs a tenth."""
    framing: int = 131_072
    """Bytes of chunk sizes and extensions in one body: the longest form sent byte by byte needs 98,304."""
    goodbye: float = 2.0
    """Seconds to finish what is under way when the listener stops."""
    tls_goodbye: float = 2.0
    """Seconds for a peer to answer the TLS goodbye; most never do."""
    connections: int = 10_000
    """At once in one process, half-open ones included; each takes a file and up to 100 KB during its handshake."""
    connections_per_peer: int = 1_000
    """Of those from one address: a node of a cluster or a gateway speaks for many workloads, and pools connections."""
    count_loopback: bool = False
    """Whether the latter is held against this machine's own processes, such as a terminator beside the server."""
