"""Each reason of the closed set is given by the code that gives it, in a world of values that leads there.

One row for each: a reason without a row fails, and so does a row that does not produce its reason.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast.api.v1alpha1.conditions import Reason, reason
from holdfast.clock import system_clock
from holdfast.oauth.certificate_key import certificate_key
from holdfast.policy.decision import Decision
from holdfast.policy.evaluate import evaluate_client
from holdfast.registry.port import RefusalReason, RegistrationRefused
from holdfast_operator.approval.approver import Approver
from holdfast_operator.approval.holders import Holders
from holdfast_operator.approval.judge import Rules
from holdfast_operator.approval.owner import Owners
from holdfast_operator.converge.policy_config_maps import PolicyConfigMaps
from holdfast_operator.reconcile.actions import PutClient
from holdfast_operator.reconcile.breaches import breaches_of_known, known_client
from holdfast_operator.reconcile.census import Census
from holdfast_operator.reconcile.drift import drift_corrected_by
from holdfast_operator.reconcile.observed import Observed, RegistrySeen, RegistryUnreachable
from holdfast_operator.reconcile.plan import plan
from holdfast_operator.reconcile.policies import in_force
from holdfast_operator.reconcile.policy_plan import ObservedPolicy, plan_policy
from holdfast_operator.reconcile.ports import Key, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.core.x509.authority import DAY, NOW, Authority
from tests.operator.certificate_requests import certificate_request as signing_request
from tests.operator.certificate_requests import decided
from tests.operator.simulated import (
    FOREIGN,
    ISSUER,
    ROOT,
    SPIFFE,
    certificate_request,
    config_map,
    converge,
    issue,
    mtls_policy,
    oauth_client,
    observed,
    registered_world,
    stored_client,
    with_stored,
)
from tests.operator.small_house import house, manifest
from tests.registry_conformance.registrations import BUILT_IN, a_client

GUARDED = ReconcileSettings(guarded_issuers=frozenset({"workloads"}))
ENDED = Authority.root("CN=ended", not_after=NOW - DAY)
KEY = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
LEAF = ROOT.issue("CN=cart", dns=["cart.shop.svc"])
ALL_METHODS = mtls_policy(
    "methods", authentication={"allowedMethods": ["tls_client_auth", "self_signed_tls_client_auth", "private_key_jwt"]}
)
CRLS = [{"configMapKeyRef": {"namespace": "platform", "name": "crls", "key": "ca.crl"}}]


def said(world: Observed) -> set[str]:
    """Every reason of the conditions and events of a client, on its way until nothing is left to do."""
    before = world
    world, planned, _ = converge(before)
    first = plan(before)
    shown = [*(first.status or {}).get("conditions", ()), *world.client.get("status", {}).get("conditions", ())]
    return {c["reason"] for c in shown} | {e.reason for e in (*first.events, *planned.events)}


def settled(client: Object | None = None, *policies: Object, **world: Any) -> set[str]:
    """Of a client that had its certificate issued, where it got that far."""
    after, _, _ = converge(observed(client, policies=policies, **world))
    if after.client["spec"].get("certificate") and after.certificates:
        after = issue(after)
    return said(after)


def with_issued(**request: Any) -> set[str]:
    asked, _, _ = converge(observed())
    return said(replace(issue(asked), requests=(certificate_request(**request),)))


def with_condition(kind: str, **condition: Any) -> set[str]:
    """While cert-manager says that of the Certificate."""
    asked, _, _ = converge(observed())
    (certificate,) = asked.certificates
    shown = {**certificate, "status": {"conditions": [{"type": kind, "message": "no", **condition}]}}
    return said(replace(asked, certificates=(shown,)))


def by_anchors(pem: str | None, **authentication: Any) -> set[str]:
    """Of a client that brings its certificate, with that in its ConfigMap."""
    anchors = [{"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}]
    method = {"subject": {"dns": "a.test"}, "trustAnchors": anchors, **authentication}
    maps = {} if pem is None else {"ca": config_map("ca", **{"ca.crt": pem})}
    return said(observed(oauth_client(certificate=None, authentication=method), config_maps=maps))


def by_keys(not_after: timedelta, ca: bool = False) -> set[str]:
    own = FOREIGN.certificate if ca else FOREIGN.issue("CN=me", not_after=NOW + not_after).certificate
    method = {"method": "self_signed_tls_client_auth", "jwks": {"keys": [certificate_key(own).to_json()]}}
    return said(observed(oauth_client(certificate=None, authentication=method)))


def of_policy(maps: dict[tuple[str, str], Object | None] | None = None, **spec: Any) -> set[str]:
    policy = mtls_policy("strict", **spec)
    census, found = Census(ReconcileSettings()), in_force(policy, maps or {})
    *_, count = census.count(found, [found], {})
    assert count is not None
    planned = plan_policy(ObservedPolicy(policy=policy, found=found, count=count, now=NOW))
    assert planned.status is not None
    return {c["reason"] for c in planned.status["conditions"]}


def refused_by_registry(why: RefusalReason) -> set[str]:
    world = registered_world()
    assert isinstance(world.registry, RegistrySeen)
    return said(replace(world, registry=replace(world.registry, refusal=RegistrationRefused(why, "no"))))


def renewed() -> set[str]:
    world = registered_world()
    return said(issue(world, uris=[SPIFFE], not_after=NOW + 90 * DAY))


def denied(decision: Decision) -> set[str]:
    """What is judged of a registration as such: the rules of the schema keep it from being written."""
    assert decision.reason is not None
    return {reason(decision.reason.value)}


def drifted() -> set[str]:
    world = registered_world()
    gone = with_stored(world, None)
    put = next(action for action in plan(gone).actions if isinstance(action, PutClient))
    drift = drift_corrected_by(put, gone)
    assert drift is not None
    return {drift.event.reason}


def taken_names(*certificates: Object) -> set[str]:
    return said(observed(certificates=certificates))


def certificate(name: str, secret: str) -> Object:
    return {"metadata": {"name": name, "namespace": "shop", "uid": "x"}, "spec": {"secretName": secret}}


def told_of_token() -> set[str]:
    world = registered_world()
    assert isinstance(world.registry, RegistrySeen)
    assert world.registry.stored is not None
    return said(with_stored(world, stored_client(world.registry.stored.metadata, last_token_at=NOW)))


def past_the_approver() -> set[str]:
    world = registered_world(settings=GUARDED)
    (request,) = world.requests
    approved = {**request["status"], **decided("Approved", "cert-manager.io")}
    return said(replace(world, requests=({**request, "status": approved},)))


def held(namespace: str) -> set[str]:
    """The client id is that of an object there."""
    return said(with_stored(observed(), stored_client(a_client(namespace, "other", client_id="shop.orders"))))


def anchored(names_them: bool) -> set[str]:
    pins = mtls_policy("pins", certificates={"trustAnchors": [{"configMapKeyRef": {"namespace": "p", "name": "roots"}}]})
    roots = config_map("roots", **{"ca.crt": (ROOT if names_them else FOREIGN).pem.decode()})
    return settled(None, pins, policy_config_maps={("p", "roots"): roots})


ROWS: dict[Reason, Callable[[], set[str]]] = {
    Reason.READY: lambda: said(registered_world()) | settled(),
    Reason.SUSPENDED: lambda: settled(oauth_client(suspend=True)),
    Reason.ACCEPTED: settled,
    Reason.CERTIFICATE_ISSUED: settled,
    Reason.CERTIFICATE_RENEWED: renewed,
    Reason.OWN_CERTIFICATE: lambda: by_anchors(FOREIGN.pem.decode()),
    Reason.OWN_KEYS: lambda: by_keys(100 * DAY),
    Reason.REGISTERED: settled,
    Reason.TOKEN_ISSUED: told_of_token,
    Reason.NO_TOKEN_YET: settled,
    Reason.ENFORCED: of_policy,
    Reason.OBSERVED: lambda: of_policy(mode="Audit"),
    Reason.CERTIFICATE_PENDING: lambda: said(observed()),
    Reason.REGISTRATION_PENDING: lambda: said(observed()),
    Reason.REGISTRY_UNAVAILABLE: lambda: said(observed(registry=RegistryUnreachable(message="away"))),
    Reason.INVALID_SPEC: lambda: said(observed(oauth_client(authentication={"subject": {"dn": "no name"}}))),
    Reason.POLICY_NOT_ACCEPTED: lambda: settled(
        None, mtls_policy("bad", certificates={"allowedSubjects": {"ipAddresses": ["10.0.0.0/99"]}})
    ),
    Reason.METHOD_NOT_ALLOWED: lambda: settled(
        None, mtls_policy("p", authentication={"allowedMethods": ["private_key_jwt"]})
    ),
    Reason.BINDING_REQUIRED: lambda: settled(oauth_client(tokens={"certificateBound": False})),
    Reason.LIFETIME_TOO_LONG: lambda: settled(
        oauth_client(tokens={"lifetime": "2m"}), mtls_policy("p", tokens={"maxLifetime": "1m"})
    ),
    Reason.SUBJECT_NOT_ALLOWED: lambda: settled(
        oauth_client(authentication={"subject": {"uri": "spiffe://cluster.local/ns/web/sa/cart"}})
    ),
    Reason.SUBJECT_MISSING: lambda: denied(evaluate_client(a_client(subject=None), BUILT_IN)),
    Reason.SUBJECT_TAKEN: lambda: refused_by_registry(RefusalReason.SUBJECT_TAKEN),
    Reason.ISSUER_NOT_ALLOWED: lambda: settled(None, mtls_policy("p", certificates={"allowedIssuers": []})),
    Reason.CLIENT_ID_NOT_ALLOWED: lambda: settled(oauth_client(clientId="web.cart")),
    Reason.CLIENT_ID_TAKEN: lambda: held("web"),
    Reason.AUDIENCE_NOT_ALLOWED: lambda: settled(oauth_client(resourceServer={"audiences": ["https://a.fin.svc"]})),
    Reason.GRANT_TYPE_NOT_ALLOWED: lambda: settled(None, mtls_policy("p", grants={"allowedGrantTypes": []})),
    Reason.KEYS_MISSING: lambda: settled(
        oauth_client(certificate=None, authentication={"method": "private_key_jwt"}), ALL_METHODS
    ),
    Reason.DURATION_TOO_LONG: lambda: settled(
        oauth_client(certificate={"issuerRef": {"name": "workloads"}, "duration": "3h"}),
        mtls_policy("p", certificates={"maxDuration": "2h"}),
    ),
    Reason.TRUST_ANCHOR_NOT_ALLOWED: lambda: anchored(False),
    Reason.KEY_TOO_SMALL: lambda: settled(
        oauth_client(certificate={"issuerRef": {"name": "workloads"}, "privateKey": {"algorithm": "ECDSA", "size": 256}}),
        mtls_policy("p", certificates={"minimumKey": {"ecBits": 384}}),
    ),
    Reason.CERTIFICATE_DENIED: lambda: breaches_of_denied(),
    Reason.AUDIENCE_TAKEN: lambda: refused_by_registry(RefusalReason.AUDIENCE_TAKEN),
    Reason.RESOURCE_NOT_ALLOWED: lambda: with_owners({"https://a.fin.svc": None}),
    Reason.SCOPE_NOT_ALLOWED: lambda: settled(oauth_client(scopes=["x"]), mtls_policy("p", grants={"allowedScopes": ["y"]})),
    Reason.POLICY_WARNING: lambda: settled(
        oauth_client(tokens={"lifetime": "2m"}), mtls_policy("p", mode="Warn", tokens={"maxLifetime": "1m"})
    ),
    Reason.ISSUER_NOT_FOUND: lambda: said(observed(issuer=None)),
    Reason.ISSUER_NOT_READY: lambda: unready_issuer(),
    Reason.CERTIFICATE_FAILED: lambda: with_condition("Issuing", status="False", reason="Failed"),
    Reason.CERTIFICATE_REJECTED: lambda: said(observed(certificate_rejected="duration too short")),
    Reason.CERTIFICATE_INVALID: lambda: with_issued(dns=["another.test"]),
    Reason.CERTIFICATE_NAME_TAKEN: lambda: taken_names(certificate("orders", "x")),
    Reason.SECRET_NAME_TAKEN: lambda: taken_names(certificate("another", "orders-mtls")),
    Reason.TRUST_ANCHOR_NOT_FOUND: lambda: by_anchors(None),
    Reason.TRUST_ANCHOR_MISSING: lambda: with_issued(uris=[SPIFFE], ca=b""),
    Reason.TRUST_ANCHOR_UNREADABLE: lambda: by_anchors("garbage"),
    Reason.PRIVATE_KEY_EXPOSED: lambda: by_anchors(KEY),
    Reason.TRUST_ANCHOR_NOT_AUTHORITY: lambda: by_anchors(LEAF.cert_pem.decode()),
    Reason.TRUST_ANCHOR_INVALID: lambda: by_anchors(ENDED.pem.decode()),
    Reason.CERTIFICATE_IS_AUTHORITY: lambda: by_keys(DAY, ca=True),
    Reason.APPROVED_BY_CERT_MANAGER: past_the_approver,
    Reason.CERTIFICATE_EXPIRING: lambda: by_keys(timedelta(hours=1)),
    Reason.REGISTRATION_REFUSED: lambda: refused_by_registry(RefusalReason.INVALID_CLIENT_METADATA),
    Reason.NOT_REGISTERED: lambda: settled(oauth_client(tokens={"certificateBound": False})),
    Reason.DRIFT_CORRECTED: drifted,
    Reason.INVALID_PATTERN: lambda: of_policy(certificates={"allowedSubjects": {"ipAddresses": ["10.0.0.0/99"]}}),
    Reason.REVOCATION_LIST_NOT_FOUND: lambda: of_policy(
        {("platform", "crls"): None}, certificates={"revocation": {"mode": "SoftFail", "crls": CRLS}}
    ),
    Reason.REVOCATION_LIST_INVALID: lambda: of_policy(
        {("platform", "crls"): config_map("crls", **{"ca.crl": "garbage"})},
        certificates={"revocation": {"mode": "SoftFail", "crls": CRLS}},
    ),
}
"""How each is come to."""
ELSEWHERE = {Reason.CONFIG_MAP_TAKEN, Reason.CERTIFICATE_REQUEST_DENIED}
"""Events of other objects, which no plan gives: the two tests at the end."""


def with_owners(owners: dict[str, Any]) -> set[str]:
    world = registered_world(oauth_client(resources=list(owners)))
    assert isinstance(world.registry, RegistrySeen)
    return said(replace(world, registry=replace(world.registry, owners=owners)))


def unready_issuer() -> set[str]:
    asked, _, _ = converge(observed())
    away = {**ISSUER, "status": {"conditions": [{"type": "Ready", "status": "False", "message": "no vault"}]}}
    return said(replace(asked, issuer=away))


def breaches_of_denied() -> set[str]:
    """What a policy says of the certificate that a client's status shows."""
    client = registered_world().client
    thumbprint = client["status"]["certificate"]["thumbprint"]
    found = in_force(mtls_policy("stolen", certificates={"deniedThumbprints": [thumbprint]}))
    known = known_client(client, "cluster.local")
    assert (found.policy is None, known is None) == (False, False)
    breaches = breaches_of_known(known, [found.policy], ReconcileSettings(), frozenset())  # type: ignore[arg-type, list-item]
    return {breach.reason.value for breach in breaches}


def test_every_reason_has_its_row() -> None:
    assert set(ROWS) | ELSEWHERE == set(Reason)


@pytest.mark.parametrize("wanted", ROWS, ids=str)
def test_a_reason_is_produced(wanted: Reason) -> None:
    assert wanted in ROWS[wanted]()


async def test_a_config_map_of_our_name_that_is_not_ours_is_told_of(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "holdfast", "namespace": "shop"}, "data": {}}
        await home.write("orders.yaml", manifest(), theirs)
        await home.reconciler.reconcile(Key(Kind.CONFIG_MAP, "shop", "holdfast"))

        assert Reason.CONFIG_MAP_TAKEN in {event.reason for event in home.cluster.events}


class OneRequest:
    """A cluster with one CertificateRequest; what is said at it is kept."""

    def __init__(self, request: Object) -> None:
        self.request = request
        self.events: list[str] = []

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return self.request if kind is Kind.CERTIFICATE_REQUEST else None

    async def list(self, kind: Kind) -> tuple[Object, ...]:
        return ()

    async def apply_status(self, kind: Kind, obj: Object) -> Object:
        return {**self.request, "status": obj["status"]}

    async def record_event(self, kind: Kind, obj: Object, *, warning: bool, reason: str, message: str) -> None:
        self.events.append(reason)


async def test_a_request_that_is_denied_is_told_of() -> None:
    cluster: Any = OneRequest(signing_request(username="system:serviceaccount:web:thief"))
    rules = Rules(issuers=GUARDED.guarded_issuers, trust_domain="cluster.local", cert_manager="cm", max_duration=86400)
    owners = Owners(cluster, PolicyConfigMaps(cluster, system_clock, 10.0), Holders(GUARDED.guarded_issuers), GUARDED)
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    approver = Approver(cluster, owners, rules, system_clock, lambda decision, reason: told.set_result(decision))

    approver.on_change(cluster.request)
    running = asyncio.create_task(approver.run())

    assert await told == "denied"
    running.cancel()
    assert cluster.events == [Reason.CERTIFICATE_REQUEST_DENIED]
