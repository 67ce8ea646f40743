"""Every setting of the authorization server: environment variables `HOLDFAST_…`, and one optional YAML file.

The environment wins over the file that HOLDFAST_CONFIG_FILE names. Owns names, defaults and what is wrong with a single
value; whether a file can be read or a port bound is found out at the start (`server.py`).
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from holdfast.settings_file import ProcessSettings, https_url
from holdfast_authserver.client_authentication.jwks_addresses import AddressRules
from holdfast_authserver.keys.options import KeyOptions

HttpsUrl = Annotated[str, AfterValidator(https_url)]
Port = Annotated[int, Field(ge=0, le=65535)]
AssertionAlgorithm = Literal["ES256", "ES384", "ES512", "EdDSA", "PS256", "RS256"]


def _address_rules(entries: tuple[str, ...]) -> tuple[str, ...]:
    AddressRules.from_entries(entries)
    return entries


class Settings(ProcessSettings):
    """Attributes are environment variables with `HOLDFAST_` before them, in upper case. Port 0: any free port."""

    public_url: HttpsUrl | None = None
    """The issuer (RFC 8414 section 2), and where clients reach the public listener. None: made from its address."""
    mtls_url: HttpsUrl | None = None
    """Where clients reach the mTLS listener. None: made from its address."""
    mtls_issuer: bool = True
    """Name `mtls_issuer` in the metadata and serve metadata at the mTLS host, with that URL as its `issuer`."""

    public_host: str = "127.0.0.1"
    """The address that the public listener binds."""
    public_port: Port = 8443
    """TLS; asks for no certificate."""
    mtls_host: str = "127.0.0.1"
    """The address that the mTLS listener binds."""
    mtls_port: Port = 9443
    """TLS; asks for a certificate and takes any, also none."""
    admin_host: str = "127.0.0.1"
    """The address that the admin listener binds."""
    admin_port: Port | None = None
    """Mutual TLS, for the operator only. None: off."""
    ops_host: str = "127.0.0.1"
    """The address that the ops listener binds."""
    ops_port: Port | None = None
    """Plain HTTP: health, readiness, metrics. None: off."""

    public_tls_cert_file: Path = Path("/etc/holdfast/tls/public/tls.crt")
    """Certificate chain of the public listener (PEM), the leaf first."""
    public_tls_key_file: Path = Path("/etc/holdfast/tls/public/tls.key")
    """Its key (PEM)."""
    mtls_tls_cert_file: Path | None = None
    """Certificate chain of the mTLS listener. None: the public listener's."""
    mtls_tls_key_file: Path | None = None
    """Its key. None: the public listener's."""
    admin_tls_cert_file: Path | None = None
    """Certificate chain of the admin listener. None: the public listener's."""
    admin_tls_key_file: Path | None = None
    """Its key. None: the public listener's."""

    forwarded_port: Port | None = None
    """For a TLS terminator that forwards the client's certificate in a header: the paths of the mTLS listener. TLS where
    forwarded_peer_san is set, else plain HTTP. None: off."""
    forwarded_host: str = "127.0.0.1"
    """The address that the forwarded listener binds. Without forwarded_peer_san it has to be a loopback address."""
    forwarded_socket: Path | None = None
    """A Unix socket in place of host and port, for owner and group; plain HTTP."""
    forwarded_format: Literal["RFC9440", "XFCC", "NginxEscapedPEM", "TraefikPEM", "ALBLeaf"] | None = None
    """How the terminator writes the certificate; no other format is ever read. Needed where the forwarded listener is on."""
    forwarded_peer_san: str | None = None
    """The DNS name or URI that the terminator's own client certificate must hold."""
    forwarded_peer_ca_file: Path | None = None
    """The CA (PEM) that the terminator's own client certificate leads to; read again when it changes."""
    forwarded_trusted_hops: Annotated[int, Field(ge=1, le=16)] = 1
    """XFCC alone: how many proxies in a row add an element, of which the outermost one's counts."""
    forwarded_header: str | None = None
    """NginxEscapedPEM alone: the header of the leaf. None: ssl-client-cert."""
    forwarded_chain_header: str | None = None
    """NginxEscapedPEM alone: a header with the intermediates. None: there is none."""
    forwarded_tls_cert_file: Path | None = None
    """Certificate chain of the forwarded listener. None: the public listener's."""
    forwarded_tls_key_file: Path | None = None
    """Its key. None: the public listener's."""

    max_connections: Annotated[int, Field(ge=1)] = 10_000
    """Connections to a listener at once, in each worker, half-open ones included."""
    max_connections_per_address: Annotated[int, Field(ge=1)] = 1_000
    """Of those from one address (of IPv6: from one /64). The forwarded listener has no such limit."""
    limit_loopback_connections: bool = False
    """Whether that holds for this machine's own processes, too."""
    handshake_timeout: Annotated[float, Field(gt=0, le=120)] = 10.0
    """Seconds for a TLS handshake."""
    request_timeout: Annotated[float, Field(gt=0, le=120)] = 10.0
    """Seconds for the whole of a request to arrive."""
    idle_timeout: Annotated[int, Field(ge=1, le=3600)] = 75
    """Seconds that a connection without a request is kept."""
    drain_timeout: Annotated[float, Field(ge=0, le=600)] = 2.0
    """Seconds for requests under way when the server stops."""

    throttle_per_client: Annotated[int, Field(ge=0)] = 20
    """Failed authentications of a client id from one address within throttle_window. 0: any number."""
    throttle_per_address: Annotated[int, Field(ge=0)] = 300
    """Failed authentications from one address, whatever the client, within throttle_window. 0: any number."""
    throttle_window: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    """Seconds."""
    throttle_loopback: bool = True
    """Whether failures of this machine's own processes are counted."""
    throttle_forwarded: bool = False
    """Whether failures behind a TLS terminator are counted. All of them come from its address, so that it is throttled."""

    admin_client_ca_file: Path | None = None
    """The CA (PEM) that the operator's certificate leads to; needed where the admin listener is on."""
    admin_client_san: str | None = None
    """The DNS name or URI that the operator's certificate must hold; needed where the admin listener is on."""

    database_url: str = "sqlite+aiosqlite:///holdfast.db"
    """The registry, as SQLAlchemy names it."""
    keys_dir: Path = Path("keys")
    """Where keys are kept beside a SQLite registry; made at the first start, readable by the server alone."""
    signing_algorithms: Annotated[tuple[Literal["ES256", "EdDSA", "PS256", "RS256"], ...], Field(min_length=1)] = ("ES256",)
    """Each has keys that are published; the first one's sign access tokens."""
    key_rotation: Annotated[int, Field(ge=120)] = 2_592_000
    """Seconds after which the next key takes over."""
    key_publication: Annotated[int, Field(ge=60)] = 3_600
    """Seconds for which a key is published before it is used: longer than APIs keep the key set without reading it anew."""
    key_encryption_key: SecretStr | None = None
    """32 octets in base64 that encrypt the keys where they are kept. None: files in the clear, and no keys in a database."""
    key_encryption_key_file: Path | None = None
    """A file that holds the same."""
    key_encryption_key_previous: SecretStr | None = None
    """The one before it: what it encrypted is read, and encrypted anew. `none`: so is what is not encrypted yet."""

    crl_files: tuple[Path, ...] = ()
    """Revocation lists (DER or PEM): files, and folders of such. Read again when they change; clients' policies say whether
    they count."""
    certificate_clock_skew: Annotated[float, Field(ge=0, le=60)] = 5.0
    """Seconds by which the clock of a client's issuer may be ahead of ours."""

    assertion_algorithms: Annotated[tuple[AssertionAlgorithm, ...], Field(min_length=1)] = (
        "ES256", "ES384", "ES512", "EdDSA", "PS256",
    )  # fmt: skip
    """What assertions of `private_key_jwt` may be signed with; a client can be held to one of them."""
    jwks_uri_allowed_hosts: Annotated[tuple[str, ...], AfterValidator(_address_rules)] = ()
    """Where clients' keys may be fetched from: host names, names with `*.` before them, networks. None: from everywhere but
    loopback, link-local and metadata addresses, which only a network that holds them allows."""
    jwks_uri_ca_file: Path | None = None
    """The CAs (PEM) by which a `jwks_uri` is trusted, read again when it changes. None: those of the system."""
    jwks_uri_timeout: Annotated[float, Field(gt=0, le=30)] = 5.0
    """Seconds for all of one fetch."""
    jwks_uri_min_age: Annotated[int, Field(ge=1, le=3600)] = 30
    """Seconds for which fetched keys are used at least, whatever their `Cache-Control` says."""
    jwks_uri_max_age: Annotated[int, Field(ge=1, le=86_400)] = 300
    """Seconds after which fetched keys are fetched again at the latest: so long a withdrawn key may still count."""
    jwks_uri_stale: Annotated[int, Field(ge=0, le=86_400)] = 3600
    """Seconds beyond that for which the last good keys count while fetching fails."""
    jwks_uri_pause: Annotated[float, Field(ge=1, le=3600)] = 10.0
    """Seconds between two fetches for one client, whatever certificates and key ids it is asked with."""

    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Processes that serve; more than one are started, watched and ended by a small parent. Limits count for each."""
    startup_hold: Annotated[float, Field(ge=0, le=60)] = 5.0
    """Seconds for which tokens are held back after a start, until the operator has confirmed the registry."""
    max_staleness: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    """Seconds for which tokens go on when the database does not answer: no older registry is answered from."""
    ready_staleness: Annotated[float, Field(ge=1, le=86_400)] = 10.0
    """Seconds after which a server that cannot ask its database says that it is not ready."""
    deleted_client_grace: Annotated[int, Field(ge=0, le=31_536_000)] = 86_400
    """Seconds for which a deleted client can be had back as it was, and its client id is kept for its namespace."""
    token_lifetime: Annotated[int, Field(ge=1, le=86_400)] = 300
    """Seconds an access token lives where its client does not say."""
    audit_log: str = "-"
    """A file to append decisions to, one JSON object a line; `-` is the standard output. A file that was moved away is
    begun anew, at once and on SIGHUP."""
    audit_remote_address: bool = True
    """Whether the audit log names the address that a request came from, without its port."""
    audit_refusals_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] = 60
    """Lines a minute for refused requests of one address, for one client, that did not prove who they are; five times as
    many for the address, fifty times in all. What goes beyond is counted in one line a minute. 0: no limit."""
    metrics_client_names: bool = False
    """Whether metrics count decisions by client id, too: a series for each registered client."""
    http: Literal["httptools", "h11"] = "httptools"
    """The HTTP parser; h11 is the one without C."""

    @property
    def key_options(self) -> KeyOptions:
        """What the ring of signing keys is made from."""
        return KeyOptions(
            database_url=self.database_url,
            keys_dir=self.keys_dir,
            signing_algorithms=self.signing_algorithms,
            key_rotation=self.key_rotation,
            key_publication=self.key_publication,
            key_encryption_key=self.key_encryption_key,
            key_encryption_key_file=self.key_encryption_key_file,
            key_encryption_key_previous=self.key_encryption_key_previous,
        )
