"""`holdfast policy preview` over a folder: who would break a policy, in which forms, with which exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from holdfast_cli.main import main
from holdfast_cli.policy import command
from tests.core.x509.authority import Authority

FAST = {"tokens": {"lifetime": "5m"}}
SLOW = {"tokens": {"lifetime": "1h"}}
ANCHORS = [{"configMapKeyRef": {"name": "own-ca"}}]
OWN: dict[str, Any] = {
    "certificate": None,
    "authentication": {"subject": {"dns": "orders.partner.example"}, "trustAnchors": ANCHORS},
}


def client(namespace: str, name: str, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    wanted = {"certificate": {"issuerRef": {"name": "workloads"}}, **spec}
    return {
        "apiVersion": "holdfast.dev/v1alpha1",
        "kind": "OAuthClient",
        "metadata": {"namespace": namespace, "name": name, "labels": labels or {}},
        "spec": {k: v for k, v in wanted.items() if v is not None},
    }


def policy(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "holdfast.dev/v1alpha1", "kind": "MTLSPolicy", "metadata": {"name": name}, "spec": spec}


def config_map(namespace: str, name: str, *authorities: Authority) -> dict[str, Any]:
    text = b"".join(a.pem for a in authorities).decode()
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"ca.crt": text}}


class Desk:
    """A folder of manifests, and a file with what is asked about."""

    def __init__(self, path: Path) -> None:
        self.folder, self.file = path / "manifests", path / "asked.yaml"
        self.folder.mkdir()

    def put(self, *objects: dict[str, Any]) -> None:
        (self.folder / "all.yaml").write_text("---\n".join(json.dumps(obj) + "\n" for obj in objects))

    def ask(self, *objects: dict[str, Any], form: str = "json", options: tuple[str, ...] = ()) -> Any:
        self.file.write_text("---\n".join(json.dumps(obj) + "\n" for obj in objects))
        arguments = ["preview", str(self.file), "--dir", str(self.folder), "--format", form, *options]
        return CliRunner().invoke(command, arguments)

    def told(self, *objects: dict[str, Any]) -> dict[str, Any]:
        """The one policy that was asked about."""
        done = self.ask(*objects)
        assert done.exit_code in (0, 1), done.output
        (found,) = json.loads(done.stdout)["policies"]
        return dict(found)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def names(told: dict[str, Any]) -> list[str]:
    return [f"{c['namespace']}/{c['name']}" for c in told["violations"]["clients"]]


@pytest.mark.parametrize("mode", ["Enforce", "Warn", "Audit"])
def test_it_says_who_would_break_a_policy_whatever_its_mode(desk: Desk, mode: str) -> None:
    desk.put(client("shop", "slow", **SLOW), client("shop", "fast", **FAST), client("fin", "slow", **SLOW))

    done = desk.ask(policy("strict", mode=mode, tokens={"maxLifetime": "15m"}))

    assert done.exit_code == 1
    assert json.loads(done.stdout) == {
        "policies": [
            {
                "name": "strict",
                "mode": mode,
                "problem": "",
                "matchedClients": 3,
                "violations": {
                    "count": 2,
                    "clients": [
                        {
                            "namespace": namespace,
                            "name": "slow",
                            "refusedAlready": False,
                            "breaches": [
                                {
                                    "reason": "LifetimeTooLong",
                                    "message": "spec.tokens.lifetime: expected at most 900s, found 3600s",
                                }
                            ],
                        }
                        for namespace in ("fin", "shop")
                    ],
                },
                "unjudged": [],
            }
        ]
    }


def test_a_policy_that_nobody_breaks_exits_with_0(desk: Desk) -> None:
    desk.put(client("shop", "fast", **FAST))

    done = desk.ask(policy("strict", tokens={"maxLifetime": "15m"}), form="text")

    assert done.exit_code == 0
    assert done.stdout == "MTLSPolicy strict (Enforce): matches 1 client, none would break it\n"


def test_the_text_names_twenty_and_all_of_them_when_asked(desk: Desk) -> None:
    desk.put(*(client("shop", f"c{i:02}", **SLOW) for i in range(23)))
    asked = policy("strict", mode="Audit", tokens={"maxLifetime": "15m"})

    short, whole = desk.ask(asked, form="text"), desk.ask(asked, form="text", options=("--all",))

    assert "matches 23 clients, 23 would break it; its status will count them" in short.stdout
    assert "shop/c19: LifetimeTooLong" in short.stdout
    assert "shop/c20" not in short.stdout
    assert "and 3 more: --all names them" in short.stdout
    assert "shop/c22: LifetimeTooLong" in whole.stdout


def test_it_takes_the_place_of_the_policy_of_its_name(desk: Desk) -> None:
    desk.put(client("shop", "slow", **SLOW), policy("strict", tokens={"maxLifetime": "1m"}))

    told = desk.told(policy("strict", tokens={"maxLifetime": "2h"}))

    assert names(told) == []


def test_it_says_of_whom_it_would_refuse_that_is_refused_already(desk: Desk) -> None:
    before = policy("before", tokens={"maxLifetime": "30m"})
    desk.put(client("shop", "slow", **SLOW), client("shop", "medium", tokens={"lifetime": "20m"}), before)

    told = desk.told(policy("strict", tokens={"maxLifetime": "10m"}))

    assert [(c["name"], c["refusedAlready"]) for c in told["violations"]["clients"]] == [("medium", False), ("slow", True)]


def test_selectors_look_at_labels_of_namespaces_and_clients(desk: Desk) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "shop"}}}
    desk.put(
        namespace, client("shop", "a", **SLOW), client("shop", "b", {"tier": "web"}, **SLOW), client("fin", "c", **SLOW)
    )
    strict = {"tokens": {"maxLifetime": "1m"}}

    team = desk.told(policy("p", namespaceSelector={"matchLabels": {"team": "shop"}}, **strict))
    tier = desk.told(policy("p", clientSelector={"matchLabels": {"tier": "web"}}, **strict))
    named = desk.told(policy("p", namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "fin"}}, **strict))

    assert (names(team), names(tier), names(named)) == (["shop/a", "shop/b"], ["shop/b"], ["fin/c"])


def test_trust_anchors_are_judged_where_they_are_known_and_named_where_they_are_not(desk: Desk) -> None:
    partner, other = Authority.root("CN=partner"), Authority.root("CN=other")
    desk.put(config_map("shop", "own-ca", partner), client("shop", "own", **OWN), client("shop", "issued"))
    pins = policy("pins", certificates={"trustAnchors": [{"configMapKeyRef": {"namespace": "platform", "name": "roots"}}]})

    told = desk.told(pins, config_map("platform", "roots", other))

    assert names(told) == ["shop/own"]
    assert told["violations"]["clients"][0]["breaches"][0]["reason"] == "TrustAnchorNotAllowed"
    assert [(c["namespace"], c["name"]) for c in told["unjudged"]] == [("shop", "issued")]


def test_a_policy_that_could_not_be_accepted_is_told_with_why(desk: Desk) -> None:
    desk.put(client("shop", "slow", **SLOW))

    done = desk.ask(policy("odd", certificates={"allowedSubjects": {"ipAddresses": ["10.0.0.0/99"]}}), form="text")

    assert done.exit_code == 1
    assert "MTLSPolicy odd (Enforce): cannot be accepted: " in done.stdout
    assert "10.0.0.0/99" in done.stdout


@pytest.mark.parametrize(("arguments", "message"), [
    (("{asked}", "--dir", "{none}"), "--dir: expected a folder"),
    (("{asked}", "--kubeconfig", "{none}"), "--kubeconfig: expected a file"),
    (("{asked}", "--dir", "{folder}", "--kubeconfig", "{asked}"), "--dir: expected no --kubeconfig and no --context"),
    (("{asked}", "--dir", "{folder}", "--context", "a"), "--dir: expected no --kubeconfig and no --context"),
    (("{asked}", "--kubeconfig", "{contexts}", "--context", "other"), "other"),
    (("{none}", "--dir", "{folder}"), "cannot be read"),
    (("{folder}", "--dir", "{folder}"), "expected an MTLSPolicy, found none"),
    (("{invalid}", "--dir", "{folder}"), "spec.mode: Unsupported value"),
], ids=["no-folder", "no-kubeconfig", "both", "context", "no-context", "no-file", "no-policy", "invalid"])  # fmt: skip
def test_what_cannot_be_found_out_is_said_in_one_line(desk: Desk, arguments: tuple[str, ...], message: str) -> None:
    desk.put(client("shop", "fast", **FAST))
    desk.file.write_text(json.dumps(policy("p")))
    invalid = desk.file.with_name("invalid.yaml")
    invalid.write_text(json.dumps(policy("p", mode="Observe")))
    contexts = desk.file.with_name("contexts")
    contexts.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "", "contexts": []}))
    places = {"asked": desk.file, "folder": desk.folder, "none": desk.file.with_name("none"), "invalid": invalid}
    places["contexts"] = contexts

    done = CliRunner().invoke(main, ["policy", "preview", *(a.format(**places) for a in arguments)])

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("holdfast policy preview: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
