"""`X-Amzn-Mtls-Clientcert-Leaf` of an AWS Application Load Balancer in verify mode: percent-encoded PEM of the leaf.

AWS leaves `+`, `=` and `/` as they are.
"""

from collections.abc import Mapping

from holdfast_authserver.transport.forwarded.encodings import one_escaped_pem

FIELD = "x-amzn-mtls-clientcert-leaf"


def read_alb(values: Mapping[str, str]) -> tuple[bytes, ...]:
    """DER of the leaf. Raises MalformedField."""
    return (one_escaped_pem(FIELD, values[FIELD]),) if FIELD in values else ()
