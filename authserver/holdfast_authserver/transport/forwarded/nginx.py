"""The percent-encoded PEM of nginx (`$ssl_client_escaped_cert`), in a field of the administrator's choice.

nginx has a variable for the leaf alone; a second field may carry intermediates where something else provides them.
"""

from collections.abc import Mapping

from holdfast_authserver.transport.forwarded.encodings import escaped_pem, one_escaped_pem
from holdfast_authserver.transport.forwarded.malformed_field import MalformedField


def read_nginx(values: Mapping[str, str], *, leaf: str, chain: str | None) -> tuple[bytes, ...]:
    """DER of the leaf, then of the chain; nothing when there is neither. `leaf`, `chain`: fields, in lower case.

    Raises MalformedField; also for a chain without a leaf.
    """
    if leaf not in values:
        if chain in values:
            raise MalformedField(f"{chain}: expected {leaf} beside it")
        return ()
    found = one_escaped_pem(leaf, values[leaf])
    return (found, *(escaped_pem(chain, values[chain]) if chain is not None and chain in values else ()))
