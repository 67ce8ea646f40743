"""What the server holds a certificate to for one client, as steps: rule, expected, seen, verdict.

Owns the choice by the client's method, and the words for methods that do not judge a path. The steps of `tls_client_auth`
are the server's own (`tls_explanation`). Neighbours: `why_registry` reads, `why` prints.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from holdfast.oauth.jwks import Jwk
from holdfast.x509.certificate import Certificate, CertificateError
from holdfast.x509.explain import Step
from holdfast_authserver.client_authentication import private_key_jwt, self_signed_tls_client_auth, tls_client_auth
from holdfast_authserver.client_authentication.self_signed_tls_client_auth import registered_certificate
from holdfast_authserver.client_authentication.tls_explanation import explain
from holdfast_authserver.registry.snapshot import ServedClient
from holdfast_cli.why_registry import Served

_ASSERTION, _REGISTERED = "client assertion", "the certificate is registered"
_DECISIVE = (_ASSERTION, _REGISTERED)
"""Rules that a client is known by: where one was not looked at, nothing is known of the whole."""


def accepted(found: Iterable[Step]) -> bool | None:
    """Whether the server would take the certificate; None: it cannot be said from what was looked at."""
    found = tuple(found)
    if any(step.ok is False for step in found):
        return False
    return None if any(step.ok is None and step.rule in _DECISIVE for step in found) else True


def steps(ders: Sequence[bytes], client_id: str, served: Served, at: datetime) -> tuple[Step, ...]:
    """Every rule for these certificates (DER, leaf first) as this client's. None of them says no: accepted."""
    client = served.client
    if client is None:
        return (Step("the client is registered", client_id, "nobody of this id", False),)
    method = client.metadata.token_endpoint_auth_method
    if method == tls_client_auth.NAME:
        return explain(ders, client, at=at, denied=served.denied, crls=served.lists)
    by_method = {self_signed_tls_client_auth.NAME: _self_signed, private_key_jwt.NAME: _by_assertion}
    judge = by_method.get(method)
    if judge is None:
        return (Step("authentication method", "one that is served", method, False),)
    return (*_client(client), *judge(ders, client, served, at), _policy(client))


def _client(client: ServedClient) -> Iterator[Step]:
    suspended = client.metadata.suspended
    yield Step("authentication method", "as registered", client.metadata.token_endpoint_auth_method, True)
    yield Step("the client is served", "not suspended", "suspended" if suspended else "not suspended", not suspended)


def _policy(client: ServedClient) -> Step:
    decision = client.decision
    seen = "allowed" if decision.allowed else f"{decision.reason}: {decision.message}"
    return Step("policy on the registration", "allowed", seen, decision.allowed)


def _self_signed(ders: Sequence[bytes], client: ServedClient, served: Served, at: datetime) -> Iterator[Step]:
    """The whole certificate is compared; who issued it and what it says mean nothing."""
    leaf = _leaf(ders)
    if leaf is None:
        yield Step("the certificate can be read", "an X.509 certificate", "none", False)
        return
    yield _denied(leaf, served)
    keys = client.metadata.jwks
    if keys is None:
        seen = f"the server fetches them from {client.metadata.jwks_uri}; they are not looked at here"
        yield Step(_REGISTERED, f"{leaf.x5t_s256} among those of jwks_uri", seen, None)
        return
    found = registered_certificate(keys, leaf.x5t_s256, at)
    yield Step(_REGISTERED, f"one of {_thumbprints(keys)}", leaf.x5t_s256, found is not None)
    if found is not None:
        yield _validity(found, at, ends=not client.metadata.accept_expired_certificate)


def _validity(leaf: Certificate, at: datetime, *, ends: bool) -> Step:
    seen = f"from {leaf.not_before:%Y-%m-%d %H:%M:%S} to {leaf.not_after:%Y-%m-%d %H:%M:%S} UTC"
    if not ends:
        return Step("validity", "any: this client's certificates count beyond their end", seen, True)
    return Step("validity", f"valid at {at:%Y-%m-%d %H:%M:%S} UTC", seen, leaf.not_before <= at <= leaf.not_after)


def _by_assertion(ders: Sequence[bytes], client: ServedClient, served: Served, at: datetime) -> Iterator[Step]:
    """The certificate proves nothing here; it is what tokens are bound to."""
    keys = client.metadata.jwks
    held = (
        f"one of {', '.join(key.kid or 'without kid' for key in keys)}" if keys else f"a key of {client.metadata.jwks_uri}"
    )
    expected = f"a JWT with iss = sub = {client.metadata.client_id}, aud = the issuer, exp, a new jti, signed by {held}"
    yield Step(_ASSERTION, expected, "no certificate can stand in for it", None)
    leaf = _leaf(ders)
    if leaf is not None:
        yield _denied(leaf, served)
        yield Step("binding", "a certificate on the connection", f"tokens are bound to {leaf.x5t_s256}", True)


def _denied(leaf: Certificate, served: Served) -> Step:
    hit = leaf.x5t_s256 in served.denied
    expected = f"none of the {len(served.denied)} that are denied"
    return Step("denied certificates", expected, leaf.x5t_s256 if hit else "none", not hit)


def _leaf(ders: Sequence[bytes]) -> Certificate | None:
    try:
        return Certificate.from_der(ders[0]) if ders else None
    except CertificateError:
        return None


def _thumbprints(keys: tuple[Jwk, ...]) -> str:
    return ", ".join(key.certificate.x5t_s256 for key in keys if key.certificate is not None) or "none"
