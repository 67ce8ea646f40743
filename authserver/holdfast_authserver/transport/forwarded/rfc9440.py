"""`Client-Cert` and `Client-Cert-Chain` (RFC 9440): what HAProxy, Google, Cloudflare and newer Envoy can send."""

from collections.abc import Mapping

from holdfast_authserver.transport.forwarded.malformed_field import MalformedField
from holdfast_authserver.transport.forwarded.structured_fields import byte_sequence, byte_sequences

LEAF = "client-cert"
CHAIN = "client-cert-chain"


def read_rfc9440(values: Mapping[str, str]) -> tuple[bytes, ...]:
    """DER of the leaf, then of the chain in the order of TLS (RFC 9440 section 2.3); nothing when there is neither.

    Raises MalformedField; also for a chain without a leaf, and for a chain that repeats the leaf.
    """
    if LEAF not in values:
        if CHAIN in values:
            raise MalformedField(f"{CHAIN}: expected {LEAF} beside it")
        return ()
    leaf = byte_sequence(LEAF, values[LEAF])
    chain = byte_sequences(CHAIN, values[CHAIN]) if CHAIN in values else ()
    if leaf in chain:
        raise MalformedField(f"{CHAIN}: expected it without the certificate of {LEAF}")
    return (leaf, *chain)
