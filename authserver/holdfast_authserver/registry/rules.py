"""What the registry itself asks of a registration, whoever writes it.

Whether a policy allows the client is not asked here: a denied client is registered as such, so that a stricter policy
takes effect on a client that breaks it. Pure. Neighbours: `claims`, `writer`.
"""

import re
from collections.abc import Collection, Iterator
from urllib.parse import urlsplit

from holdfast.oauth.client_metadata import ClientMetadata, Problem
from holdfast.policy.model import MTLS_METHODS
from holdfast.registry.port import RefusalReason, RegistrationRefused
from holdfast.x509.certificate import CertificateError
from holdfast.x509.chain import PathError
from holdfast_authserver.registry.anchors import parse_anchor

_CLIENT_ID = re.compile(r"[\x21-\x7e]{1,255}")
"""VSCHAR without the space (RFC 6749 appendix A.1); a length that fits a JWT, a log line and a URL."""
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,255}")
"""scope-token (RFC 6749 section 3.3)."""
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
"""RFC 1123 subdomain, the widest form a namespace, an object or a ServiceAccount may have."""
_MAX_LIFETIME = 24 * 3600  # seconds; a longer access token would be a long-term credential (RFC 9700 section 2.2)
_METHODS = MTLS_METHODS | {"private_key_jwt"}
"""Those that can be registered; which of them a client may have is its policy's to say."""


def check_metadata(client: ClientMetadata) -> None:
    """Raises RegistrationRefused (invalid_client_metadata) with every problem."""
    problems = tuple(_problems(client))
    if problems:
        text = "; ".join(f"{p.field}: {p.message}" for p in problems)
        raise RegistrationRefused(RefusalReason.INVALID_CLIENT_METADATA, f"client {client.client_id!r}: {text}", problems)


def check_introspection_algorithm(client: ClientMetadata, served: Collection[str]) -> None:
    """`served`: what this server signs with. Raises RegistrationRefused (RFC 9701 section 6, T-03)."""
    wanted = client.introspection_signed_response_alg
    if wanted is not None and wanted not in served:
        found = Problem("introspection_signed_response_alg", f"expected one of {', '.join(served)}, found {wanted[:80]!r}")
        text = f"client {client.client_id!r}: {found.field}: {found.message}"
        raise RegistrationRefused(RefusalReason.INVALID_CLIENT_METADATA, text, (found,))


def _problems(client: ClientMetadata) -> Iterator[Problem]:
    if not _CLIENT_ID.fullmatch(client.client_id):
        yield Problem("client_id", f"expected 1 to 255 printable ASCII characters, found {client.client_id[:80]!r}")
    yield from _owner_problems(client)
    yield from _authentication_problems(client)
    for scope in client.scopes:
        if not _SCOPE.fullmatch(scope):
            yield Problem("scope", f"expected scope tokens of RFC 6749 section 3.3, found {scope[:80]!r}")
    yield from _uri_problems("holdfast.resources", client.resources)
    if client.resource_server is not None:
        yield from _uri_problems("holdfast.resource_server.audiences", client.resource_server.audiences)
    lifetime = client.token_lifetime
    if lifetime is not None and not 1 <= lifetime <= _MAX_LIFETIME:
        yield Problem("holdfast.token_lifetime", f"expected 1 to {_MAX_LIFETIME} seconds, found {lifetime}")


def _owner_problems(client: ClientMetadata) -> Iterator[Problem]:
    owner = client.owner
    for field, value in (("namespace", owner.namespace), ("name", owner.name), ("service_account", owner.service_account)):
        if not _NAME.fullmatch(value) or len(value) > 253:
            yield Problem(f"holdfast.owner.{field}", f"expected a Kubernetes name, found {value[:80]!r}")
    if not 1 <= len(owner.uid) <= 253:
        yield Problem("holdfast.owner.uid", f"expected 1 to 253 characters, found {len(owner.uid)}")


def _authentication_problems(client: ClientMetadata) -> Iterator[Problem]:
    method = client.token_endpoint_auth_method
    if method not in _METHODS:
        yield Problem("token_endpoint_auth_method", f"expected one of {', '.join(sorted(_METHODS))}, found {method!r}")
    yield from _key_problems(client)
    if client.subject is not None and method != "tls_client_auth":
        yield Problem("tls_client_auth_*", f"expected none with {method}, found {client.subject.value!r}")
    for i, anchor in enumerate(client.trust_anchors):
        try:
            parse_anchor(anchor.der)
        except (CertificateError, PathError) as error:
            yield Problem(f"holdfast.trust_anchors[{i}]", f"expected a CA certificate: {error}")


def _key_problems(client: ClientMetadata) -> Iterator[Problem]:
    """Keys come by value or by reference; whether there are any is asked with the policies (RFC 7591 section 2)."""
    if client.jwks is not None and client.jwks_uri is not None:
        yield Problem("jwks_uri", "expected either jwks or jwks_uri, found both")
    if client.jwks_uri is not None and not (client.jwks_uri.startswith("https://") and is_absolute_uri(client.jwks_uri)):
        yield Problem("jwks_uri", f"expected an https URL without fragment, found {client.jwks_uri[:200]!r}")
    method = client.token_endpoint_auth_method
    if method == "self_signed_tls_client_auth" and client.jwks and not any(key.certificate for key in client.jwks):
        yield Problem("jwks", "expected a key with a certificate (x5c) for self_signed_tls_client_auth, found none")


def _uri_problems(field: str, values: tuple[str, ...]) -> Iterator[Problem]:
    for i, value in enumerate(values):
        if not is_absolute_uri(value):
            yield Problem(f"{field}[{i}]", f"expected an absolute URI without fragment, found {value[:200]!r}")
    if len(set(values)) != len(values):
        yield Problem(field, "expected each entry once, found a repetition")


def is_absolute_uri(value: str) -> bool:
    """A resource indicator as RFC 8707 section 2 wants it."""
    if not value.isascii() or any(c <= " " or c == "\x7f" for c in value) or "#" in value or len(value) > 2048:
        return False
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return False
    return bool(parts.scheme and (parts.netloc or parts.path))
