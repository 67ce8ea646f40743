"""The folder as a cluster: what is declared is kept, what breaks keeps its last good form, what is gone is deleted."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from holdfast_operator.adapters.folder.cluster import SECOND_LOOK, FolderCluster
from holdfast_operator.reconcile.ports import Kind, Object, Rejected
from tests.core.api.manifests import INVALID, QUICKSTART, SAMPLES, documents, expected_message, name_of

CLIENT = """\
apiVersion: holdfast.dev/v1alpha1
kind: OAuthClient
metadata: {name: NAME, namespace: shop}
spec:
  certificate: {issuerRef: {name: workloads, kind: ClusterIssuer}}
  scopes: [orders.read]
"""


def client(name: str = "orders") -> str:
    return CLIENT.replace("NAME", name)


class Folder:
    """A folder of manifests and a cluster over it, which may be started anew."""

    def __init__(self, path: Path) -> None:
        self.root = path / "manifests"
        self.root.mkdir()
        self.data = path / "data"
        self.restart()

    def restart(self) -> None:
        self.cluster = FolderCluster(self.root, self.data, lambda: datetime(2026, 1, 1, tzinfo=UTC))

    async def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)
        await self.cluster.refresh()

    async def scopes(self, name: str = "orders") -> list[str] | None:
        found = await self.cluster.get(Kind.OAUTH_CLIENT, "shop", name)
        return None if found is None else found["spec"]["scopes"]

    @property
    def problems(self) -> list[str]:
        return [str(p) for p in self.cluster.problems]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


async def test_a_document_becomes_an_object_with_the_defaults_of_its_crd(folder: Folder) -> None:
    await folder.write("a.yaml", client())

    found = await folder.cluster.get(Kind.OAUTH_CLIENT, "shop", "orders")
    assert found is not None
    assert found["spec"]["grantTypes"] == ["client_credentials"]
    assert found["metadata"]["generation"] == 1
    assert not folder.problems


async def test_a_second_reading_changes_nothing(folder: Folder) -> None:
    await folder.write("a.yaml", client())
    seen: list[Kind] = []
    folder.cluster.subscribe(lambda kind, _, __: seen.append(kind))

    await folder.cluster.refresh()

    assert not seen


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (client().replace("[orders.read]", "yes-please"), "a.yaml, document 1, OAuthClient shop/orders: spec.scopes"),
        (client() + "  scope: [x]\n", 'spec.scope: unknown field "spec.scope"'),
        (client() + "  authentication: {subject: {uri: 'spiffe://a/b', dns: a.test}}\n", "exactly one"),
        (client() + "  authentication: {method: magic}\n", "spec.authentication.method"),
        (client()[:-10], "a.yaml, document 1: line"),
        (client().replace("orders", "../orders"), "metadata.name"),
    ],
)
async def test_a_broken_document_is_named_and_its_last_good_form_holds(folder: Folder, bad: str, said: str) -> None:
    await folder.write("a.yaml", client())

    await folder.write("a.yaml", bad)

    assert await folder.scopes() == ["orders.read"]
    assert any(said in problem for problem in folder.problems), folder.problems


async def test_a_broken_document_leaves_the_others_of_its_file_alone(folder: Folder) -> None:
    await folder.write("a.yaml", client("one") + "---\n" + client("two") + "  nonsense: 1\n---\n" + client("three"))

    assert await folder.scopes("one") == await folder.scopes("three") == ["orders.read"]
    assert await folder.scopes("two") is None
    assert "document 2" in folder.problems[0]


async def test_the_last_good_form_holds_over_a_restart(folder: Folder) -> None:
    await folder.write("a.yaml", client())
    (folder.root / "a.yaml").write_text("{")

    folder.restart()
    await folder.cluster.refresh()

    assert await folder.scopes() == ["orders.read"]


async def test_a_document_that_is_gone_takes_its_object_with_it(folder: Folder) -> None:
    await folder.write("a.yaml", client())
    (folder.root / "a.yaml").unlink()

    await folder.cluster.refresh()

    assert await folder.scopes() is None


async def test_a_document_gone_while_we_were_down_takes_its_object_with_it(folder: Folder) -> None:
    await folder.write("a.yaml", client())
    (folder.root / "a.yaml").unlink()

    folder.restart()
    await folder.cluster.refresh()

    assert await folder.scopes() is None


async def test_a_file_that_is_replaced_in_two_steps_deletes_nothing(folder: Folder) -> None:
    """As editors do: the file is away for a moment."""
    await folder.write("a.yaml", client())
    before = await folder.cluster.get(Kind.OAUTH_CLIENT, "shop", "orders")
    (folder.root / "a.yaml").unlink()

    reading = asyncio.create_task(folder.cluster.refresh())
    await asyncio.sleep(SECOND_LOOK / 3)  # the moment for which the file is away: the first look has missed it
    (folder.root / "a.yaml").write_text(client())
    await reading

    assert await folder.cluster.get(Kind.OAUTH_CLIENT, "shop", "orders") == before


async def test_a_folder_that_is_lost_deletes_nothing(folder: Folder) -> None:
    await folder.write("a.yaml", client())
    folder.root.rename(folder.root.with_name("elsewhere"))

    await folder.cluster.refresh()

    assert await folder.scopes() == ["orders.read"]
    assert "cannot be read" in folder.problems[0]


async def test_a_document_that_moves_to_another_file_is_the_same_object(folder: Folder) -> None:
    await folder.write("a.yaml", client())
    before = await folder.cluster.get(Kind.OAUTH_CLIENT, "shop", "orders")

    (folder.root / "a.yaml").rename(folder.root / "b.yml")
    await folder.cluster.refresh()

    assert await folder.cluster.get(Kind.OAUTH_CLIENT, "shop", "orders") == before


async def test_an_object_put_back_while_a_finalizer_holds_it_comes_anew(folder: Folder) -> None:
    await folder.write("a.yaml", client())
    first = await _live(folder)
    await folder.cluster.set_finalizers(Kind.OAUTH_CLIENT, first, ["holdfast.dev/registration"])
    (folder.root / "a.yaml").unlink()
    await folder.cluster.refresh()
    assert "deletionTimestamp" in (await _live(folder))["metadata"]

    await folder.write("a.yaml", client())
    await folder.cluster.set_finalizers(Kind.OAUTH_CLIENT, await _live(folder), [])

    second = await _live(folder)
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert "deletionTimestamp" not in second["metadata"]


async def test_a_client_id_that_is_set_cannot_be_changed(folder: Folder) -> None:
    await folder.write("a.yaml", client() + "  clientId: shop.first\n")

    await folder.write("a.yaml", client() + "  clientId: shop.second\n")

    assert (await _live(folder))["spec"]["clientId"] == "shop.first"
    assert "immutable" in folder.problems[0]


async def test_namespaces_are_there_when_used_and_take_labels_from_their_document(folder: Folder) -> None:
    await folder.write("a.yaml", client())
    implied = await folder.cluster.get(Kind.NAMESPACE, "", "shop")
    assert implied is not None
    assert implied["metadata"]["labels"] == {"kubernetes.io/metadata.name": "shop"}

    await folder.write("n.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: a}}\n")
    [written] = await folder.cluster.list(Kind.NAMESPACE, None, {"team": "a"})
    assert written["metadata"]["uid"] == implied["metadata"]["uid"]

    (folder.root / "n.yaml").unlink()
    await folder.cluster.refresh()
    assert await folder.cluster.get(Kind.NAMESPACE, "", "shop") is not None
    assert await folder.cluster.list(Kind.NAMESPACE, None, {"team": "a"}) == []


async def test_the_built_in_issuer_is_there_and_comes_back(folder: Folder) -> None:
    await folder.write("i.yaml", "apiVersion: cert-manager.io/v1\nkind: ClusterIssuer\nmetadata: {name: workloads}\n")
    (folder.root / "i.yaml").unlink()

    await folder.cluster.refresh()

    assert await folder.cluster.get(Kind.CLUSTER_ISSUER, "", "workloads") is not None


async def test_a_status_that_the_crd_does_not_allow_is_rejected(folder: Folder) -> None:
    await folder.write("a.yaml", client())
    meta = {"name": "orders", "namespace": "shop"}

    with pytest.raises(Rejected, match="status"):
        await folder.cluster.apply_status(Kind.OAUTH_CLIENT, {"metadata": meta, "status": {"clientId": 1}})


async def _live(folder: Folder) -> Object:
    found = await folder.cluster.get(Kind.OAUTH_CLIENT, "shop", "orders")
    assert found is not None
    return found


@pytest.mark.parametrize("path", INVALID, ids=name_of)
async def test_what_an_api_server_refuses_is_refused_here_with_its_message(folder: Folder, path: Path) -> None:
    *before, last = documents(path)
    for obj in before:
        await folder.write("a.yaml", yaml.safe_dump(obj))
    stored = await folder.cluster.list(Kind.OAUTH_CLIENT)

    await folder.write("a.yaml", yaml.safe_dump(last))

    assert any(expected_message(path) in problem for problem in folder.problems), folder.problems
    assert all(problem.startswith("a.yaml, document 1") for problem in folder.problems)
    assert await folder.cluster.list(Kind.OAUTH_CLIENT) == stored


@pytest.mark.parametrize(
    "text", [path.read_text() for path in (*SAMPLES, QUICKSTART)], ids=map(name_of, (*SAMPLES, QUICKSTART))
)
async def test_every_sample_is_taken_without_a_word(folder: Folder, text: str) -> None:
    await folder.write("a.yaml", text)

    assert folder.problems == []
