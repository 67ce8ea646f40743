"""`holdfast plan` beside a running `holdfast dev`: what it foretells is what happens, and nothing happens before."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from holdfast_cli.plan import command
from tests.cli.dev_process import DevProcess, client, dev, run_to_end

BILLING = client("billing", namespace="fin")
SHORT = """\
apiVersion: holdfast.dev/v1alpha1
kind: MTLSPolicy
metadata: {name: short}
spec:
  certificates: {maxDuration: 12h}
"""
LONG = """\
apiVersion: holdfast.dev/v1alpha1
kind: OAuthClient
metadata: {name: long, namespace: shop}
spec:
  certificate: {issuerRef: {name: workloads}, duration: 20h}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevProcess]:
    with dev(tmp_path_factory.mktemp("dev"), orders=client(), billing=BILLING, long=LONG) as process:
        process.wait_for(lambda: all(process.is_ready(name) for name in ("orders", "billing", "long")))
        yield process


@pytest.fixture
def declared(running: DevProcess, tmp_path: Path) -> Path:
    """A file to put manifests into, beside which nothing else stands."""
    return tmp_path / "declared.yaml"


def plan(running: DevProcess, *files: Path) -> tuple[int, dict[str, Any]]:
    """In this process, for speed: exit code and what was said, as JSON."""
    done = CliRunner().invoke(command, [*map(str, files), "--dir", str(running.data), "--format", "json"])
    assert done.exit_code in (0, 1), done.output
    said: dict[str, Any] = json.loads(done.stdout)
    return done.exit_code, said


def of(said: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(change for change in said["changes"] if change["name"] == name)
    return found


def digest(folder: Path) -> str:
    """Of every file below."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(str(path).encode() + path.read_bytes() for path in files)).hexdigest()


def test_what_is_there_already_changes_nothing(running: DevProcess) -> None:
    done = run_to_end(running.folder, "plan", "manifests", "--dir", "data")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "0 to create, 0 to change, 0 to follow, 3 unchanged, 0 refused\n"


def test_a_new_client_is_foretold_and_becomes_what_was_foretold(running: DevProcess, declared: Path) -> None:
    declared.write_text(client("cart", namespace="web"))

    done = run_to_end(running.folder, "plan", str(declared), "--dir", "data")

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        "create     OAuthClient web/cart",
        "    then: Certificate cart: have ClusterIssuer workloads issue it",
        "    then: registration web.cart: make once its certificate is issued",
        "1 to create, 0 to change, 0 to follow, 0 unchanged, 0 refused",
    ]
    running.write("cart.yaml", declared.read_text())
    running.wait_for(lambda: running.is_ready("cart"))
    assert plan(running, declared) == (0, {"changes": [], "summary": plan(running, declared)[1]["summary"]})


def test_a_change_names_its_fields_and_what_becomes_of_the_registration(running: DevProcess, declared: Path) -> None:
    declared.write_text(client(scope="orders.write"))

    code, said = plan(running, declared)

    assert code == 0
    assert of(said, "orders")["fields"] == [
        {"field": "spec.scopes", "before": ["orders.read"], "after": ["orders.write"]},
    ]
    assert of(said, "orders")["effects"] == ["registration shop.orders: change scope orders.read -> orders.write"]


def test_clients_that_a_policy_concerns_follow_and_those_that_break_it_are_refused(
    running: DevProcess, declared: Path
) -> None:
    declared.write_text(SHORT)

    code, said = plan(running, declared)

    assert code == 1
    assert of(said, "short")["action"] == "create"
    assert [r["rule"] for r in of(said, "long")["refusals"]] == ["DurationTooLong"]
    assert of(said, "long")["action"] == of(said, "billing")["action"] == "follow"
    assert of(said, "billing")["effects"][0].startswith("Certificate billing: issue anew with duration 86400s -> 43200s")


def test_what_the_plan_says_would_be_refused_is_refused(running: DevProcess, declared: Path) -> None:
    declared.write_text(SHORT)
    foretold = of(plan(running, declared)[1], "long")["refusals"][0]["rule"]

    running.write("policy.yaml", SHORT)
    try:
        running.wait_for(lambda: not running.is_ready("long"))
        found = running.client("long")
        assert found is not None
        assert found["reason"] == foretold
    finally:
        (running.manifests / "policy.yaml").unlink()
        running.wait_for(lambda: running.is_ready("long"))


def test_a_change_of_what_is_immutable_is_refused_before_anything_else(running: DevProcess, declared: Path) -> None:
    declared.write_text(client().replace("spec:\n", "spec:\n  clientId: shop.other\n"))

    code, said = plan(running, declared)

    assert code == 1
    assert of(said, "orders")["refusals"][0]["rule"] == "InvalidObject"
    assert "clientId is immutable" in of(said, "orders")["refusals"][0]["message"]


def test_what_another_client_holds_is_refused(running: DevProcess, declared: Path) -> None:
    declared.write_text(client("rival", namespace="fin").replace("spec:\n", "spec:\n  clientId: fin.billing\n"))

    code, said = plan(running, declared)

    assert code == 1
    assert "ClientIdTaken" in [r["rule"] for r in of(said, "rival")["refusals"]]


def test_an_owner_of_the_same_files_counts_as_one(running: DevProcess, declared: Path) -> None:
    """A client and the API that it asks tokens for come together."""
    wants = client("wants").replace("https://wants.shop.svc", "https://fresh.fin.svc").partition("  resourceServer")[0]
    owner = client("fresh", namespace="fin", scope="fresh.read")
    grants = owner.replace(
        "}\n  suspend", ", allowFrom: [{namespace: shop, client: wants, scopes: [orders.read]}]}\n  suspend"
    )
    declared.write_text(wants)
    alone = plan(running, declared)
    declared.write_text(f"{wants}---\n{grants}")
    together = plan(running, declared)

    assert "fresh.fin.svc" in of(alone[1], "wants")["warnings"][0]
    assert (together[0], of(together[1], "wants")["warnings"]) == (0, [])


def test_nothing_is_written(running: DevProcess, declared: Path) -> None:
    declared.write_text(f"{SHORT}---\n{client('cart2', namespace='web')}")
    before = digest(running.data / "objects")

    plan(running, declared)

    assert digest(running.data / "objects") == before


def test_what_a_config_map_holds_is_not_shown(running: DevProcess, declared: Path) -> None:
    declared.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop}\ndata: {k: hush}\n")

    done = CliRunner().invoke(command, [str(declared), "--dir", str(running.data), "--format", "json"])

    assert done.exit_code == 0
    assert "hush" not in done.stdout


def test_an_edit_of_a_policy_that_is_there_concerns_the_same_clients_as_a_new_one(
    running: DevProcess, declared: Path
) -> None:
    wide = SHORT.replace("12h", "22h")
    declared.write_text(wide)
    running.write("policy.yaml", wide)
    try:
        running.wait_for(lambda: plan(running, declared)[1]["changes"] == [])
        declared.write_text(SHORT)

        code, said = plan(running, declared)

        assert (code, of(said, "short")["action"]) == (1, "change")
        assert [r["rule"] for r in of(said, "long")["refusals"]] == ["DurationTooLong"]
        effect = of(said, "billing")["effects"][0]  # from 22h, or from 24h where that was not carried out yet
        assert effect.startswith("Certificate billing: issue anew with duration ")
        assert " -> 43200s" in effect
    finally:
        (running.manifests / "policy.yaml").unlink()
        running.wait_for(lambda: all(running.is_ready(name) for name in ("orders", "billing", "long")))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("in.yaml", "--dir", "nowhere"), "nowhere: expected the data folder of holdfast dev"),
        (("in.yaml", "--dir", "x", "--context", "y"), "--dir: expected no --kubeconfig and no --context"),
        (("in.yaml", "--kubeconfig", "nowhere"), "no API server"),
        (("broken.yaml", "--dir", "nowhere"), "broken.yaml:1"),
        (("nameless.yaml", "--dir", "nowhere"), "nameless.yaml:3: metadata.name: Required value"),
    ],
    ids=["folder", "both", "kubeconfig", "yaml", "name"],
)
def test_what_cannot_be_asked_ends_with_2_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.yaml").write_text(client())
    Path("broken.yaml").write_text("kind: [")
    Path("nameless.yaml").write_text("apiVersion: holdfast.dev/v1alpha1\nkind: OAuthClient\nmetadata: {}\n")

    done = CliRunner().invoke(command, arguments)

    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
