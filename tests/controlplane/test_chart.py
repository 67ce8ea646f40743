"""The chart, judged by Helm, by a real API server and by a real cert-manager."""

import json
import subprocess
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from holdfast import __version__
from holdfast_authserver.settings import Settings as ServerSettings
from holdfast_operator.admission.settings import InjectorSettings
from holdfast_operator.settings import Settings as OperatorSettings
from tests.controlplane.plane.build import BuildError
from tests.controlplane.plane.plane import ControlPlane, KubectlError
from tools import generate_install

pytestmark = pytest.mark.controlplane

Document = dict[str, Any]
Render = Callable[..., list[Document]]

_VARIANTS: dict[str, tuple[str, ...]] = {
    "defaults": (),
    "without a volume": ("--set=authserver.persistence.enabled=false",),
    "a claim of one's own": ("--set=authserver.persistence.existingClaim=mine",),
    "a storage class": ("--set=authserver.persistence.storageClassName=fast",),
    "listeners by a public CA": (
        "--set=authserver.issuerRef.name=workloads,authserver.issuerRef.kind=ClusterIssuer",
        "--set=authserver.dnsNames.public={id.example.com},authserver.publicUrl=https://id.example.com",
    ),
    "pinned by digest": (f"--set=image.digest=sha256:{'a' * 64}", "--set=imagePullSecrets[0].name=pull"),
    "two operators, placed": (
        "--set=operator.replicas=2,operator.nodeSelector.disk=ssd",
        "--set=operator.tolerations[0].operator=Exists,operator.podLabels.team=id,operator.podAnnotations.a=b",
    ),
    "some namespaces": ("--set=operator.watchNamespaces={default,kube-system}",),
    "closed": ("--set=networkPolicy.enabled=false,rbac.aggregateToDefaultRoles=false,crds.install=false",),
    "without webhooks": ("--set=injector.enabled=false,admissionPolicies.enabled=false",),
    "webhooks for whom they are": (
        "--set=injector.failurePolicy=Ignore,injector.replicas=3,injector.affinity.nodeAffinity=null",
        "--set=injector.allowFrom[0].ipBlock.cidr=10.0.0.1/32,serviceAccounts.injector=chosen",
    ),
    "a load balancer": ("--set=authserver.service.type=LoadBalancer,authserver.service.annotations.a=b",),
    "PostgreSQL": (
        "--set=authserver.replicas=3,authserver.database.urlSecret.name=database",
        "--set=authserver.keyEncryption.secret.name=keys,authserver.keyEncryption.previousSecret.name=old-keys",
    ),
    "encrypted keys on the volume": ("--set=authserver.keyEncryption.secret.name=keys",),
    "more environment": ("--set=operator.extraEnv[0].name=HTTPS_PROXY,operator.extraEnv[0].value=http://proxy:3128",),
}


@pytest.fixture
def render(plane: ControlPlane, namespace: str) -> Render:
    """Renders the chart for this test's namespace; cluster-wide names carry the namespace, so tests do not meet."""

    def documents(*settings: str) -> list[Document]:
        text = generate_install.render(*settings, release=f"holdfast-{namespace}", namespace=namespace)
        return [document for document in yaml.safe_load_all(text) if document]

    return documents


def test_helm_lint_finds_nothing(plane: ControlPlane) -> None:
    done = _helm(plane, "lint", "--strict", str(generate_install.CHART))

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("settings", _VARIANTS.values(), ids=_VARIANTS.keys())
def test_the_api_server_accepts_what_is_rendered(plane: ControlPlane, render: Render, settings: tuple[str, ...]) -> None:
    documents = render(*settings)
    said = _dry_run(plane, documents)

    assert len(said.splitlines()) == len(documents)


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ("authserver.ports.public=443", "authserver/ports/public"),
        ("authserver.publicUrl=http://id.example.com", "authserver/publicUrl"),
        ("operator.replica=2", "operator"),
        ("certificates.duration=30days", "certificates/duration"),
        ("authserver.startupHold=61", "authserver/startupHold"),
        ("injector.failurePolicy=fail", "injector/failurePolicy"),
        ("authserver.database.urlSecret.name=No Name", "authserver/database/urlSecret/name"),
        ("authserver.keyEncryption.secret.key=", "authserver/keyEncryption/secret/key"),
        ("authserver.replicas=0", "authserver/replicas"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(plane: ControlPlane, setting: str, place: str) -> None:
    with pytest.raises(BuildError, match=f"at '/{place}'"):
        generate_install.render(f"--set={setting}")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("authserver.database.urlSecret.name=database", "authserver.keyEncryption.secret.name: expected the name"),
        ("authserver.replicas=2", "authserver.replicas: expected 1, since the registry is one SQLite file, found 2"),
        ("authserver.keyEncryption.previousSecret.name=old", "expected authserver.keyEncryption.secret beside it"),
    ],
)
def test_values_that_do_not_go_together_are_refused_with_what_is_missing(
    plane: ControlPlane, settings: str, expected: str
) -> None:
    with pytest.raises(BuildError, match=expected):
        generate_install.render(f"--set={settings}")


def test_with_postgresql_what_is_secret_comes_from_secrets_and_nothing_lies_on_a_volume(render: Render) -> None:
    documents = render(*_VARIANTS["PostgreSQL"], "--set=authserver.database.urlSecret.key=uri")
    (deployment,) = [d for d in documents if d["kind"] == "Deployment" and d["metadata"]["name"].endswith("authserver")]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    secret = {e["name"]: e["valueFrom"]["secretKeyRef"] for e in container["env"] if "valueFrom" in e}
    values = {e["name"]: e["value"] for e in container["env"] if "value" in e}
    (mount,) = [m for m in container["volumeMounts"] if m["name"] == "key-encryption"]
    (volume,) = [v for v in pod["volumes"] if v["name"] == "key-encryption"]

    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]["type"]) == (3, "RollingUpdate")
    assert secret == {
        "HOLDFAST_DATABASE_URL": {"name": "database", "key": "uri"},
        "HOLDFAST_KEY_ENCRYPTION_KEY_PREVIOUS": {"name": "old-keys", "key": "key"},
    }
    assert values["HOLDFAST_KEY_ENCRYPTION_KEY_FILE"] == f"{mount['mountPath']}/key"
    assert (volume["secret"]["secretName"], volume["secret"]["items"]) == ("keys", [{"key": "key", "path": "key"}])
    assert not [d for d in documents if d["kind"] == "PersistentVolumeClaim"]
    assert {"name": "data", "emptyDir": {}} in pod["volumes"]


def test_the_operator_has_no_verb_on_secrets_and_no_wildcard(render: Render) -> None:
    roles = [document for document in render() if document["kind"] in ("Role", "ClusterRole")]
    granted = [rule for role in roles for rule in role["rules"]]

    assert len(roles) == 7
    assert [rule for rule in granted if "secrets" in rule["resources"] or "*" in str(rule)] == []


def test_the_api_server_grants_the_operator_what_it_needs_and_not_secrets(
    plane: ControlPlane, namespace: str, render: Render
) -> None:
    plane.apply(document for document in render() if "Role" in document["kind"] or document["kind"] == "ServiceAccount")
    config = plane.service_account_kubeconfig(namespace, f"holdfast-{namespace}-operator")

    def may(verb: str, resource: str, *where: str) -> bool:
        try:
            return plane.kubectl_run("auth", "can-i", verb, resource, *where, kubeconfig=config).strip() == "yes"
        except KubectlError:  # "no" is exit code 1
            return False

    everywhere = "--all-namespaces"
    allowed = [
        ("patch", "oauthclients.holdfast.dev", "--subresource=status", everywhere),
        ("create", "certificates.cert-manager.io", everywhere),
        ("watch", "configmaps", everywhere),
        ("update", f"leases.coordination.k8s.io/holdfast-{namespace}-operator", f"--namespace={namespace}"),
    ]
    denied = [
        *((verb, "secrets", everywhere) for verb in ("get", "list", "watch", "create", "update", "patch", "delete")),
        ("delete", "oauthclients.holdfast.dev", everywhere),
        ("update", "leases.coordination.k8s.io/of-others", f"--namespace={namespace}"),
        ("get", "leases.coordination.k8s.io", "--namespace=kube-system"),
    ]
    assert [question for question in allowed if not may(*question)] == []
    assert [question for question in denied if may(*question)] == []


def test_the_pods_pass_the_restricted_pod_security_standard(plane: ControlPlane, namespace: str, render: Render) -> None:
    plane.kubectl_run("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    documents = render()
    plane.apply(document for document in documents if document["kind"] == "ServiceAccount")
    pods = [_pod_of(document) for document in documents if document["kind"] == "Deployment"]

    assert len(_dry_run(plane, pods).splitlines()) == 3


def test_the_hook_before_an_uninstallation_is_the_operators_own_and_never_in_what_people_apply(
    plane: ControlPlane, namespace: str
) -> None:
    name = f"holdfast-{namespace}"
    text = generate_install.render(
        f"--set=operator.watchNamespaces={{{namespace}}}", release=name, namespace=namespace, hooks=True
    )
    documents = [document for document in yaml.safe_load_all(text) if document]
    (job,) = [document for document in documents if "helm.sh/hook" in document["metadata"].get("annotations", {})]
    pod = job["spec"]["template"]["spec"]
    (operator,) = [d for d in documents if d["kind"] == "Deployment" and d["metadata"]["name"].endswith("-operator")]

    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete"
    assert pod["containers"][0]["args"] == ["operator", "release"]
    assert pod["serviceAccountName"] == operator["spec"]["template"]["spec"]["serviceAccountName"]
    works = {e["name"]: e.get("value") for e in operator["spec"]["template"]["spec"]["containers"][0]["env"]}
    ends = {e["name"]: e.get("value") for e in pod["containers"][0]["env"]}
    assert ends.items() <= works.items()
    assert ends["HOLDFAST_WATCH_NAMESPACES"] == namespace
    plane.kubectl_run("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    plane.apply(document for document in documents if document["kind"] == "ServiceAccount")
    assert len(_dry_run(plane, [job, _pod_of(job)]).splitlines()) == 2
    assert "helm.sh/hook" not in generate_install.render()


def test_cert_manager_issues_every_certificate_and_the_admin_api_trusts_its_own_ca_alone(
    plane: ControlPlane, namespace: str, render: Render
) -> None:
    plane.apply(document for document in render() if document["apiVersion"] == "cert-manager.io/v1")
    plane.kubectl_run("wait", "--for=condition=Ready", "certificates", "--all", f"-n={namespace}", "--timeout=60s")
    secrets = json.loads(plane.kubectl_run("get", "secrets", f"-n={namespace}", "--output=json"))["items"]
    authorities = {secret["metadata"]["name"]: secret["data"]["ca.crt"] for secret in secrets}
    release = f"holdfast-{namespace}"

    assert authorities[f"{release}-admin-server"] == authorities[f"{release}-admin-operator"]
    assert authorities[f"{release}-authserver-public"] == authorities[f"{release}-authserver-mtls"]
    assert authorities[f"{release}-authserver-mtls"] != authorities[f"{release}-admin-server"]


def test_the_san_that_the_admin_api_pins_is_the_one_in_the_operators_certificate(render: Render) -> None:
    documents = render("--set=trustDomain=corp.example,serviceAccounts.operator=chosen")
    (certificate,) = [d for d in documents if d["metadata"]["name"].endswith("-admin-operator")]

    assert certificate["spec"]["uris"] == [_environment(documents, "authserver")["HOLDFAST_ADMIN_CLIENT_SAN"]]
    assert certificate["spec"]["uris"][0].startswith("spiffe://corp.example/ns/")


def test_the_webhooks_lead_to_the_injectors_service_and_trust_the_ca_of_its_certificate(render: Render) -> None:
    documents = {(d["kind"], d["metadata"]["name"]): d for d in render()}
    (configuration,) = [d for (kind, _), d in documents.items() if kind == "ValidatingWebhookConfiguration"]
    namespace, name = configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"].split("/")
    certificate, service = documents["Certificate", name], documents["Service", name]

    reached = [webhook["clientConfig"]["service"] for webhook in configuration["webhooks"]]
    assert certificate["spec"]["dnsNames"] == [f"{name}.{namespace}.svc"]
    assert [(r["namespace"], r["name"], r["port"]) for r in reached] == [
        (namespace, name, service["spec"]["ports"][0]["port"])
    ] * 2


def test_of_namespaces_that_are_not_watched_no_client_is_refused(render: Render) -> None:
    documents = render("--set=operator.watchNamespaces={shop,web}")
    watched = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["shop", "web"]}]}
    (configuration,) = [d for d in documents if d["kind"] == "ValidatingWebhookConfiguration"]
    (own_subjects,) = [d for d in documents if d["kind"] == "ValidatingAdmissionPolicy"]

    selectors = {w["rules"][0]["resources"][0]: w.get("namespaceSelector") for w in configuration["webhooks"]}
    assert selectors == {"oauthclients": watched, "mtlspolicies": None}
    assert own_subjects["spec"]["matchConstraints"]["namespaceSelector"] == watched
    assert _environment(documents, "injector")["HOLDFAST_WATCH_NAMESPACES"] == "shop,web"


@pytest.mark.parametrize("component", ["operator", "injector"])
def test_of_namespaces_that_are_not_watched_nothing_may_be_read(render: Render, component: str) -> None:
    documents = render("--set=operator.watchNamespaces={shop,web}")
    account = _service_account(documents, component)
    bound = [d for d in documents if d["kind"].endswith("RoleBinding") and account in [s["name"] for s in d["subjects"]]]
    roles = {(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]): d for d in documents if "rules" in d}

    granted: dict[str, set[str]] = {}
    for binding in bound:
        role, place = binding["roleRef"], binding["metadata"].get("namespace")
        rules = roles[role["kind"], place, role["name"]]["rules"]
        granted.setdefault(place or "everywhere", set()).update(r for rule in rules for r in rule["resources"])
    assert not granted["everywhere"] & {"oauthclients", "configmaps", "certificates", "certificaterequests", "events"}
    assert granted["shop"] == granted["web"] >= {"oauthclients", "configmaps"}


def test_the_webhooks_are_asked_of_our_kinds_alone_and_of_no_subresource(render: Render) -> None:
    (configuration,) = [d for d in render() if d["kind"] == "ValidatingWebhookConfiguration"]
    rules = [rule for webhook in configuration["webhooks"] for rule in webhook["rules"]]

    assert [rule["apiGroups"] for rule in rules] == [["holdfast.dev"]] * 2
    assert sorted(rule["resources"][0] for rule in rules) == ["mtlspolicies", "oauthclients"]
    assert [rule["operations"] for rule in rules] == [["CREATE", "UPDATE"]] * 2
    assert {webhook["sideEffects"] for webhook in configuration["webhooks"]} == {"None"}


def test_every_setting_of_the_server_is_set_by_the_chart_but_the_secret_ones(render: Render) -> None:
    """Those come from Secrets, where the values name one."""
    secret = {"key_encryption_key", "key_encryption_key_previous"}
    known = {f"HOLDFAST_{name.upper()}" for name in ServerSettings.model_fields if name not in secret}

    assert set(_environment(render(), "authserver")) == known


def test_every_setting_of_the_operator_is_set_by_the_chart_but_its_identity(render: Render) -> None:
    """Which is the pod's host name by itself, and has to differ between replicas."""
    known = {f"HOLDFAST_{name.upper()}" for name in OperatorSettings.model_fields if name != "identity"}

    assert set(_environment(render(), "operator")) == known


def test_every_setting_of_the_injector_is_set_by_the_chart(render: Render) -> None:
    known = {f"HOLDFAST_{name.upper()}" for name in InjectorSettings.model_fields}

    assert set(_environment(render(), "injector")) == known


def test_the_processes_accept_the_environment_that_the_chart_gives_them(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = render()
    for component in ("authserver", "operator", "injector"):
        for name, value in _environment(documents, component).items():
            monkeypatch.setenv(name, value)

        settings = _settings(component)
        assert settings.ops_host == "0.0.0.0"  # set from outside: both have the loopback as default


def test_helm_installs_upgrades_and_uninstalls_and_leaves_nothing(plane: ControlPlane, namespace: str) -> None:
    chart, release = str(generate_install.CHART), f"holdfast-{namespace}"
    where = (f"--namespace={namespace}", f"--kubeconfig={plane.kubeconfig}")
    without_crds = "--set=crds.install=false"  # the plane has them already, and Helm takes nothing over
    for command in (
        ("install", release, chart, without_crds),
        ("upgrade", release, chart, without_crds, "--set=operator.replicas=2"),
        ("uninstall", release, "--no-hooks"),  # no kubelet is here to run its pod
    ):
        done = _helm(plane, *command, *where)
        assert done.returncode == 0, f"{command[0]}: {done.stderr}"

    selector = f"app.kubernetes.io/instance={release}"
    kinds = (
        "deployments,services,serviceaccounts,certificates,issuers,clusterroles,clusterrolebindings,roles,"
        "validatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings"
    )
    assert plane.kubectl_run("get", kinds, "-A", f"--selector={selector}", "--output=name") == ""


def test_the_install_manifests_are_fresh(plane: ControlPlane) -> None:
    assert generate_install.stale(generate_install.files()) == [], "run `make generate`"


def test_the_api_server_accepts_the_install_manifests(plane: ControlPlane) -> None:
    folder = generate_install.REPOSITORY / "manifests" / "install"
    plane.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": generate_install.NAMESPACE}}])
    said = plane.kubectl_run(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts", f"--filename={folder}"
    )

    assert f"namespace/{generate_install.NAMESPACE} serverside-applied (server dry run)" in said
    assert "deployment.apps/holdfast-operator serverside-applied (server dry run)" in said


def test_the_chart_and_the_package_have_one_version() -> None:
    chart = yaml.safe_load((generate_install.CHART / "Chart.yaml").read_text())

    assert chart["appVersion"] == __version__
    assert chart["version"].replace("-dev.", ".dev") == __version__  # Helm wants SemVer, Python PEP 440


def test_the_image_is_built_from_every_folder_of_the_wheel() -> None:
    project = tomllib.loads((generate_install.REPOSITORY / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    allowed = (generate_install.REPOSITORY / ".dockerignore").read_text().splitlines()

    assert packages
    assert {f"!{package.split('/')[0]}/" for package in packages} <= set(allowed)


def _settings(component: str) -> ServerSettings | OperatorSettings | InjectorSettings:
    if component == "authserver":
        return ServerSettings()
    # Required fields come from the environment.
    return OperatorSettings() if component == "operator" else InjectorSettings()  # type: ignore[call-arg]


def _helm(plane: ControlPlane, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(plane.helm), *arguments], capture_output=True, text=True, check=False)


def _dry_run(plane: ControlPlane, documents: list[Document]) -> str:
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
    return plane.kubectl_run("apply", "--dry-run=server", "--validate=strict", "--filename=-", input=listed)


def _pod_of(deployment: Document) -> Document:
    template = deployment["spec"]["template"]
    metadata = {"name": deployment["metadata"]["name"], "namespace": deployment["metadata"]["namespace"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def _service_account(documents: list[Document], component: str) -> str:
    (pod,) = [_pod_of(d) for d in documents if d["kind"] == "Deployment" and d["metadata"]["name"].endswith(component)]
    return str(pod["spec"]["serviceAccountName"])


def _environment(documents: list[Document], component: str) -> dict[str, str]:
    (pod,) = [_pod_of(d) for d in documents if d["kind"] == "Deployment" and d["metadata"]["name"].endswith(component)]
    (container,) = pod["spec"]["containers"]
    return {entry["name"]: entry["value"] for entry in container["env"]}
