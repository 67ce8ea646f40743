"""A real server with its admin listener, in a thread of its own, for tests that ask it with a foreign client."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.authserver.in_thread import running_in_thread
from tests.authserver.running import spiffe_id
from tests.core.x509.authority import Authority

OPERATOR = "spiffe://cluster.local/ns/holdfast-system/sa/holdfast-operator"


@dataclass(frozen=True, slots=True)
class Served:
    """`ca`, `certificate`: files for a client (the latter with its key) that is good at both listeners."""

    mtls: str
    admin: str
    ca: Path
    certificate: tuple[str, str]
    term: int
    mtls_app: Any
    admin_app: Any


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Until the end of the block."""
    authority = Authority.root("CN=Operator Root")
    (folder / "operator-ca.crt").write_bytes(authority.pem)
    admin = {"admin_port": 0, "admin_client_ca_file": folder / "operator-ca.crt", "admin_client_san": OPERATOR}
    with running_in_thread(folder, ca=authority, **admin) as found:
        host, port = found.server.addresses["admin"]
        (folder / "server-ca.crt").write_bytes(found.server_ca.pem)
        cert, key = authority.issue(uris=[OPERATOR, spiffe_id("shop.orders")]).write(folder / "operator")
        apps = [found.server._listeners[name]._config.app for name in ("mtls", "admin")]
        yield Served(
            found.mtls, f"https://{host}:{port}", folder / "server-ca.crt", (str(cert), str(key)), found.term, *apps
        )
