"""`holdfast export`: what was written is what is there, it lints clean, and applied again it changes nothing."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from holdfast.api.v1alpha1.oauth_client import ConfigMapKey
from holdfast.api.v1alpha1.validation import apply_defaults_and_validate
from holdfast.oauth.certificate_key import certificate_key
from holdfast.oauth.client_metadata import (
    AllowedRequester,
    ClientMetadata,
    DeletionPolicy,
    ResourceServer,
    TokenFormat,
)
from holdfast.x509.subject import SubjectKind, parse_subject_rule
from holdfast_cli.export import command
from holdfast_cli.exporting.registrations import export_registration
from holdfast_operator.reconcile.anchors import own_anchors
from holdfast_operator.reconcile.ports import Object
from holdfast_operator.reconcile.publishing import REVISION
from holdfast_operator.reconcile.request import KEY_TO_COME, client_metadata, read_request
from tests.cli.dev_process import DevProcess, client, dev, policy, run_to_end
from tests.registry_conformance.backends import AdminServer, MovableClock, open_keeper, serve_admin
from tests.registry_conformance.registrations import BUILT_IN, a_client, an_anchor, an_api, authority

LABELLED = client("labelled", namespace="web").replace(
    "namespace: web}", "namespace: web, labels: {tier: front}, annotations: {note: kept}}"
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevProcess]:
    manifests = {"orders": client(), "labelled": LABELLED, "policy": policy("short", max_lifetime="5m")}
    with dev(tmp_path_factory.mktemp("dev"), **manifests) as process:
        process.wait_for(lambda: process.is_ready("orders") and process.is_ready("labelled"))
        yield process


def test_an_export_of_a_dev_folder_lints_clean_and_would_change_nothing(running: DevProcess) -> None:
    done = run_to_end(running.folder, "export", "--dir", "data", "--output", "export.yaml")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    linted = run_to_end(running.folder, "lint", "export.yaml", "--strict")
    assert linted.stdout == "3 objects in 1 file: 0 errors, 0 warnings, 0 notes\n"
    planned = run_to_end(running.folder, "plan", "export.yaml", "--dir", "data")
    assert planned.stdout == "0 to create, 0 to change, 0 to follow, 3 unchanged, 0 refused\n"


def test_an_export_holds_what_people_wrote_and_nothing_of_a_server(running: DevProcess) -> None:
    done = CliRunner().invoke(command, ["--dir", str(running.data)])

    exported = list(yaml.safe_load_all(done.stdout))
    assert [(obj["kind"], obj["metadata"]["name"]) for obj in exported] == [
        ("MTLSPolicy", "short"),
        ("OAuthClient", "orders"),
        ("OAuthClient", "labelled"),
    ]
    assert exported[2]["metadata"] == {
        "name": "labelled",
        "namespace": "web",
        "labels": {"tier": "front"},
        "annotations": {"note": "kept"},
    }
    assert {member for obj in exported for member in obj} == {"apiVersion", "kind", "metadata", "spec"}


def test_an_export_of_one_namespace_leaves_the_clients_of_others_out(running: DevProcess) -> None:
    done = CliRunner().invoke(command, ["--dir", str(running.data), "-n", "web"])

    assert [obj["metadata"]["name"] for obj in yaml.safe_load_all(done.stdout)] == ["short", "labelled"]


def test_a_file_that_exists_is_not_overwritten(running: DevProcess, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")

    done = CliRunner().invoke(command, ["--dir", str(running.data), "--output", str(tmp_path / "mine")])

    assert (done.exit_code, (tmp_path / "mine").read_text()) == (2, "mine")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--dir", "nowhere"), "nowhere: expected the data folder of holdfast dev"),
        (("--dir", "x", "--registry"), "expected one of them, found several"),
        (("--registry",), "expected --admin-url, --admin-ca-file, --admin-cert-file, --admin-key-file beside it"),
        (("--issuer", "workloads"), "--issuer: expected --registry beside it"),
        (("--kubeconfig", "nowhere"), "no API server"),
    ],
    ids=["folder", "several", "registry", "issuer", "kubeconfig"],
)
def test_what_cannot_be_read_ends_with_2_and_one_line(arguments: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(command, arguments)

    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert said in done.stderr


_KEY = certificate_key(authority("Keys").issue(uris=["urn:a"]).certificate)
_OWN = (an_anchor("Partner", shared=False),)
REGISTRATIONS = {
    "plain": a_client(trust_anchors=_OWN),
    "two-anchors": a_client(trust_anchors=(*_OWN, an_anchor("Second", shared=False))),
    "dn": a_client(trust_anchors=_OWN, subject=parse_subject_rule(SubjectKind.DN, "CN=orders,O=Shop")),
    "id-and-account": replace(
        a_client(trust_anchors=_OWN, client_id="shop.orders-v2"),
        owner=replace(a_client().owner, service_account="robot"),
    ),
    "api": replace(
        an_api(trust_anchors=_OWN, resources=("https://b.fin.svc", "https://a.fin.svc"), grant_types=()),
        resource_server=ResourceServer(
            audiences=("https://orders.shop.svc",),
            allow_from=(
                AllowedRequester(namespace="web", client="*", scopes=()),
                AllowedRequester(namespace="web", client="cart", scopes=("orders.read",)),
            ),
        ),
        introspection_signed_response_alg="ES256",
    ),
    "tokens": a_client(
        trust_anchors=_OWN, certificate_bound=False, token_lifetime=600, token_format=TokenFormat.OPAQUE, suspended=True
    ),
    "self-signed": a_client(
        token_endpoint_auth_method="self_signed_tls_client_auth",
        subject=None,
        trust_anchors=(),
        jwks=(_KEY,),
        accept_expired_certificate=True,
    ),
    "assertions": a_client(
        token_endpoint_auth_method="private_key_jwt",
        subject=None,
        trust_anchors=(),
        jwks_uri="https://orders.example/jwks.json",
        token_endpoint_auth_signing_alg="ES256",
    ),
    "orphaning": a_client(trust_anchors=_OWN, deletion_policy=DeletionPolicy.ORPHAN),
}


@pytest.mark.parametrize("name", REGISTRATIONS)
def test_a_registration_makes_a_manifest_that_makes_the_registration(name: str) -> None:
    client = REGISTRATIONS[name]

    exported = export_registration(client, None, "cluster.local")

    assert _registered(exported.objects, client) == client
    assert exported.notes == ()


def _registered(objects: tuple[Object, ...], client: ClientMetadata) -> ClientMetadata:
    """What the operator would register of these objects."""
    *config_maps, made = objects
    settled = apply_defaults_and_validate(made)
    metadata = {**settled["metadata"], "uid": client.owner.uid, "generation": client.owner.generation}
    request = read_request({**settled, "metadata": metadata}, "cluster.local")
    references: tuple[ConfigMapKey, ...] = request.anchor_references
    found = {config_map["metadata"]["name"]: config_map for config_map in config_maps}
    anchors = own_anchors(references, found, frozenset(), MovableClock()()) if references else ()
    return client_metadata(request, anchors, BUILT_IN.hash)


def test_a_client_of_a_shared_ca_keeps_its_issuer_where_that_is_named() -> None:
    named = export_registration(a_client(), ("ClusterIssuer", "workloads"), "cluster.local")
    unnamed = export_registration(a_client(), None, "cluster.local")

    assert [obj["spec"] for obj in named.objects] == [
        {"certificate": {"issuerRef": {"name": "workloads", "kind": "ClusterIssuer"}}, "scopes": ["orders.read"]}
    ]
    assert [obj["kind"] for obj in unnamed.objects] == ["ConfigMap", "OAuthClient"]
    assert "--issuer" in unnamed.notes[0]


_ROTATING = a_client(
    token_endpoint_auth_method="self_signed_tls_client_auth",
    subject=None,
    trust_anchors=(),
    jwks=tuple(
        certificate_key(authority("Keys").issue(uris=["urn:a"]).certificate, **{REVISION: revision}, **ending)
        for revision, ending in ((2, {}), (1, {"exp": 1_900_000_000}))
    ),
)
"""As the operator registers one that cert-manager serves, after a renewal."""


def test_a_self_signed_client_of_an_issuer_goes_on_rotating_where_that_is_named() -> None:
    exported = export_registration(_ROTATING, ("Issuer", "team"), "cluster.local")

    (made,) = exported.objects
    assert made["spec"] == {
        "authentication": {"method": "self_signed_tls_client_auth"},
        "certificate": {"issuerRef": {"name": "team", "kind": "Issuer"}},
        "scopes": ["orders.read"],
    }
    assert exported.notes == ()
    assert _registered(exported.objects, _ROTATING).jwks == (KEY_TO_COME,)


def test_a_self_signed_client_whose_issuer_is_not_named_has_the_keys_as_its_own_and_that_is_told() -> None:
    exported = export_registration(_ROTATING, None, "cluster.local")

    keys = _registered(exported.objects, _ROTATING).jwks or ()
    assert [key.certificate for key in keys] == [key.certificate for key in _ROTATING.jwks or ()]
    assert [key.expires_at is None for key in keys] == [True, False]
    assert REVISION not in json.dumps(exported.objects)
    assert "which no renewal replaces then; name the issuer: --issuer" in exported.notes[0]


def test_an_orphan_comes_as_an_object_that_takes_it_over() -> None:
    orphan = replace(a_client(trust_anchors=_OWN), owner=replace(a_client().owner, uid=""))

    exported = export_registration(orphan, None, "cluster.local")

    assert exported.objects[-1]["spec"]["adoptionPolicy"] == "IfUnowned"
    assert "takes shop.orders over" in exported.notes[0]


async def test_the_registry_of_a_server_is_exported_with_an_operators_certificate(tmp_path: Path) -> None:
    clock = MovableClock()
    async with open_keeper(tmp_path, clock) as keeper, serve_admin(keeper, tmp_path, clock) as server:
        term = await keeper.writer.open_term("test")
        await keeper.writer.put_policy(BUILT_IN, term=term)
        for name in ("orders", "cart"):
            await keeper.writer.put_client(a_client(name=name), term=term)
        server.registry()  # writes the operator's certificate
        exported = await asyncio.to_thread(run_to_end, tmp_path, *_from(server), "--output", "clients.yaml")
        elsewhere = await asyncio.to_thread(
            CliRunner().invoke, command, _from(server)[1:], env={"HOLDFAST_TRUST_DOMAIN": "corp.example"}
        )
        stranger = await asyncio.to_thread(_as_stranger, tmp_path, server)

    assert (exported.returncode, exported.stdout, exported.stderr) == (0, "", "")
    linted = run_to_end(tmp_path, "lint", "clients.yaml", "--strict", "--format", "json")
    assert json.loads(linted.stdout) == {"files": 1, "objects": 2, "findings": []}
    assert [obj["spec"]["authentication"] for obj in yaml.safe_load_all(elsewhere.stdout)] == [
        {"subject": {"uri": f"spiffe://cluster.local/ns/shop/sa/{name}"}} for name in ("cart", "orders")
    ]
    assert (stranger.exit_code, stranger.stdout) == (2, "")
    assert "the admin API" in stranger.stderr


def _from(server: AdminServer, name: str = "operator") -> tuple[str, ...]:
    certificate = server.folder / name
    files = ("--admin-ca-file", str(server.ca_file), "--admin-cert-file", str(next(certificate.glob("*.crt"))))
    key = ("--admin-key-file", str(next(certificate.glob("*.key"))))
    return ("export", "--registry", "--admin-url", server.url, *files, *key, "--issuer", "workloads")


def _as_stranger(folder: Path, server: AdminServer) -> Any:
    """Another workload's certificate, of the same CA."""
    server.registry(san="spiffe://cluster.local/ns/shop/sa/orders", name="stranger")
    return CliRunner().invoke(command, _from(server, "stranger")[1:])
