"""One value for the content of a whole registry, so that writer and keeper can see at a glance whether they agree."""

import hashlib
from collections.abc import Iterable


def registry_digest(clients: Iterable[tuple[str, str]]) -> str:
    """SHA-256, hex, over (client id, digest) of all live clients, whatever their order.

    A client's digest covers the hash of its policy, and so the policy.
    """
    lines = "".join(f"{client_id}\t{digest}\n" for client_id, digest in sorted(clients))
    return hashlib.sha256(lines.encode()).hexdigest()


def denials_digest(thumbprints: Iterable[str], crls: Iterable[bytes]) -> str:
    """SHA-256, hex, over denied thumbprints and CRLs, whatever their order; empty when there are none."""
    lines = sorted({*(f"x5t#S256 {t}" for t in thumbprints), *(f"crl {hashlib.sha256(c).hexdigest()}" for c in crls)})
    return hashlib.sha256("\n".join(lines).encode()).hexdigest() if lines else ""
