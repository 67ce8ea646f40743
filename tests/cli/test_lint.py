"""`holdfast lint` as pipelines run it: exit codes, places, forms; and the corpus of manifests, by the very messages."""

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as Sarif

from holdfast_cli.lint import command
from tests.cli.dev_process import run_to_end
from tests.core.api.manifests import INVALID, MANIFESTS, QUICKSTART, SAMPLES, expected_message, name_of

CLIENT = """\
apiVersion: holdfast.dev/v1alpha1
kind: OAuthClient
metadata: {name: orders, namespace: shop}
spec:
  certificate:
    issuerRef: {name: workloads}
  tokens:
    lifetime: 1h
"""
BASELINE = """\
apiVersion: holdfast.dev/v1alpha1
kind: MTLSPolicy
metadata: {name: baseline}
spec:
  tokens: {maxLifetime: 15m}
"""

ANY_NAME = "  certificates: {allowedSubjects: {dnsNames: [a.example]}}\n"


def lint(*arguments: object, input: str | None = None) -> tuple[int, list[dict[str, Any]]]:
    """In this process, for speed: exit code and findings."""
    done = CliRunner().invoke(command, ["--format", "json", *map(str, arguments)], input=input)
    assert done.exit_code in (0, 1), done.output
    findings: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return done.exit_code, findings


def rules(findings: list[dict[str, Any]]) -> list[str]:
    return [finding["rule"] for finding in findings]


@pytest.fixture(scope="module")
def corpus() -> dict[str, list[dict[str, Any]]]:
    """What one process says of the whole folder of invalid manifests, by file."""
    done = run_to_end(MANIFESTS.parent, "lint", "--format", "json", "manifests/invalid")
    assert done.returncode == 1, done.stderr
    found = defaultdict(list)
    for finding in json.loads(done.stdout)["findings"]:
        found[Path(finding["file"]).name].append(finding)
    return found


@pytest.mark.parametrize("path", INVALID, ids=name_of)
def test_an_invalid_manifest_is_refused_with_its_message(path: Path, corpus: dict[str, list[dict[str, Any]]]) -> None:
    errors = [f"{f['field']}: {f['message']}" for f in corpus[path.name] if f["level"] == "error"]

    assert any(expected_message(path) in error for error in errors), errors


@pytest.mark.parametrize("path", [*SAMPLES, QUICKSTART], ids=name_of)
def test_a_sample_is_clean(path: Path) -> None:
    code, findings = lint(path)

    assert (code, [f for f in findings if f["level"] != "note"]) == (0, [])


def test_a_clean_file_ends_with_0_and_says_what_was_looked_at(tmp_path: Path) -> None:
    (tmp_path / "baseline.yaml").write_text(BASELINE)

    done = run_to_end(tmp_path, "lint", "baseline.yaml")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "1 object in 1 file: 0 errors, 0 warnings, 0 notes\n"


def test_a_policy_of_another_folder_refuses_the_client_at_the_line_of_its_field(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "baseline.yaml").write_text(BASELINE)
    (tmp_path / "client.yaml").write_text(CLIENT)

    alone = lint(tmp_path / "client.yaml")
    ruled = run_to_end(tmp_path, "lint", "client.yaml", "--policies", "policies")

    assert alone == (0, [])
    assert ruled.returncode == 1
    assert ruled.stdout.splitlines()[0].startswith(
        "client.yaml:8:5: error: OAuthClient shop/orders: spec.tokens.lifetime: MTLSPolicy baseline: expected at most 900"
    )
    assert ruled.stdout.splitlines()[0].endswith("[LifetimeTooLong]")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("missing.yaml",), "missing.yaml: cannot be read: No such file or directory"),
        ((), "Missing argument"),
        ((".", "--policies", "missing"), "--policies: expected a folder or a file, found no missing"),
    ],
    ids=["file", "none", "policies"],
)
def test_what_cannot_be_read_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)

    done = CliRunner().invoke(command, arguments)

    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


def test_the_standard_input_is_read(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "holdfast_cli.main", "lint", "-"]

    done = subprocess.run(command, cwd=tmp_path, input=BASELINE.replace("15m", "15"), capture_output=True, text=True)

    assert done.returncode == 1
    assert done.stdout.startswith("-:5:12: error: MTLSPolicy baseline: spec.tokens.maxLifetime: ")


def test_sarif_is_of_the_schema_of_sarif(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a folder").mkdir()
    (tmp_path / "a folder" / "client.yaml").write_text(CLIENT)
    (tmp_path / "policy.yaml").write_text(BASELINE.replace("spec:\n", "spec:\n  clientSelector: {matchLabels: {a: b}}\n"))
    (tmp_path / "broken.yaml").write_text("kind: [")

    done = CliRunner().invoke(command, [".", "--format", "sarif"])

    assert done.exit_code == 1
    log = Sarif.model_validate_json(done.stdout)
    (run,) = log.runs
    driver = json.loads(done.stdout)["runs"][0]["tool"]["driver"]
    results = json.loads(done.stdout)["runs"][0]["results"]
    assert run.results is not None
    assert [driver["rules"][r["ruleIndex"]]["id"] for r in results] == [r["ruleId"] for r in results]
    assert {(r["ruleId"], r["level"]) for r in results} == {
        ("UnreadableDocument", "error"),
        ("ClientSelectorAlone", "warning"),
    }


def test_sarif_names_files_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a folder").mkdir()
    (tmp_path / "a folder" / "broken.yaml").write_text("kind: [")

    done = CliRunner().invoke(command, [str(tmp_path), "--format", "sarif"])

    (result,) = json.loads(done.stdout)["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a%20folder/broken.yaml"


def test_warnings_count_only_where_it_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(BASELINE.replace("spec:\n", "spec:\n  clientSelector: {matchLabels: {a: b}}\n"))

    assert [lint(file)[0], lint(file, "--strict")[0]] == [0, 1]
    assert rules(lint(file)[1]) == ["ClientSelectorAlone"]


def test_entries_of_a_list_are_objects_with_lines_of_their_own(tmp_path: Path) -> None:
    policy = {"apiVersion": "holdfast.dev/v1alpha1", "kind": "MTLSPolicy", "metadata": {"name": "p"}}
    items = [{**policy, "spec": {"mode": mode}} for mode in ("Enforce", "Later")]
    listed = {"apiVersion": "v1", "kind": "List", "items": items}
    (tmp_path / "list.yaml").write_text(json.dumps(listed, indent=1))

    code, findings = lint(tmp_path / "list.yaml")

    assert code == 1
    assert [(f["rule"], f["field"]) for f in findings if f["level"] == "error"] == [("InvalidObject", "spec.mode")]
    text = (tmp_path / "list.yaml").read_text().splitlines()
    assert "Later" in text[next(f["line"] for f in findings if f["level"] == "error") - 1]


def test_other_kinds_are_left_alone_and_what_is_no_object_too(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("replicas: 2\n")
    (tmp_path / "deployment.yaml").write_text("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {}\n")
    (tmp_path / ".hidden.yaml").write_text("kind: [")

    assert lint(tmp_path) == (0, [])


def test_a_kind_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "client.yaml"
    file.write_text(CLIENT.replace("v1alpha1", "v1"))

    code, findings = lint(file)

    assert (code, rules(findings)) == (1, ["UnreadableDocument"])
    assert "holdfast.dev/v1alpha1 OAuthClient" in findings[0]["message"]


def test_a_private_key_in_a_config_map_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ca, namespace: shop}\ndata:\n  ca.crt: x\n  tls.key: |\n"
    file.write_text(f"{head}    -----BEGIN EC PRIVATE KEY-----\n    AAAA\n    -----END EC PRIVATE KEY-----\n")

    code, (finding,) = lint(file)

    assert (code, finding["rule"], finding["line"]) == (0, "PrivateKeyInConfigMap", 6)
    assert "AAAA" not in finding["message"]


def test_the_first_of_two_claimants_of_a_client_id_has_it(tmp_path: Path) -> None:
    second = CLIENT.replace("orders", "other").replace("spec:\n", "spec:\n  clientId: shop.orders\n")
    (tmp_path / "two.yaml").write_text(f"{CLIENT}---\n{second}")

    code, (finding,) = lint(tmp_path / "two.yaml")

    assert (code, finding["rule"], finding["object"]) == (1, "ClientIdTaken", "OAuthClient shop/other")
    assert finding["line"] == 14
    assert "OAuthClient shop/orders" in finding["message"]


def test_an_audience_has_one_owner_and_a_subject_under_one_ca_one_namespace(tmp_path: Path) -> None:
    api = '  resourceServer: {audiences: ["https://a.shop.svc"]}\n  authentication: {subject: {dns: a.example}}\n'
    (tmp_path / "1.yaml").write_text(f"{CLIENT}{api}---\n{CLIENT.replace('orders', 'other')}{api}")
    (tmp_path / "2.yaml").write_text(f"{CLIENT.replace('shop', 'fin')}{api.splitlines()[1]}\n")
    (tmp_path / "policy.yaml").write_text(BASELINE.replace("  tokens: {maxLifetime: 15m}\n", ANY_NAME))

    code, findings = lint(tmp_path)

    assert code == 1
    assert [(f["rule"], f["object"]) for f in findings] == [
        ("AudienceTaken", "OAuthClient shop/other"),
        ("SubjectTaken", "OAuthClient fin/orders"),
    ]


def test_two_clients_do_not_share_a_secret(tmp_path: Path) -> None:
    secret = "    secretName: shared\n  tokens:"
    texts = [CLIENT.replace("  tokens:", secret), CLIENT.replace("  tokens:", secret).replace("orders", "other")]
    (tmp_path / "two.yaml").write_text("---\n".join(texts))

    code, (finding,) = lint(tmp_path / "two.yaml")

    assert (code, finding["rule"], finding["object"]) == (1, "SecretNameTaken", "OAuthClient shop/other")


def test_what_the_files_do_not_show_is_a_note_and_not_held_against_anybody(tmp_path: Path) -> None:
    policy = BASELINE.replace("spec:\n", "spec:\n  namespaceSelector: {matchLabels: {tier: x}}\n").replace("15m", "1m")
    anchors = "  certificates: {trustAnchors: [{configMapKeyRef: {namespace: platform, name: roots}}]}\n"
    (tmp_path / "policy.yaml").write_text(policy + anchors)
    (tmp_path / "client.yaml").write_text(CLIENT)

    code, findings = lint(tmp_path)

    assert code == 0
    assert {(f["level"], f["rule"], f["object"]) for f in findings} == {
        ("note", "NotAmongTheFiles", "MTLSPolicy baseline"),
        ("note", "NotAmongTheFiles", "OAuthClient shop/orders"),
    }


def test_labels_of_a_declared_namespace_decide_which_policies_rule(tmp_path: Path) -> None:
    policy = BASELINE.replace("spec:\n", "spec:\n  namespaceSelector: {matchLabels: {tier: x}}\n")
    (tmp_path / "policy.yaml").write_text(policy)
    (tmp_path / "client.yaml").write_text(CLIENT)
    namespace = tmp_path / "namespace.yaml"

    namespace.write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {tier: gold}}\n")
    others = lint(tmp_path)
    namespace.write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {tier: x}}\n")
    selected = lint(tmp_path)

    assert others == (0, [])
    assert (selected[0], rules(selected[1])) == (1, ["LifetimeTooLong"])


def test_a_scope_that_the_declared_owner_does_not_grant_is_warned_of(tmp_path: Path) -> None:
    wants = CLIENT.replace("  tokens:\n    lifetime: 1h\n", '  scopes: [pay]\n  resources: ["https://billing.fin.svc"]\n')
    owner = CLIENT.replace("orders", "billing").replace("shop", "fin").replace("  tokens:\n    lifetime: 1h\n", "")
    (tmp_path / "wants.yaml").write_text(wants)
    unknown = lint(tmp_path)
    (tmp_path / "owner.yaml").write_text(f'{owner}  resourceServer: {{audiences: ["https://billing.fin.svc"]}}\n')
    known = lint(tmp_path)

    assert unknown == (0, [])
    assert (known[0], [(f["level"], f["rule"], f["field"]) for f in known[1]]) == (
        0,
        [("warning", "ResourceNotAllowed", "spec.resources")],
    )


def test_environments_of_one_folder_may_differ_in_what_is_immutable(tmp_path: Path) -> None:
    """Overlays declare the same object for different clusters: a warning, and no change of a client id."""
    (tmp_path / "staging.yaml").write_text(CLIENT)
    (tmp_path / "production.yaml").write_text(CLIENT.replace("spec:\n", "spec:\n  clientId: shop.orders-2\n"))

    code, findings = lint(tmp_path)

    assert (code, rules(findings)) == (0, ["DuplicateObject"])


def test_a_policy_in_warn_warns_and_one_in_audit_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "client.yaml").write_text(CLIENT)
    policy = tmp_path / "policy.yaml"

    policy.write_text(BASELINE.replace("spec:\n", "spec:\n  mode: Warn\n"))
    warned = lint(tmp_path)
    policy.write_text(BASELINE.replace("spec:\n", "spec:\n  mode: Audit\n"))

    assert (warned[0], [(f["level"], f["rule"], f["field"]) for f in warned[1]]) == (
        0,
        [("warning", "MayBeRefused", "spec.tokens.lifetime")],
    )
    assert lint(tmp_path) == (0, [])


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "baseline.yaml").write_text(BASELINE)
    (tmp_path / "link.yaml").symlink_to(tmp_path / "policies" / "baseline.yaml")

    assert lint(tmp_path, "--policies", tmp_path / "policies" / ".." / "policies") == (0, [])


def test_what_a_server_printed_is_judged_without_what_it_added(tmp_path: Path) -> None:
    """`kubectl get -o yaml`, with status and managed fields."""
    added = "uid: u, generation: 3, resourceVersion: '7', creationTimestamp: '2026-01-01T00:00:00Z', finalizers: [a/b], "
    printed = CLIENT.replace("metadata: {", f"metadata: {{{added}managedFields: [{{manager: kubectl}}], ")
    (tmp_path / "printed.yaml").write_text(f"{printed}status: {{observedGeneration: 2, clientId: shop.other}}\n")

    assert lint(tmp_path / "printed.yaml") == (0, [])


def test_an_object_without_a_namespace_is_of_the_one_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "client.yaml").write_text(CLIENT.replace(", namespace: shop", "").replace("1h", "1y"))

    _, (of_default,) = lint(tmp_path / "client.yaml")
    _, (of_named,) = lint(tmp_path / "client.yaml", "-n", "team")

    assert (of_default["object"], of_named["object"]) == ("OAuthClient default/orders", "OAuthClient team/orders")


def test_the_trust_domain_says_whose_a_spiffe_id_is(tmp_path: Path) -> None:
    subject = "  authentication: {subject: {uri: spiffe://prod.example/ns/fin/sa/orders}}\n"
    (tmp_path / "client.yaml").write_text(CLIENT + subject)

    code, (finding,) = lint(tmp_path / "client.yaml", "--trust-domain", "prod.example")

    assert (code, finding["rule"], finding["field"]) == (1, "SubjectNotAllowed", "spec.authentication.subject.uri")
    assert "belongs to its namespace" in finding["message"]
