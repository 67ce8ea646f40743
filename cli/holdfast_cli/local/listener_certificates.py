"""The certificates of the listeners: an own CA, apart from the one that signs clients.

Owns `ca/listeners/` and `listeners/` below the data folder. Neighbours: the server reads the files anew when they change.
"""

import ipaddress
from datetime import timedelta
from pathlib import Path

from cryptography import x509

from holdfast.clock import Clock
from holdfast_operator.adapters.folder.authority import Authority
from holdfast_operator.adapters.folder.certificate_spec import CertificateSpec, IssuerRef
from holdfast_operator.adapters.folder.secret_files import matching_certificate, read_secret, write_secret

DURATION = timedelta(days=30)
RENEW_BEFORE = timedelta(days=10)


class ListenerCertificates:
    """Key and certificate for `localhost` and the loopback addresses."""

    def __init__(self, data: Path, clock: Clock) -> None:
        self._clock = clock
        self._folder = data / "listeners"
        self._authority = Authority(data / "ca" / "listeners", "holdfast dev listeners", clock)
        self.ca_file = self._authority.certificate_file
        self.cert_file = self._folder / "tls.crt"
        self.key_file = self._folder / "tls.key"

    def renew(self) -> None:
        """Write new ones if there are none, or if those there are near their end."""
        if self._good():
            return
        names = (
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("::1")),
        )
        spec = CertificateSpec(
            secret_name="listeners",  # noqa: S106  a name
            issuer=IssuerRef(name="listeners", kind="ClusterIssuer"),
            duration=DURATION,
            usages=frozenset({"digital signature", "server auth"}),
            names=names,
        )
        issued = self._authority.sign(spec)
        write_secret(self._folder, {"tls.crt": issued.certificate, "tls.key": issued.key, "ca.crt": issued.ca})

    def _good(self) -> bool:
        files = read_secret(self._folder)
        leaf = matching_certificate(files)
        if leaf is None or files.get("ca.crt") != self._authority.pem:
            return False
        return leaf.not_valid_before_utc <= self._clock() < leaf.not_valid_after_utc - RENEW_BEFORE
