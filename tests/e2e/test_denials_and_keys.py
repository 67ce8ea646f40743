"""Denied and revoked certificates, and clients known by keys, from YAML in a real API server to the token endpoint."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from holdfast.x509.certificate import Certificate
from tests.authserver.client_authentication import credentials
from tests.authserver.client_authentication.credentials import assertion, certificate_jwk, jwk, self_signed
from tests.core.x509.authority import Authority, Issued, new_key
from tests.denying import DNS, client, denying, hard_fail, partner, policy, revocation_list
from tests.e2e.tenant import TEN_LINES, Answer, Pair, Tenant, claims, eventually

pytestmark = pytest.mark.controlplane

IN_FORCE = 5.0  # seconds from `kubectl apply` on a machine that builds something else beside


@contextmanager
def _applied(tenant: Tenant, text: str, name: str) -> Iterator[None]:
    """A policy, which is the whole cluster's, for as long as the block runs."""
    tenant.apply(text)
    try:
        yield
    finally:
        tenant.cluster.kubectl("delete", "mtlspolicies.holdfast.dev", name, "--ignore-not-found")


def _written(tenant: Tenant, issued: Issued) -> Pair:
    folder = tenant.folder / issued.certificate.x5t_s256
    issued.write(folder)
    return Pair(folder)


def _is(ask: Callable[[], Answer], status: int, error: str | None = None) -> Callable[[], bool]:
    def check() -> bool:
        answer = ask()
        return (answer.status, answer.error) == (status, error)

    return check


def test_a_denied_certificate_is_refused_and_its_tokens_are_inactive(tenant: Tenant) -> None:
    namespace, audience, name = tenant.namespace, f"https://api.{tenant.namespace}.svc", f"stolen-{tenant.namespace}"
    tenant.apply(TEN_LINES.format(name="api", namespace=namespace) + f'  resourceServer: {{audiences: ["{audience}"]}}\n')
    tenant.wait_ready("api")
    tenant.apply(TEN_LINES.format(name="orders", namespace=namespace) + f'  resources: ["{audience}"]\n')
    tenant.wait_ready("orders")
    orders, api = tenant.pair("orders"), tenant.pair("api")
    token = tenant.token(f"{namespace}.orders", orders, resource=audience).body["access_token"]
    assert tenant.introspect(f"{namespace}.api", api, token).body["active"] is True
    thumbprint = Certificate.from_pem(orders.cert.read_bytes()).x5t_s256

    with _applied(tenant, denying(name, namespace, thumbprint), name):
        refused = _is(lambda: tenant.token(f"{namespace}.orders", orders), 401, "invalid_client")
        took = eventually(refused, IN_FORCE, "the denied certificate is refused")
        assert tenant.introspect(f"{namespace}.api", api, token).body == {"active": False}
        assert took < 2, f"{took:.1f} s"

    eventually(_is(lambda: tenant.token(f"{namespace}.orders", orders), 200), IN_FORCE, "no policy denies it any more")


def test_a_list_in_a_config_map_revokes_within_seconds(tenant: Tenant) -> None:
    namespace, name, root = tenant.namespace, f"hard-{tenant.namespace}", Authority.root("CN=Partner")
    tenant.apply(partner("partner", namespace, root))
    tenant.wait_ready("partner")
    stolen, good = root.issue(dns=[DNS]), root.issue(dns=[DNS])

    def ask(issued: Issued) -> Callable[[], Answer]:
        pair = _written(tenant, issued)
        return lambda: tenant.token(f"{namespace}.partner", pair)

    tenant.apply(revocation_list(namespace, Authority.root("CN=Partner")))
    with _applied(tenant, hard_fail(name, namespace), name):
        eventually(_is(ask(stolen), 503, "temporarily_unavailable"), IN_FORCE, "no list of this CA")
        tenant.apply(revocation_list(namespace, root))
        eventually(_is(ask(stolen), 200), IN_FORCE, "a list that does not name it")
        tenant.apply(revocation_list(namespace, root, [stolen.certificate.parsed.serial_number]))
        took = eventually(_is(ask(stolen), 401, "invalid_client"), IN_FORCE, "a list that names it")
        assert _is(ask(good), 200)()
        assert took < 2, f"{took:.1f} s"


def test_a_self_signed_certificate_goes_from_yaml_to_a_bound_token(tenant: Tenant) -> None:
    own, same_key = (first := self_signed("scanner")), self_signed("scanner", key=first.key)
    jwks = {"keys": [certificate_jwk(own, kid="one")]}
    authentication = {"method": "self_signed_tls_client_auth", "jwks": jwks}
    tenant.apply(client("scanner", tenant.namespace, authentication=authentication, scopes=["orders.read"]))
    tenant.wait_ready("scanner")
    client_id = f"{tenant.namespace}.scanner"

    issued = tenant.token(client_id, _written(tenant, own))

    assert issued.status == 200, issued
    assert claims(issued.body["access_token"])["cnf"] == {"x5t#S256": own.certificate.x5t_s256}
    refused = tenant.token(client_id, _written(tenant, same_key))
    assert (refused.status, refused.error) == (401, "invalid_client")


def test_a_signed_assertion_goes_from_yaml_to_a_bound_token_where_a_policy_allows_it(tenant: Tenant) -> None:
    key, name, client_id = new_key(), f"assertions-{tenant.namespace}", f"{tenant.namespace}.reports"
    jwks = {"keys": [jwk(key, kid="one", use="sig")]}
    reports = client(
        "reports", tenant.namespace, scopes=["orders.read"], certificate={"issuerRef": {"name": "workloads"}},
        authentication={"method": "private_key_jwt", "signingAlgorithm": "ES256", "jwks": jwks},
    )  # fmt: skip
    with tenant.cluster.webhooks_off():
        tenant.apply(reports)
    told = _reason(tenant, "MethodNotAllowed")
    eventually(told, IN_FORCE, "without a policy that names it, the method is not allowed")

    methods = {"allowedMethods": ["tls_client_auth", "private_key_jwt"]}
    with _applied(tenant, policy(name, tenant.namespace, authentication=methods), name):
        tenant.wait_ready("reports")
        pair = tenant.pair("reports")
        text = assertion(key, credentials.claims(tenant.cluster.issuer, datetime.now(UTC), client_id), kid="one")
        form = {"client_assertion_type": credentials.ASSERTION_TYPE, "client_assertion": text}
        issued, again = tenant.token(client_id, pair, **form), tenant.token(client_id, pair, **form)
        unsigned = tenant.token(client_id, pair)

    assert issued.status == 200, issued
    thumbprint = Certificate.from_pem(pair.cert.read_bytes()).x5t_s256
    assert claims(issued.body["access_token"])["cnf"] == {"x5t#S256": thumbprint}
    assert [(a.status, a.error) for a in (again, unsigned)] == [(401, "invalid_client")] * 2


def _reason(tenant: Tenant, reason: str) -> Callable[[], bool]:
    return lambda: tenant.condition("reports", "Accepted").get("reason") == reason
