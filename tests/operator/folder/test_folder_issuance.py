"""The local CA does what cert-manager would: issues what is asked for, anew when due, and says so the same way."""

import base64
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from holdfast.x509.certificate import Certificate, PeerCertificate
from holdfast.x509.chain import verify_path
from holdfast_operator.adapters.folder.issuance import REVISION, SHORTEST_USE, Issuance
from holdfast_operator.adapters.folder.objects import ObjectStore
from holdfast_operator.adapters.folder.secret_files import read_secret, write_secret
from holdfast_operator.reconcile.ports import Key, Kind, Object

START = datetime(2026, 1, 1, tzinfo=UTC)
KEY = Key(Kind.CERTIFICATE, "shop", "orders")
URI = "spiffe://cluster.local/ns/shop/sa/orders"


class MovedClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class Plane:
    """A store with the namespace `shop`, the ClusterIssuer `workloads`, and the controller that serves them."""

    def __init__(self, data: Path) -> None:
        self.clock = MovedClock()
        self.data = data
        self.restart()
        self.declare(Kind.NAMESPACE, {"name": "shop"})
        self.declare(Kind.CLUSTER_ISSUER, {"name": "workloads"})

    def restart(self) -> None:
        self.store = ObjectStore(self.data / "objects", self.clock)
        self.issuance = Issuance(self.store, self.data, self.clock)

    def declare(self, kind: Kind, meta: Object, **members: Any) -> None:
        obj = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, **members}
        self.store.declare(Key(kind, meta.get("namespace", ""), meta["name"]), obj, None)

    def ask(self, name: str = "orders", **spec: Any) -> None:
        wanted = {
            "secretName": "orders-mtls",
            "issuerRef": {"name": "workloads", "kind": "ClusterIssuer", "group": "cert-manager.io"},
            "duration": "24h",
            "renewBefore": "8h",
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
            "usages": ["client auth", "digital signature"],
            "uris": [URI],
        }
        spec = {k: v for k, v in {**wanted, **spec}.items() if v is not None}
        meta = {"name": name, "namespace": "shop"}
        self.store.apply(
            Kind.CERTIFICATE, {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": meta, "spec": spec}
        )

    @property
    def certificate(self) -> Object:
        found = self.store.get(KEY)
        assert found is not None
        return found

    @property
    def requests(self) -> list[Object]:
        return self.store.list(Kind.CERTIFICATE_REQUEST)

    @property
    def folder(self) -> Path:
        return self.data / "secrets" / "shop" / "orders-mtls"

    @property
    def leaf(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.folder / "tls.crt").read_bytes())

    def ready(self, name: str = "orders") -> tuple[str, str]:
        condition = self.condition("Ready", name)
        return condition["status"], condition["message"]

    def condition(self, kind: str, name: str = "orders") -> Object:
        found = self.store.get(Key(Kind.CERTIFICATE, "shop", name))
        assert found is not None
        return next((c for c in found["status"]["conditions"] if c["type"] == kind), {})


@pytest.fixture
def plane(tmp_path: Path) -> Plane:
    return Plane(tmp_path)


async def test_a_certificate_is_issued_as_asked(plane: Plane) -> None:
    plane.ask(dnsNames=["a.test"], ipAddresses=["10.0.0.1"], emailAddresses=["a@b.test"], literalSubject="CN=orders,O=Shop")
    due = await plane.issuance.step()

    leaf = Certificate.from_pem((plane.folder / "tls.crt").read_bytes())
    assert (leaf.uris, leaf.dns_names, leaf.email_addresses) == ((URI,), ("a.test",), ("a@b.test",))
    assert [str(ip) for ip in leaf.ip_addresses] == ["10.0.0.1"]
    assert plane.leaf.subject.rfc4514_string() == "CN=orders,O=Shop"
    assert leaf.not_after - leaf.not_before == timedelta(hours=24)
    assert due == START + timedelta(hours=16)
    usage = plane.leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


async def test_the_certificate_leads_to_the_ca_that_lies_beside_it(plane: Plane) -> None:
    plane.ask()
    await plane.issuance.step()

    leaf = Certificate.from_pem((plane.folder / "tls.crt").read_bytes())
    anchor = Certificate.from_pem((plane.folder / "ca.crt").read_bytes())
    assert verify_path(PeerCertificate(leaf), [anchor], at=START).certificates[0] == leaf


async def test_status_and_request_read_as_those_of_cert_manager(plane: Plane) -> None:
    plane.ask()
    await plane.issuance.step()

    status = plane.certificate["status"]
    assert status["revision"] == 1
    assert (status["notAfter"], status["renewalTime"]) == ("2026-01-02T00:00:00Z", "2026-01-01T16:00:00Z")
    [request] = plane.requests
    assert request["metadata"]["annotations"][REVISION] == "1"
    assert request["metadata"]["annotations"]["cert-manager.io/certificate-name"] == "orders"
    assert request["metadata"]["ownerReferences"][0]["uid"] == plane.certificate["metadata"]["uid"]
    assert base64.b64decode(request["status"]["certificate"]) == (plane.folder / "tls.crt").read_bytes()
    assert base64.b64decode(request["status"]["ca"]) == (plane.folder / "ca.crt").read_bytes()


async def test_files_are_the_owners_alone_and_swapped_as_a_whole(plane: Plane) -> None:
    plane.ask()
    await plane.issuance.step()

    assert stat.S_IMODE((plane.folder / "tls.key").stat().st_mode) == 0o600
    assert (plane.folder / "tls.key").is_symlink()
    assert (plane.folder / "..data").is_symlink()
    assert {p.name for p in plane.folder.iterdir() if not p.name.startswith("..")} == {"tls.crt", "tls.key", "ca.crt"}


async def test_a_second_step_writes_nothing(plane: Plane) -> None:
    plane.ask()
    await plane.issuance.step()
    seen: list[Kind] = []
    plane.store.subscribe(lambda kind, _, __: seen.append(kind))
    before = (plane.folder / "tls.crt").read_bytes()

    await plane.issuance.step()

    assert not seen
    assert (plane.folder / "tls.crt").read_bytes() == before


async def test_it_is_renewed_with_a_new_key_when_its_time_has_come(plane: Plane) -> None:
    plane.ask()
    await plane.issuance.step()
    first = plane.leaf

    plane.clock.now = START + timedelta(hours=15, minutes=59)
    await plane.issuance.step()
    assert plane.leaf == first

    plane.clock.now = START + timedelta(hours=16)
    await plane.issuance.step()
    assert plane.leaf.public_key() != first.public_key()
    assert plane.certificate["status"]["revision"] == 2
    assert [r["metadata"]["name"] for r in plane.requests] == ["orders-1", "orders-2"]


async def test_the_request_before_the_current_one_is_kept_and_no_older_one(plane: Plane) -> None:
    plane.ask()
    for hours in (0, 16, 32):
        plane.clock.now = START + timedelta(hours=hours)
        await plane.issuance.step()

    assert plane.certificate["status"]["revision"] == 3
    assert [r["metadata"]["name"] for r in plane.requests] == ["orders-2", "orders-3"]


async def test_a_restart_keeps_ca_and_certificate(plane: Plane) -> None:
    plane.ask()
    await plane.issuance.step()
    first = plane.leaf

    plane.restart()
    await plane.issuance.step()

    assert plane.leaf == first


@pytest.mark.parametrize("spec", [{"uris": ["spiffe://cluster.local/ns/shop/sa/other"]}, {"duration": "12h"}])
async def test_another_wish_makes_another_certificate(plane: Plane, spec: dict[str, Any]) -> None:
    plane.ask()
    await plane.issuance.step()

    plane.ask(**spec)
    await plane.issuance.step()

    assert plane.certificate["status"]["revision"] == 2


def _lose_all(folder: Path) -> None:
    write_secret(folder, {})


def _swap_key(folder: Path) -> None:
    files = read_secret(folder)
    write_secret(folder, {**files, "tls.key": files["tls.crt"]})


def _cover_link(folder: Path) -> None:
    (folder / "tls.crt").unlink()
    (folder / "tls.crt").write_text("garbage")


@pytest.mark.parametrize("harm", [_lose_all, _swap_key, _cover_link])
async def test_lost_or_damaged_files_are_made_anew(plane: Plane, harm: Callable[[Path], None]) -> None:
    plane.ask()
    await plane.issuance.step()

    harm(plane.folder)
    await plane.issuance.step()

    assert plane.certificate["status"]["revision"] == 2
    assert sorted(read_secret(plane.folder)) == ["ca.crt", "tls.crt", "tls.key"]
    assert plane.leaf.subject == x509.Name([])


async def test_an_unknown_issuer_is_named_and_waited_for(plane: Plane) -> None:
    plane.ask(issuerRef={"name": "nobody", "kind": "ClusterIssuer"})
    await plane.issuance.step()
    assert plane.ready() == ("False", "Referenced 'ClusterIssuer' not found: 'nobody'")
    assert not plane.folder.exists()

    plane.declare(Kind.CLUSTER_ISSUER, {"name": "nobody"})
    await plane.issuance.step()
    assert plane.ready()[0] == "True"


async def test_an_issuer_of_a_namespace_has_a_ca_of_its_own(plane: Plane) -> None:
    plane.declare(Kind.ISSUER, {"name": "workloads", "namespace": "shop"})
    plane.ask()
    plane.ask("second", secretName="second", issuerRef={"name": "workloads", "kind": "Issuer"})
    await plane.issuance.step()

    other = plane.data / "secrets" / "shop" / "second" / "ca.crt"
    assert other.read_bytes() != (plane.folder / "ca.crt").read_bytes()


async def test_a_secret_of_another_certificate_is_not_taken(plane: Plane) -> None:
    plane.ask()
    plane.clock.now += timedelta(seconds=1)
    plane.ask("thief")
    await plane.issuance.step()

    assert plane.ready()[0] == "True"
    assert plane.ready("thief") == ("False", "the older Certificate orders has the Secret orders-mtls: choose another name")
    assert plane.condition("Ready", "thief")["reason"] == "IncorrectCertificate"


async def test_files_of_a_certificate_that_is_gone_are_removed_and_nothing_else(plane: Plane) -> None:
    plane.ask()
    await plane.issuance.step()
    foreign = plane.data / "secrets" / "shop" / "mine"
    foreign.mkdir()

    plane.store.delete(KEY)
    await plane.issuance.step()

    assert not plane.folder.exists()
    assert foreign.exists()
    assert plane.requests == []


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"secretName": "../up"}, "spec.secretName: expected an RFC 1123 subdomain, found '../up'"),
        ({"duration": "1 day"}, "spec.duration: expected a duration such as 24h or 1h30m, found '1 day'"),
        ({"duration": "1500ms", "renewBefore": "1400ms"}, "spec.duration: expected at least 5s, found 1500ms"),
        ({"duration": "9" * 400 + "h"}, "spec.duration: expected a duration that a clock can count"),
        ({"renewBefore": "48h"}, "spec.renewBefore: expected less than spec.duration"),
        ({"privateKey": {"algorithm": "Ed25519"}}, "spec.privateKey.algorithm: expected one of ECDSA, RSA"),
        ({"privateKey": {"size": 128}}, "spec.privateKey.size: expected one of 256, 384, 521 for ECDSA, found 128"),
        ({"usages": ["cert sign"]}, "spec.usages: expected some of"),
        ({"literalSubject": "CN"}, "spec.literalSubject: 'CN' is no distinguished name"),
        ({"ipAddresses": ["1.2.3"]}, "spec.ipAddresses: '1.2.3' cannot stand in a certificate"),
        ({"isCA": True}, "spec.isCA: is not done by the local CA"),
        ({"keystores": {}}, "spec.keystores: is not done by the local CA"),
        ({"issuerRef": {"name": "x", "group": "awspca.cert-manager.io"}}, "spec.issuerRef: expected"),
    ],
)
async def test_what_cannot_be_done_is_said_and_not_left_out(plane: Plane, spec: dict[str, Any], said: str) -> None:
    plane.ask(**spec)
    await plane.issuance.step()

    assert plane.ready()[0] == "False"
    issuing = plane.condition("Issuing")
    assert (issuing["status"], issuing["reason"]) == ("False", "Failed")
    assert issuing["message"].startswith(said)


@pytest.mark.parametrize(("size", "curve"), [(256, ec.SECP256R1), (384, ec.SECP384R1), (521, ec.SECP521R1)])
async def test_the_curve_is_the_one_asked_for(plane: Plane, size: int, curve: type[ec.EllipticCurve]) -> None:
    plane.ask(privateKey={"algorithm": "ECDSA", "size": size, "rotationPolicy": "Always"})
    await plane.issuance.step()

    key = plane.leaf.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, curve)


async def test_an_rsa_key_of_the_size_asked_for(plane: Plane) -> None:
    plane.ask(privateKey={"algorithm": "RSA", "size": 2048})
    await plane.issuance.step()

    key = plane.leaf.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048


async def test_a_damaged_ca_is_named(plane: Plane) -> None:
    plane.ask()
    await plane.issuance.step()
    (plane.data / "ca" / "clusterissuers" / "workloads" / "ca.key").write_text("broken")
    plane.restart()
    await plane.issuance.step()

    assert plane.ready()[0] == "False"
    assert plane.condition("Issuing")["message"].endswith(
        "workloads/ca.key: expected a PEM private key, found something else"
    )


@pytest.mark.parametrize("lost", ["ca.key", "ca.crt"])
async def test_half_a_ca_is_never_replaced(plane: Plane, lost: str) -> None:
    plane.ask()
    await plane.issuance.step()
    folder = plane.data / "ca" / "clusterissuers" / "workloads"
    (folder / lost).unlink()
    [left] = list(folder.iterdir())
    before = left.read_bytes()

    plane.restart()
    await plane.issuance.step()

    message = plane.condition("Issuing")["message"]
    assert str(folder / "ca.key") in message
    assert str(folder / "ca.crt") in message
    assert list(folder.iterdir()) == [left]
    assert left.read_bytes() == before


@pytest.mark.parametrize("taken", ["evil", "shop/evil-mtls"])
async def test_a_folder_that_cannot_be_written_is_the_matter_of_its_certificate_alone(plane: Plane, taken: str) -> None:
    namespace = "evil" if taken == "evil" else "shop"
    plane.declare(Kind.NAMESPACE, {"name": "evil"})
    file = plane.data / "secrets" / taken
    file.parent.mkdir(parents=True)
    file.write_text("not a folder")
    plane.declare(
        Kind.CERTIFICATE,
        {"name": "a-evil", "namespace": namespace},
        spec={"secretName": "evil-mtls", "issuerRef": {"name": "workloads", "kind": "ClusterIssuer"}},
    )
    plane.ask()
    await plane.issuance.step()

    evil = plane.store.get(Key(Kind.CERTIFICATE, namespace, "a-evil"))
    assert evil is not None
    message = evil["status"]["conditions"][1]["message"]
    assert message.startswith(str(file))
    assert message.endswith("expected to be written: it is a file where a folder should be, or lies below one")
    assert plane.ready()[0] == "True"

    file.unlink()
    await plane.issuance.step()
    evil = plane.store.get(Key(Kind.CERTIFICATE, namespace, "a-evil"))
    assert evil is not None
    assert [c["status"] for c in evil["status"]["conditions"]] == ["True"]


async def test_a_certificate_is_used_for_a_while_however_early_its_renewal_is_asked_for(plane: Plane) -> None:
    plane.ask(duration="5s", renewBefore="4900ms")
    due = await plane.issuance.step()
    assert due == START + SHORTEST_USE
    assert await plane.issuance.step() == due
    assert plane.certificate["status"]["revision"] == 1


async def test_files_belong_to_the_certificate_they_were_issued_for(plane: Plane) -> None:
    plane.ask()
    plane.clock.now += timedelta(seconds=1)
    plane.ask("thief")
    assert plane.issuance.issued_folder(plane.certificate) is None
    await plane.issuance.step()

    thief = plane.store.get(Key(Kind.CERTIFICATE, "shop", "thief"))
    assert thief is not None
    assert plane.issuance.issued_folder(plane.certificate) == plane.folder
    assert plane.issuance.issued_folder(thief) is None


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    write_secret(tmp_path, {"tls.crt": b"old"})
    with pytest.raises(OSError, match="no/such/folder"):
        write_secret(tmp_path, {"tls.crt": b"new", "no/such/folder": b""})

    assert read_secret(tmp_path) == {"tls.crt": b"old"}
    assert len([path for path in tmp_path.iterdir() if path.is_dir() and not path.is_symlink()]) == 1
