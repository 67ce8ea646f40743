"""The parsers that strangers can reach, each as a function of bytes that raises only where a promise is broken.

Owns what each parser may raise, and what has to hold for what it reads. Neighbours: `run.py` feeds them for long,
tests/fuzz for a moment.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec

from holdfast.oauth.errors import InvalidClient, InvalidRequest, InvalidScope, InvalidTarget
from holdfast.oauth.jwks import JwkError, parse_jwk_set, read_jwk_set
from holdfast.oauth.messages import TokenRequest, parse_form
from holdfast.resource_server.errors import InvalidToken
from holdfast.resource_server.keys import KeySet, VerificationKey
from holdfast.resource_server.verification import verify_signature
from holdfast.x509.certificate import Certificate, CertificateError, load_pem_bundle
from holdfast.x509.dn_text import DistinguishedNameError
from holdfast.x509.names import parse_dn
from holdfast_authserver.client_authentication.assertion import check_claims, read_assertion
from holdfast_authserver.transport.forwarded.malformed_field import MalformedField
from holdfast_authserver.transport.forwarded.rfc9440 import CHAIN, LEAF, read_rfc9440
from holdfast_authserver.transport.forwarded.xfcc import FIELD, read_xfcc

_KEYS = KeySet({"one": VerificationKey("one", ("ES256",), ec.generate_private_key(ec.SECP256R1()).public_key())})
_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def form(data: bytes) -> None:
    """The body of a token request; whatever is read has each parameter once, but for `resource`."""
    with suppress(InvalidRequest, InvalidScope, InvalidTarget):
        found = parse_form(data)
        TokenRequest.from_form(found)


def distinguished_name(data: bytes) -> None:
    """A DN as people write it; what was read is read again from its own text, as the same name."""
    with suppress(DistinguishedNameError):
        name = parse_dn(data.decode("utf-8", "surrogateescape"))
        assert parse_dn(str(name)).canonical == name.canonical


def certificate(data: bytes) -> None:
    """A certificate in DER; whoever looks at any part of it gets a value or a CertificateError."""
    with suppress(CertificateError):
        found = Certificate.from_der(data)
        assert len(found.x5t_s256) == 43
        for name in ("subject", "issuer", "uris", "dns_names", "ip_addresses", "email_addresses", "is_ca", "not_after"):
            with suppress(CertificateError):
                getattr(found, name)


def pem_bundle(data: bytes) -> None:
    """Certificates in PEM."""
    with suppress(CertificateError):
        assert load_pem_bundle(data)


def access_token(data: bytes) -> None:
    """An access token; nothing that was not signed by our key verifies."""
    with suppress(InvalidToken):
        verify_signature(data.decode("utf-8", "surrogateescape"), _KEYS)
        raise AssertionError("a token that nobody signed was taken")


def client_assertion(data: bytes) -> None:
    """A client assertion up to its signature."""
    with suppress(InvalidClient):
        claims = read_assertion(data.decode("utf-8", "surrogateescape")).claims
        check_claims(claims, client_id="shop.orders", issuer="https://as.example", at=_NOW)


def jwk_set(data: bytes) -> None:
    """A client's keys; what the strict reader takes, the lenient one takes whole."""
    with suppress(ValueError, RecursionError):  # of JSON; JwkError is the readers' own
        value = json.loads(data)
        with suppress(JwkError):
            keys = parse_jwk_set(value)
            assert read_jwk_set(value) == (keys, ())
        with suppress(JwkError):
            read_jwk_set(value)


def client_cert(data: bytes) -> None:
    """RFC 9440: leaf and chain, split at the first line feed."""
    leaf, _, chain = data.decode("latin-1").partition("\n")
    with suppress(MalformedField):
        assert read_rfc9440({LEAF: leaf, CHAIN: chain}) or not leaf


def xfcc(data: bytes) -> None:
    """Envoy's header, from one or two proxies."""
    text = data.decode("latin-1")
    for hops in (1, 2):
        with suppress(MalformedField):
            read_xfcc({FIELD: text}, hops=hops)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        form,
        distinguished_name,
        certificate,
        pem_bundle,
        access_token,
        client_assertion,
        jwk_set,
        client_cert,
        xfcc,
    )
}

SEEDS: Mapping[str, tuple[bytes, ...]] = {
    "form": (b"grant_type=client_credentials&client_id=shop.orders&scope=a+b&resource=https%3A%2F%2Fa.example",),
    "distinguished_name": (b"CN=orders,O=Shop", rb"CN=a\,b+OU=x,2.5.4.3=#0c0161", b"emailAddress=a@b, serialNumber=1"),
    "access_token": (b"eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6Im9uZSJ9.e30.AAAA",),
    "client_assertion": (b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJzaG9wLm9yZGVycyIsInN1YiI6InNob3Aub3JkZXJzIn0.AAAA",),
    "jwk_set": (b'{"keys":[{"kty":"EC","crv":"P-256","x":"","y":"","kid":"a","alg":"ES256","x5c":[""]}]}',),
    "client_cert": (b":MIIB:\n:MIIB:, :MIIB:",),
    "xfcc": (b'By=spiffe://a;Hash=00;Cert="-----BEGIN%20CERTIFICATE-----";Chain="x",By=b;URI=c',),
    "pem_bundle": (b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",),
}
"""What a search begins with, where bytes out of nothing would not get far."""
