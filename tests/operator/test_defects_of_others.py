"""What hurt the users of comparable operators, each tried here and named after its public thread.

One test for each defect that concerns an operator; what concerns the server, a chart or a sidecar has its tests there. Most
need no more than values or a folder: where a control plane shows more, the docstring names the file.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from holdfast.api.v1alpha1.crd import crds
from holdfast.api.v1alpha1.validation import InvalidObject, apply_defaults_and_validate
from holdfast.oauth.certificate_key import certificate_key
from holdfast.registry.port import RegistryUnavailable, StaleTerm
from holdfast_operator.reconcile.actions import DeleteClient, PutClient, RemoveFinalizer
from holdfast_operator.reconcile.names import client_id_of
from holdfast_operator.reconcile.observed import Observed, RegistrySeen, RegistryUnreachable
from holdfast_operator.reconcile.plan import plan
from holdfast_operator.reconcile.policies import in_force
from holdfast_operator.reconcile.ports import Key, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from holdfast_operator.shell import PERMISSIONS as WATCHES
from tests.architecture.tree import ROOT as REPOSITORY
from tests.core.x509.authority import DAY, NOW, Authority
from tests.operator.certificate_requests import decided
from tests.operator.simulated import (
    FOREIGN,
    ROOT,
    SPIFFE,
    certificate_request,
    condition_of,
    config_map,
    converge,
    issue,
    message_of,
    mtls_policy,
    oauth_client,
    observed,
    registered_world,
    stored_client,
    types_of,
    with_client,
    with_stored,
)
from tests.operator.small_house import ORDERS, House, house, manifest
from tests.operator.test_engine import Script, client, started
from tests.operator.virtual_time import run
from tests.registry_conformance.registrations import a_client

AWAY = RegistryUnreachable(message="connection refused")
DELETED = "2026-01-01T00:00:00Z"
PARTNER = {"subject": {"dns": "a.partner.test"}, "trustAnchors": [{"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}]}
BRINGS_ITS_OWN = oauth_client(certificate=None, authentication=PARTNER)


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as found:
        yield found


def deleted(world: Observed) -> Observed:
    return with_client(world, metadata={"deletionTimestamp": DELETED})


# Ory's hydra-maester.


def test_a_failed_call_is_never_told_as_success() -> None:
    """hydra-maester: after a failed PUT the status was cleared, Ready set and observedGeneration raised."""
    world, _, _ = converge(replace(issue(converge(observed())[0]), registry=AWAY))

    assert condition_of(world.client["status"], "Ready") == ("False", "RegistryUnavailable")
    assert condition_of(world.client["status"], "Registered") == ("False", "RegistryUnavailable")
    assert plan(world).retry


async def test_ready_means_that_the_server_has_the_client_now(home: House) -> None:
    """hydra-maester #106: object and Secret are there, the client is not."""
    await home.write("orders.yaml", manifest())
    await home.settle()
    uid, term = (await home.registered())["shop.orders"].owner.uid, await home.line.open_term("somebody")
    await home.line.delete_client("shop.orders", uid=uid, term=term)
    assert "shop.orders" not in await home.registered()

    home.clock.move(seconds=10)
    home.reconciler = home.another_reconciler()
    await home.settle()

    assert condition_of(await home.status(), "Ready") == ("True", "Ready")
    assert "shop.orders" in await home.registered()


def test_a_registry_that_has_lost_everything_is_filled_without_a_restart() -> None:
    """hydra-maester #43, ory/k8s #112: clients were lost with the server's restart, and resynced after ten hours."""
    lost = with_stored(registered_world(), None)

    world, _, done = converge(lost)

    assert [type(action) for action in done] == [PutClient]
    assert condition_of(world.client["status"], "Ready") == ("True", "Ready")


def test_a_client_id_is_known_beforehand_and_stays() -> None:
    """hydra-maester #66, #117, #155: ids were the server's choice, and users left for a job of their own."""
    assert client_id_of(oauth_client()) == "shop.orders"
    assert client_id_of(oauth_client(clientId="shop.payments")) == "shop.payments"
    document = {"apiVersion": "holdfast.dev/v1alpha1", "kind": "OAuthClient", "metadata": {"name": "a", "namespace": "shop"}}
    spec = {"certificate": {"issuerRef": {"name": "workloads"}}}
    before = apply_defaults_and_validate({**document, "spec": {**spec, "clientId": "shop.a"}})

    with pytest.raises(InvalidObject, match="clientId is immutable"):
        apply_defaults_and_validate({**document, "spec": {**spec, "clientId": "shop.b"}}, before)


def test_what_is_referred_to_may_come_later_and_nothing_is_made_up_meanwhile() -> None:
    """hydra-maester #294, #304: where External Secrets came second, the operator had made a random Secret."""
    world, _, done = converge(observed(BRINGS_ITS_OWN))
    assert done == []
    assert condition_of(world.client["status"], "Ready") == ("False", "TrustAnchorNotFound")
    assert message_of(world.client["status"], "Ready").startswith("waits for ConfigMap ca")

    there = replace(world, config_maps={"ca": config_map("ca", **{"ca.crt": FOREIGN.pem.decode()})})
    assert condition_of(converge(there)[0].client["status"], "Ready") == ("True", "Ready")


SPECS: list[tuple[str, Object]] = [
    ("as little as possible", {}),
    ("no scopes, no grants", {"scopes": [], "grantTypes": []}),
    ("a chosen id", {"clientId": "shop.payments"}),
    ("suspended", {"suspend": True}),
    ("an API", {"resourceServer": {"audiences": ["https://orders.shop.svc"]}}),
    ("its own certificate", {"certificate": None, "authentication": PARTNER}),
    ("opaque tokens", {"tokens": {"format": "Opaque"}}),
]


@pytest.mark.parametrize("spec", [row[1] for row in SPECS], ids=[row[0] for row in SPECS])
def test_a_deletion_ends_the_registration_whatever_the_fields(spec: Object) -> None:
    """hydra-maester #278: where a deprecated field was empty, the client was taken for cleaned up and lived on."""
    maps = {"ca": config_map("ca", **{"ca.crt": FOREIGN.pem.decode()})}
    world = registered_world(oauth_client(**spec), config_maps=maps)
    assert isinstance(world.registry, RegistrySeen)
    assert world.registry.stored is not None

    assert plan(deleted(world)).actions == (DeleteClient(client_id_of(world.client), "uid-1"), RemoveFinalizer())


def test_what_a_client_refers_to_is_followed() -> None:
    """hydra-maester #59: a changed Secret was not picked up. (tests/operator/test_index.py has every kind.)"""

    async def main() -> None:
        script = Script()
        orders = client(ORDERS, certificate=None, authentication=PARTNER)
        script.listing.objects = {Kind.OAUTH_CLIENT: [orders]}
        engine = await started(script)
        script.passes.clear()
        engine.on_change(Kind.CONFIG_MAP, {"metadata": {"namespace": "shop", "name": "ca"}})
        await engine.settled()
        assert [key for _, key in script.passes] == [ORDERS]
        await engine.stop()

    run(main)


def test_conditions_are_the_standard_ones_with_their_generation() -> None:
    """hydra-maester #122: a user of Terraform had to add Ready. (kstatus: tests/gitops.)"""
    status = registered_world().client["status"]

    assert types_of(status) >= {"Ready", "Accepted"}
    assert {c["observedGeneration"] for c in status["conditions"]} == {1}


def test_the_definitions_of_the_chart_are_those_of_the_types() -> None:
    """ory/k8s #735: the chart's CRD was an old one."""
    for name, crd in crds().items():
        for folder in ("crds", "charts/holdfast/files/crds"):
            assert yaml.safe_load((REPOSITORY / folder / name).read_text()) == crd


# Operators of Keycloak.


def test_a_namespace_cannot_have_more_than_policies_let_it() -> None:
    """keycloak #50490: any realm and any role was taken from an object, and done with the master's power."""
    foreign = oauth_client(authentication={"subject": {"uri": "spiffe://cluster.local/ns/fin/sa/billing"}})
    audience = oauth_client(resourceServer={"audiences": ["https://billing.fin.svc"]})

    for greedy, reason in ((foreign, "SubjectNotAllowed"), (audience, "AudienceNotAllowed")):
        world, _, done = converge(observed(greedy))
        assert condition_of(world.client["status"], "Accepted") == ("False", reason)
        assert done == []


def test_a_ca_of_the_same_name_is_another_ca() -> None:
    """keycloak #48412, #52801: client certificates were trusted by the name of their CA."""
    namesake = Authority.root("CN=workloads")
    world = registered_world()

    asked, _, _ = converge(observed(oauth_client(authentication={"trustAnchors": PARTNER["trustAnchors"]}), config_maps={
        "ca": config_map("ca", **{"ca.crt": namesake.pem.decode()})}))  # fmt: skip
    refused, _, _ = converge(issue(asked))

    assert isinstance(world.registry, RegistrySeen)
    assert world.registry.stored is not None
    assert [a.der for a in world.registry.stored.metadata.trust_anchors] == [ROOT.certificate.der]
    assert condition_of(refused.client["status"], "CertificateReady") == ("False", "CertificateInvalid")
    assert "does not lead to the client's trust anchors" in message_of(refused.client["status"], "CertificateReady")


def test_every_later_edit_counts() -> None:
    """keycloak #21974, #36321: a realm was imported once, and edits were ignored."""
    world = with_client(registered_world(), spec={**oauth_client()["spec"], "scopes": ["orders.read"]})

    _, _, done = converge(world)

    (put,) = done
    assert isinstance(put, PutClient)
    assert put.metadata.scopes == ("orders.read",)


def test_a_deletion_needs_nothing_that_may_be_gone_already() -> None:
    """edp-keycloak-operator #62: the Secret went first, the finalizer failed, the namespace hung."""
    bare = replace(
        deleted(registered_world()),
        certificates=(),
        requests=(),
        issuer=None,
        policies=(),
        config_maps={},
        namespace_ends=True,
    )
    assert plan(bare).actions == (DeleteClient("shop.orders", "uid-1"), RemoveFinalizer())

    late = replace(bare, registry=AWAY, now=NOW + timedelta(days=3650))
    assert plan(late).actions == (RemoveFinalizer(),)


async def test_a_deletion_by_mistake_is_undone_by_applying_the_same_again(home: House) -> None:
    """edp-keycloak-operator #18: a rename deleted a realm."""
    await home.write("orders.yaml", manifest())
    await home.settle()
    await home.remove("orders.yaml")
    await home.reconciler.reconcile(ORDERS)
    assert "shop.orders" not in await home.registered()

    home.clock.move(hours=1)
    await home.write("orders.yaml", manifest())
    await home.settle()

    assert condition_of(await home.status(), "Ready") == ("True", "Ready")
    assert "shop.orders" in await home.registered()


async def test_a_second_pass_over_the_same_world_writes_nothing(home: House) -> None:
    """Hostzero's keycloak-operator #122: a status that was always written made a loop."""
    await home.write("orders.yaml", manifest())
    await home.settle()

    assert [(await home.reconciler.reconcile(ORDERS)).wrote for _ in range(5)] == [False] * 5


@pytest.mark.parametrize("crd", crds().values(), ids=crds())
def test_every_column_shows_a_field_that_the_definition_has(crd: Object) -> None:
    """vriesdemichael's keycloak-operator: a column named no field, and a status that the schema lacked was dropped."""
    version = crd["spec"]["versions"][0]
    for column in version["additionalPrinterColumns"]:
        path = column["jsonPath"].partition("[?")[0].lstrip(".").split(".")
        if path[0] == "metadata":
            continue
        node = version["schema"]["openAPIV3Schema"]
        for step in path:
            node = node["properties"][step]


def test_whatever_a_plan_writes_into_a_status_the_definition_keeps() -> None:
    """The other half of the same: nothing of a status is dropped by the API server."""
    for world in (registered_world(), observed(oauth_client(suspend=True)), observed(BRINGS_ITS_OWN)):
        after, _, _ = converge(world)
        obj = {
            "apiVersion": "holdfast.dev/v1alpha1",
            "kind": "OAuthClient",
            "metadata": {"name": "orders", "namespace": "shop"},
        }
        kept = apply_defaults_and_validate({**obj, "spec": after.client["spec"], "status": after.client["status"]})
        assert kept["status"] == after.client["status"]


# NAIS: jwker, digdirator, azurerator.


def test_what_is_due_at_a_time_is_done_at_that_time() -> None:
    """azurerator #272: a rotation by age happened when the pod was restarted."""
    key = certificate_key(FOREIGN.issue("CN=me", not_before=NOW, not_after=NOW + 100 * DAY).certificate).to_json()
    method = {"method": "self_signed_tls_client_auth", "jwks": {"keys": [key]}}
    world, planned, _ = converge(observed(oauth_client(certificate=None, authentication=method)))

    assert planned.requeue_after == timedelta(days=80).total_seconds()
    assert "CertificateExpiring" in types_of(converge(replace(world, now=NOW + 80 * DAY))[0].client["status"])


def test_a_peer_that_does_not_exist_yet_is_said_and_the_client_works() -> None:
    """azurerator ee37ed7, c44e812: references to peers to come, and no storm when they do."""
    world = registered_world(oauth_client(resources=["https://billing.fin.svc"]))
    assert isinstance(world.registry, RegistrySeen)
    world, _, _ = converge(replace(world, registry=replace(world.registry, owners={"https://billing.fin.svc": None})))

    assert condition_of(world.client["status"], "Accepted") == ("True", "ResourceNotAllowed")
    assert condition_of(world.client["status"], "Ready")[0] == "True"
    assert plan(world).status is None


def _self_signed() -> Observed:
    client = oauth_client(authentication={"method": "self_signed_tls_client_auth"})
    world, _, _ = converge(observed(client))
    return converge(issue(world))[0]


def test_a_new_credential_is_registered_beside_the_old_one_and_no_key_twice() -> None:
    """azurerator 804953b (the old one was removed too soon), jwker dd369d6 (keys registered twice)."""
    world = _self_signed()
    (certificate,) = world.certificates
    second = {**certificate, "status": {**certificate["status"], "revision": 2}}
    renewed = certificate_request(revision=2, uris=[SPIFFE])

    world, _, _ = converge(replace(world, certificates=(second,), requests=(*world.requests, renewed)))
    again, _, done = converge(world)

    assert isinstance(again.registry, RegistrySeen)
    assert again.registry.stored is not None
    thumbprints = [key.certificate.x5t_s256 for key in again.registry.stored.metadata.jwks or () if key.certificate]
    assert (len(thumbprints), len(set(thumbprints)), done) == (2, 2, [])


def test_what_is_called_is_what_is_allowed() -> None:
    """jwker 5d868ad: RBAC of the status subresource was missing. (Run with it: tests/controlplane/test_operator_rbac.py.)"""
    rules = (REPOSITORY / "charts" / "holdfast" / "templates" / "_operator-rules.tpl").read_text()

    assert {"oauthclients/status", "mtlspolicies/status"} <= {word.strip("[],") for word in rules.split()}
    assert all(permission.resource in rules for permission in WATCHES)


async def test_of_two_leaders_the_older_writes_nothing(home: House) -> None:
    """digdirator aebc527, jwker b9d1ec9: election was turned on in year five. (As processes: tests/controlplane.)"""
    await home.write("orders.yaml", manifest())
    await home.settle()
    older, home.reconciler = home.reconciler, home.another_reconciler("newer")
    await home.reconciler.begin_term()
    await home.write("orders.yaml", manifest(scopes=["orders.read"]))

    with pytest.raises(StaleTerm):
        await older.reconcile(ORDERS)


def test_a_rule_can_be_seen_before_it_is_enforced() -> None:
    """tokendings #614: what would break was measured by hand before it was enforced."""
    long = oauth_client(tokens={"lifetime": "20m"})
    spec = {"tokens": {"maxLifetime": "15m"}}
    reasons = {
        mode: condition_of(
            converge(observed(long, policies=(mtls_policy("p", mode=mode, **spec),)))[0].client["status"], "Accepted"
        )
        for mode in ("Audit", "Warn", "Enforce")
    }

    assert reasons == {
        "Audit": ("True", "Accepted"), "Warn": ("True", "PolicyWarning"), "Enforce": ("False", "LifetimeTooLong")
    }  # fmt: skip


# cert-manager and its neighbours.


def test_a_ca_is_exchanged_without_a_gap() -> None:
    """cert-manager #2478, trust-manager #560. (All of it: tests/operator/test_plan_former_authority.py.)"""
    bundle = {"ca": config_map("ca", **{"ca.crt": FOREIGN.pem.decode() + ROOT.pem.decode()})}
    world, _, _ = converge(observed(BRINGS_ITS_OWN, config_maps=bundle))

    assert isinstance(world.registry, RegistrySeen)
    assert world.registry.stored is not None
    assert {a.der for a in world.registry.stored.metadata.trust_anchors} == {FOREIGN.certificate.der, ROOT.certificate.der}


def test_trust_is_never_taken_from_the_clients_own_secret() -> None:
    """cert-manager #1571: `ca.crt` in a Secret is no trust store. The operator may not even read Secrets."""
    rules = (REPOSITORY / "charts" / "holdfast" / "templates" / "_operator-rules.tpl").read_text()

    assert "secrets" not in rules
    assert Kind.__members__.get("SECRET") is None


def test_two_certificates_never_write_to_one_secret() -> None:
    """cert-manager #2941: two Certificates on one Secret issued until etcd was full."""
    rival = {"metadata": {"name": "other", "namespace": "shop", "uid": "x"}, "spec": {"secretName": "orders-mtls"}}

    world, _, done = converge(observed(certificates=(rival,)))

    assert done == []
    assert condition_of(world.client["status"], "Ready") == ("False", "SecretNameTaken")
    assert "Stalled" in types_of(world.client["status"])


def test_a_stolen_certificate_is_denied_for_everybody() -> None:
    """cert-manager #2612, #7447: there is no revocation. (Within a second, at the token endpoint: tests/e2e.)"""
    found = in_force(mtls_policy("stolen", certificates={"deniedThumbprints": ["A" * 43]}))

    assert found.policy is not None
    assert found.policy.denied_thumbprints == {"A" * 43}


def test_a_denied_request_ends_in_a_condition_and_not_in_a_loop() -> None:
    """csi-lib #47, csi-driver #636: a request that was denied was made again without end."""
    asked, _, _ = converge(observed())
    (certificate,) = asked.certificates
    issuing = {"type": "Issuing", "status": "False", "reason": "Denied", "message": "not yours"}
    denied = {**certificate, "status": {"conditions": [issuing]}}

    world, _, done = converge(replace(asked, certificates=(denied,)))

    assert done == []
    assert condition_of(world.client["status"], "Ready") == ("False", "CertificateFailed")
    assert "not yours" in message_of(world.client["status"], "Ready")
    assert plan(world).status is None


def test_that_everything_is_approved_is_said_in_a_condition() -> None:
    """approver-policy #288, cert-manager #6521: cert-manager approves everything, and nobody sees it."""
    world = registered_world(settings=ReconcileSettings(guarded_issuers=frozenset({"workloads"})))
    (request,) = world.requests
    approved = {**request, "status": {**request["status"], **decided("Approved", "cert-manager.io")}}

    status = converge(replace(world, requests=(approved,)))[0].client["status"]

    assert condition_of(status, "IssuerUnguarded") == ("True", "ApprovedByCertManager")


def test_nothing_is_copied_between_namespaces() -> None:
    """cert-manager #494: Secrets were copied. A client's Certificate, and so its key, stays where the client is."""
    (certificate,) = converge(observed())[0].certificates

    assert certificate["metadata"]["namespace"] == "shop"


# SPIRE's controller manager.


def test_a_status_says_how_far_it_is_and_what_it_waits_for() -> None:
    """spire-controller-manager #712: a quarter of an hour without an identity, and no way to see why."""
    world, _, _ = converge(observed(issuer=None))

    status = world.client["status"]
    assert {kind: condition_of(status, kind)[1] for kind in ("Accepted", "CertificateReady", "Registered")} == {
        "Accepted": "Accepted", "CertificateReady": "IssuerNotFound", "Registered": "RegistrationPending"
    }  # fmt: skip
    assert message_of(status, "Ready").startswith("waits for ClusterIssuer workloads")


async def test_a_pass_lists_no_registry(home: House) -> None:
    """spire-controller-manager #705: everything was listed for each object."""
    await home.write("orders.yaml", manifest())
    await home.write("cart.yaml", manifest("cart"))
    await home.settle()
    await home.settle(Key(Kind.OAUTH_CLIENT, "shop", "cart"))
    before = home.line.registry.list_clients
    listed: list[str] = []

    async def counted() -> Any:
        listed.append("everything")
        return await before()

    home.line.registry.list_clients = counted  # type: ignore[method-assign]
    for _ in range(3):
        await home.reconciler.reconcile(ORDERS)

    assert listed == []


def test_one_bad_object_stops_nobody_and_can_be_mended() -> None:
    """spire-controller-manager #282: one bad TTL stopped every entry, and could not be edited away."""
    bad = oauth_client(tokens={"lifetime": "for ever"})
    world, _, _ = converge(observed(bad))
    assert condition_of(world.client["status"], "Accepted") == ("False", "InvalidSpec")

    mended, _, _ = converge(with_client(world, spec=oauth_client()["spec"]))
    assert condition_of(mended.client["status"], "Accepted") == ("True", "Accepted")


def test_what_is_another_owners_is_left_alone() -> None:
    """spire-controller-manager #229, #313: several managers removed each other's entries."""
    theirs = stored_client(a_client("fin", "other", client_id="shop.orders"))

    world, _, done = converge(with_stored(observed(), theirs))

    assert done == []
    assert condition_of(world.client["status"], "Accepted") == ("False", "ClientIdTaken")
    assert RemoveFinalizer() in plan(deleted(with_client(world, metadata={"finalizers": ["holdfast.dev/registry"]}))).actions


def test_a_change_is_made_in_place_and_an_identity_never_vanishes_for_a_moment() -> None:
    """spire-controller-manager #31: entries were deleted and made anew, again and again."""
    world = with_client(registered_world(), spec={**oauth_client()["spec"], "scopes": ["a"]})
    seen = [type(action) for action in converge(world)[2]]
    world, _, _ = converge(world)

    assert seen == [PutClient]
    assert converge(world)[2] == []


async def test_a_server_without_an_operator_keeps_its_clients(home: House) -> None:
    """spire-controller-manager #177: a missing CRD took the server down with the operator."""
    await home.write("orders.yaml", manifest())
    await home.settle()
    home.line.cut = True
    with pytest.raises(RegistryUnavailable):
        await home.line.describe()

    assert "shop.orders" in await home.registered()
