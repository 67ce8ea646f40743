"""The one scenario that every server serves: certificates, the client that has one of them, and the requests it sends.

Owns what must be equal for a comparison to mean something. Must not know how any server works. Neighbours: `servers`
starts what serves it.
"""

from dataclasses import dataclass
from pathlib import Path

from holdfast.x509.certificate import Certificate
from tests.core.x509.authority import Authority

CLIENT_ID = "shop.orders"
SCOPE = "orders.read"
SUBJECT = "spiffe://cluster.local/ns/shop/sa/orders"
LIFETIME = 300  # seconds of a token, at every server
FORM = f"grant_type=client_credentials&client_id={CLIENT_ID}&scope={SCOPE}"


@dataclass(frozen=True)
class Scenario:
    """The files of a scenario in a folder."""

    folder: Path

    @classmethod
    def prepare(cls, folder: Path) -> "Scenario":
        """Makes the certificates: one authority for the servers, one for the clients, P-256 all through."""
        servers, clients = Authority.root("CN=Servers"), Authority.root("CN=Clients")
        servers.issue(ips=["127.0.0.1"], server=True, client_auth=False).write(folder / "server")
        clients.issue(uris=[SUBJECT]).write(folder / "client")
        (folder / "server" / "ca.crt").write_bytes(servers.pem)
        (folder / "client" / "ca.crt").write_bytes(clients.pem)
        return cls(folder)

    def server(self, file: str) -> Path:
        return self.folder / "server" / file

    def client(self, file: str) -> Path:
        return self.folder / "client" / file

    @property
    def client_certificate(self) -> Certificate:
        return Certificate.from_pem(self.client("tls.crt").read_bytes())

    @property
    def client_authority(self) -> Certificate:
        return Certificate.from_pem(self.client("ca.crt").read_bytes())
