"""CertificateRequests with real signing requests in them, good and bad ones alike.

`csr` makes the PEM, `certificate_request` the object as the API server would show it. Neighbours: the tests of the approver.
"""

import base64
import ipaddress
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from holdfast_operator.reconcile.ports import Object

CERT_MANAGER = "system:serviceaccount:cert-manager:cert-manager"
OWN = "spiffe://cluster.local/ns/shop/sa/orders"
USAGES = ("client auth", "digital signature")

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def csr(
    *,
    uris: Sequence[str] = (OWN,),
    dns: Sequence[str] = (),
    emails: Sequence[str] = (),
    ips: Sequence[str] = (),
    others: Sequence[x509.GeneralName] = (),
    subject: str = "",
    key: Key | None = None,
    ca: bool = False,
    extensions: Sequence[x509.ExtensionType] = (),
    challenge: bytes | None = None,
) -> bytes:
    """PEM. The order of the names is the order of the arguments."""
    names: list[x509.GeneralName] = [
        *map(x509.UniformResourceIdentifier, uris),
        *map(x509.DNSName, dns),
        *map(x509.RFC822Name, emails),
        *(x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips),
        *others,
    ]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name.from_rfc4514_string(subject))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not subject)
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    if challenge is not None:
        builder = builder.add_attribute(x509.oid.AttributeOID.CHALLENGE_PASSWORD, challenge)
    key = key or ec.generate_private_key(ec.SECP256R1())
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM)


def tampered(pem: bytes, before: bytes, after: bytes) -> bytes:
    """The same request with other bytes of the same length under its signature."""
    der = x509.load_pem_x509_csr(pem).public_bytes(Encoding.DER)
    assert (len(before), der.count(before)) == (len(after), 1)
    return as_pem(der.replace(before, after))


def as_pem(der: bytes) -> bytes:
    body = base64.b64encode(der)
    lines = b"\n".join(body[at : at + 64] for at in range(0, len(body), 64))
    return b"-----BEGIN CERTIFICATE REQUEST-----\n" + lines + b"\n-----END CERTIFICATE REQUEST-----\n"


def certificate_request(
    pem: bytes | None = None,
    *,
    namespace: str = "shop",
    name: str = "orders-1",
    username: str | None = CERT_MANAGER,
    status: Object | None = None,
    owners: Sequence[Object] = (),
    **spec: Any,
) -> Object:
    """For the ClusterIssuer `workloads`, as cert-manager asks it for a Certificate, unless the arguments say otherwise."""
    written: Object = {
        "issuerRef": {"name": "workloads", "kind": "ClusterIssuer", "group": "cert-manager.io"},
        "request": base64.b64encode(csr() if pem is None else pem).decode(),
        "usages": list(USAGES),
        "duration": "24h0m0s",
        **({} if username is None else {"username": username}),
        **spec,
    }
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "CertificateRequest",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "uid": f"uid-of-{name}",
            "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            **({"ownerReferences": list(owners)} if owners else {}),
        },
        "spec": {k: v for k, v in written.items() if v is not None},
        **({"status": status} if status else {}),
    }


def decided(kind: str, reason: str) -> Object:
    """A status with one condition."""
    return {"conditions": [{"type": kind, "status": "True", "reason": reason, "message": "said before"}]}
