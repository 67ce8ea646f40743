"""`holdfast import` over exports as the other servers write them: what is carried over lints clean, the rest is told."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from holdfast_cli.import_clients import command
from tests.cli.dev_process import run_to_end

EXPORTS = Path(__file__).parent / "exports"
SOURCES = {
    "keycloak": EXPORTS / "keycloak-realm.json",
    "hydra": EXPORTS / "hydra-clients.json",
    "cloudentity": EXPORTS / "cloudentity",
}
SECRETS = ("5wzVbAYtq9pXn", "an0therV3ry5", "1vQn0tASecret", "$2a$10$", "ory_at_0aQxJ1")
"""How those begin that the exports hold."""
CHOICES = ("-n", "shop", "--issuer", "workloads", "--replace-secrets")
ALLOWS_IMPORTED = """\
apiVersion: holdfast.dev/v1alpha1
kind: MTLSPolicy
metadata: {{name: imported}}
spec:
  namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: shop}}}}
  authentication: {{allowedMethods: [tls_client_auth, self_signed_tls_client_auth, private_key_jwt]}}
  grants: {{allowedClientIds: {ids}}}
  certificates:
    allowedSubjects: {{uris: ["spiffe://cluster.local/ns/{{namespace}}/sa/*"], distinguishedNames: [O=Example]}}
"""


def imported(
    tmp_path: Path, source: str, *choices: str, path: Path | None = None
) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """Exit code, specs by name, and the report's fields by client id."""
    report = tmp_path / f"{len(list(tmp_path.iterdir()))}.json"
    done = CliRunner().invoke(command, [source, str(path or SOURCES[source]), *choices, "--report", str(report)])
    assert done.exit_code in (0, 1), done.output
    told = json.loads(report.read_text())
    specs = {obj["metadata"]["name"]: obj["spec"] for obj in yaml.safe_load_all(done.stdout)}
    return done.exit_code, specs, {c["client_id"]: c for c in told["clients"]} | {"": told["left"]}


def why(told: dict[str, Any], client_id: str, field: str) -> str:
    """What the report says of a field; a missing entry fails."""
    return " | ".join(entry["why"] for entry in told[client_id]["fields"] if entry["field"] == field)


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_carried_over_lints_clean_under_the_policy_that_the_report_asks_for(tmp_path: Path, source: str) -> None:
    arguments = ("import", source, str(SOURCES[source]), *CHOICES, "--output", "clients.yaml", "--report", "report.json")

    done = run_to_end(tmp_path, *arguments)

    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    ids = [c["client_id"] for c in json.loads((tmp_path / "report.json").read_text())["clients"] if c["object"]]
    (tmp_path / "policy.yaml").write_text(ALLOWS_IMPORTED.format(ids=json.dumps(ids)))
    linted = run_to_end(tmp_path, "lint", "clients.yaml", "--policies", "policy.yaml", "--strict")
    assert linted.returncode == 0, linted.stdout
    assert len(list(yaml.safe_load_all((tmp_path / "clients.yaml").read_text()))) == len(ids)


@pytest.mark.parametrize("source", SOURCES)
def test_no_secret_of_the_export_is_written_anywhere(tmp_path: Path, source: str) -> None:
    report = tmp_path / "report.json"

    done = CliRunner().invoke(command, [source, str(SOURCES[source]), *CHOICES, "--report", str(report)])

    written = done.stdout + done.stderr + report.read_text()
    assert "secrets are not carried over" in written
    assert [secret for secret in SECRETS if secret in written] == []


def test_keycloaks_x509_clients_keep_their_subject_and_scopes_and_audience(tmp_path: Path) -> None:
    code, specs, told = imported(tmp_path, "keycloak", "-n", "shop", "--trust-anchors", "partner-ca/root.pem")

    assert code == 1
    assert specs["orders"] == {
        "clientId": "orders",
        "authentication": {
            "method": "tls_client_auth",
            "subject": {"dn": "CN=orders,OU=Shop,O=Example"},
            "trustAnchors": [{"configMapKeyRef": {"name": "partner-ca", "key": "root.pem"}}],
        },
        "grantTypes": ["client_credentials"],
        "scopes": ["invoices.read", "invoices.write"],
        "resources": ["https://billing.fin.svc"],
        "tokens": {"lifetime": "600s"},
    }
    assert "legacy-api: no https URI" in why(told, "orders", "protocolMappers")
    assert "allowedClientIds" in why(told, "orders", "spec.clientId")


def test_keycloaks_keys_come_by_reference_or_out_of_a_certificate(tmp_path: Path) -> None:
    _, specs, told = imported(tmp_path, "keycloak", "-n", "shop")

    reports, ledger = specs["reports-nightly"], specs["ledger"]
    assert reports["authentication"] == {
        "method": "private_key_jwt",
        "jwksUri": "https://reports.example/jwks.json",
        "signingAlgorithm": "PS256",
    }
    assert reports["suspend"] is True
    assert reports.get("scopes") is None  # a bundle of claims, which tokens do not show
    assert "oidc-hardcoded-claim-mapper" in why(told, "Reports_Nightly", "clientScopes.reports.protocolMappers")
    assert [key["kty"] for key in ledger["authentication"]["jwks"]["keys"]] == ["RSA"]
    assert told["Reports_Nightly"]["object"] == {"name": "reports-nightly", "namespace": "shop"}


@pytest.mark.parametrize(
    ("client_id", "reason"),
    [
        ("any-partner", "regular expression"),
        ("web", "public client"),
        ("wiki", "protocol saml"),
        ("mailer", "secrets are not carried over"),
        ("orders", "whose CA its certificate is of is not said"),
    ],
)
def test_a_client_of_keycloak_that_cannot_come_says_why(tmp_path: Path, client_id: str, reason: str) -> None:
    _, _, told = imported(tmp_path, "keycloak", "-n", "shop")

    assert told[client_id]["object"] is None
    assert reason in told[client_id]["left_out_because"]


def test_keycloaks_own_clients_and_what_is_not_about_clients_are_named(tmp_path: Path) -> None:
    _, specs, told = imported(tmp_path, "keycloak", "-n", "shop")

    assert not {"account", "realm-management"} & set(specs)
    assert told["account"]["left_out_because"] == "the foreign server's own client"
    assert {"shop.users", "shop.roles", "shop.authenticationFlows"} <= {entry["field"] for entry in told[""]}


def test_redirect_uris_and_grants_of_users_are_listed(tmp_path: Path) -> None:
    _, _, of_keycloak = imported(tmp_path, "keycloak", *CHOICES)
    _, _, of_hydra = imported(tmp_path, "hydra", *CHOICES)

    assert "https://portal.example/*" in why(of_keycloak, "portal", "redirectUris")
    assert why(of_keycloak, "portal", "grant password")
    assert "https://cart.example/callback" in why(of_hydra, "cart", "redirect_uris")
    assert why(of_hydra, "cart", "grant authorization_code")


def test_a_secret_becomes_a_certificate_only_where_that_is_asked_for(tmp_path: Path) -> None:
    without = imported(tmp_path, "hydra", "-n", "shop", "--issuer", "Issuer/team")
    replaced = imported(tmp_path, "hydra", "-n", "shop", "--issuer", "Issuer/team", "--replace-secrets", "--new-ids")

    name = "7f1f8a4e-5f0b-4f64-9b1e-0d6a6f6a9c11"
    assert name not in without[1]
    assert replaced[1][name] == {
        "certificate": {"issuerRef": {"name": "team", "kind": "Issuer"}},
        "grantTypes": ["client_credentials"],
        "scopes": ["mail.send"],
        "tokens": {"format": "Opaque"},
    }
    assert "certificate in place of its secret" in why(replaced[2], name, "authentication.method")


def test_hydras_lifetimes_and_audiences_are_kept_where_they_fit(tmp_path: Path) -> None:
    _, specs, told = imported(tmp_path, "hydra", "-n", "shop")

    assert specs["orders"]["tokens"] == {"lifetime": "30m0s"}
    assert specs["orders"]["resources"] == ["https://billing.fin.svc"]
    assert "billing: no https URI" in why(told, "orders", "audience")
    assert "tokens" not in specs["cart"]
    assert "48h0m0s" in why(told, "cart", "tokens.lifetime")


def test_cloudentitys_certificates_of_both_kinds_are_kept(tmp_path: Path) -> None:
    _, specs, told = imported(tmp_path, "cloudentity", "-n", "shop", "--trust-anchors", "partner-ca")

    assert specs["auditor"]["authentication"]["jwks"]["keys"][0]["x5c"]
    assert specs["auditor"]["suspend"] is True
    assert specs["c8mr7v1k5eg2rq6l0bqg"]["authentication"]["subject"] == {"uri": "spiffe://cluster.local/ns/shop/sa/orders"}
    assert why(told, "ledger", "dpop_bound_access_tokens")
    assert why(told, "ledger", "token_ttls")
    assert told["wiki"]["left_out_because"] == "a SAML service provider"
    assert "payments/services" in {entry["field"] for entry in told[""]}


def test_a_field_that_nobody_knows_is_told_and_its_value_is_not(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text(
        json.dumps([{"client_id": "a", "grant_types": ["client_credentials"], "novel": "hush"}])
    )

    _, _, told = imported(tmp_path, "hydra", *CHOICES, path=tmp_path / "in.json")

    assert why(told, "a", "novel") == "Holdfast has no such setting"
    assert "hush" not in json.dumps(told)


def test_a_private_key_among_the_keys_is_refused_and_not_written(tmp_path: Path) -> None:
    keys = {"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "d": "cHJpdmF0ZQ"}]}
    client = {"client_id": "a", "grant_types": ["client_credentials"], "token_endpoint_auth_method": "private_key_jwt"}
    (tmp_path / "in.json").write_text(json.dumps([{**client, "jwks": keys}]))

    code, specs, told = imported(tmp_path, "hydra", "-n", "shop", path=tmp_path / "in.json")

    assert (code, specs) == (1, {})
    assert "cHJpdmF0ZQ" not in json.dumps(told)


def test_a_trust_domain_that_makes_no_identity_is_told_and_not_taken_for_the_default(tmp_path: Path) -> None:
    _, specs, _ = imported(tmp_path, "hydra", *CHOICES, "--trust-domain", "corp.example")
    _, without, told = imported(tmp_path, "hydra", *CHOICES, "--trust-domain", "no domain")

    name = "7f1f8a4e-5f0b-4f64-9b1e-0d6a6f6a9c11"
    assert name in specs
    assert name not in without
    assert "spiffe://no domain/ns/shop/sa/" in told[name]["left_out_because"]


def test_two_ids_that_make_one_name_are_not_merged(tmp_path: Path) -> None:
    clients = [{"client_id": name, "grant_types": ["client_credentials"]} for name in ("Orders", "orders")]
    (tmp_path / "in.json").write_text(json.dumps({"items": clients}))

    code, specs, told = imported(tmp_path, "hydra", *CHOICES, path=tmp_path / "in.json")

    assert (code, list(specs)) == (1, ["orders"])
    assert "as that of client Orders" in told["orders"]["left_out_because"]


@pytest.mark.parametrize(
    ("source", "text", "said"),
    [
        ("keycloak", "{", "expected JSON"),
        ("keycloak", '{"realm": "a"}', "expected the export of a realm"),
        ("keycloak", '{"clients": [{"id": 1}]}', "expected clients with clientId"),
        ("hydra", '{"a": 1}', "expected a list of Hydra's clients"),
        ("hydra", "[{}]", "entry 0: expected a client with client_id"),
        ("cloudentity", "", "expected workspaces/*/clients/*.yaml"),
    ],
    ids=["keycloak-json", "keycloak-realm", "keycloak-client", "hydra-list", "hydra-client", "cloudentity"],
)
def test_what_is_not_of_the_format_ends_with_2_and_one_line(tmp_path: Path, source: str, text: str, said: str) -> None:
    (tmp_path / "in").write_text(text)

    done = CliRunner().invoke(command, [source, str(tmp_path / "in"), "-n", "shop"])

    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr


_MAPPER = {"name": "a", "protocolMapper": "oidc-audience-mapper", "config": "hush"}


@pytest.mark.parametrize(
    ("source", "value", "said"),
    [
        ("hydra", [{"client_id": "a", "jwks": "hush"}], "client a: jwks: expected an object, found a string"),
        ("keycloak", [{"clientId": "a", "attributes": ["hush"]}], "client a: attributes: expected an object, found a list"),
        (
            "keycloak",
            [{"clientId": "a", "protocolMappers": [_MAPPER]}],
            "client a: protocolMappers.config: expected an object",
        ),
        (
            "keycloak",
            {"clients": [{"clientId": "a", "defaultClientScopes": ["b"]}], "clientScopes": [{"name": "b", "attributes": 1}]},
            "client scope b: attributes: expected an object, found a number",
        ),
        ("cloudentity", {"id": "a", "jwks": True}, "client a: jwks: expected an object, found true"),
    ],
    ids=["hydra-jwks", "keycloak-attributes", "keycloak-mapper", "keycloak-scope", "cloudentity-jwks"],
)
def test_a_member_that_has_to_be_an_object_and_is_none_is_named_and_not_told(
    tmp_path: Path, source: str, value: Any, said: str
) -> None:
    path = tmp_path / "clients" / "a.yaml"
    path.parent.mkdir()
    path.write_text(json.dumps(value))

    done = CliRunner().invoke(command, [source, str(tmp_path if source == "cloudentity" else path), "-n", "shop"])

    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert said in done.stderr
    assert "hush" not in done.stderr


def test_a_template_of_cloudentity_is_not_read_as_if_it_were_filled_in(tmp_path: Path) -> None:
    folder = tmp_path / "clients"
    folder.mkdir()
    (folder / "a.yaml").write_text('id: a\nclient_secret: {{ env "A" }}\n')

    done = CliRunner().invoke(command, ["cloudentity", str(tmp_path), "-n", "shop"])

    assert done.exit_code == 2
    assert "templates have to be filled in first" in done.stderr


def test_a_file_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out.yaml").write_text("mine")

    done = CliRunner().invoke(command, ["hydra", str(SOURCES["hydra"]), *CHOICES, "--output", str(tmp_path / "out.yaml")])

    assert done.exit_code == 2
    assert (tmp_path / "out.yaml").read_text() == "mine"
