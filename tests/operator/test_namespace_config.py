"""The ConfigMap of a namespace with a client: what it says, whose it is, and that it is as it should be."""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.registry.records import Endpoints
from holdfast_operator.converge.reconciler import Reconciler
from holdfast_operator.converge.server_ca import ServerCa
from holdfast_operator.reconcile.namespace_config import (
    CONFIG_LABEL,
    LeaveAlone,
    Remove,
    ServerConfig,
    Write,
    config_map,
    judge,
)
from holdfast_operator.reconcile.ports import Key, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.core.x509.authority import Authority
from tests.operator.simulated import ENDPOINTS
from tests.operator.small_house import House, house, manifest

CONFIG = Key(Kind.CONFIG_MAP, "shop", "holdfast")
ROOT, NEXT = Authority.root("CN=Listeners"), Authority.root("CN=Listeners of tomorrow")
WANTED = config_map("shop", "holdfast", ServerConfig(ENDPOINTS, ROOT.pem.decode()))


def live(**changes: object) -> Object:
    metadata = {**WANTED["metadata"], "uid": "uid-1", "resourceVersion": "7"}
    return {**WANTED, "metadata": metadata, **changes}


def foreign(**metadata: object) -> Object:
    return {"metadata": {"namespace": "shop", "name": "holdfast", "uid": "uid-9", **metadata}, "data": {"issuer": "theirs"}}


def test_it_holds_endpoints_by_their_registered_names_and_the_ca() -> None:
    told = replace(ENDPOINTS, jwks_uri="https://as.test/jwks", revocation_endpoint="https://m.as.test/r")

    assert ServerConfig(told, "PEM").data == {
        "issuer": "https://as.test",
        "token_endpoint": "https://m.as.test/t",
        "introspection_endpoint": "https://m.as.test/i",
        "revocation_endpoint": "https://m.as.test/r",
        "jwks_uri": "https://as.test/jwks",
        "ca.crt": "PEM",
    }


def test_a_public_ca_is_left_out() -> None:
    assert "ca.crt" not in ServerConfig(ENDPOINTS, "").data


def test_what_is_as_it_should_be_is_left_alone() -> None:
    assert judge(live(), WANTED) is None


def test_what_others_have_added_is_theirs() -> None:
    labelled = {**live()["metadata"], "labels": {**WANTED["metadata"]["labels"], "team": "shop"}}

    assert judge(live(metadata=labelled, data={**WANTED["data"], "more": "x"}), WANTED) is None


@pytest.mark.parametrize("data", [
    {},
    {**WANTED["data"], "issuer": "https://evil.test"},
    {k: v for k, v in WANTED["data"].items() if k != "ca.crt"},
    {**WANTED["data"], "jwks_uri": "https://evil.test/jwks"},
], ids=["emptied", "another issuer", "no ca", "a key that is ours added"])  # fmt: skip
def test_drift_is_put_right_in_that_very_object(data: dict[str, str]) -> None:
    found = judge(live(data=data), WANTED)

    assert isinstance(found, Write)
    assert found.config_map["data"] == WANTED["data"]
    assert found.config_map["metadata"]["uid"] == "uid-1"


def test_one_that_is_missing_is_made() -> None:
    assert judge(None, WANTED) == Write(WANTED)


def test_one_that_was_made_immutable_is_replaced() -> None:
    assert judge(live(immutable=True), WANTED) == Remove("holdfast", "uid-1")


def test_with_the_last_client_it_goes() -> None:
    assert judge(live(), None) == Remove("holdfast", "uid-1")
    assert judge(None, None) is None


def test_somebody_elses_is_neither_written_nor_removed() -> None:
    assert judge(foreign(), WANTED) == LeaveAlone()
    assert judge(foreign(managedFields=[{"manager": "kubectl", "operation": "Apply"}]), WANTED) == LeaveAlone()
    assert judge(foreign(), None) is None


def test_ours_without_its_label_is_still_ours() -> None:
    unlabelled = foreign(managedFields=[{"manager": "holdfast", "operation": "Apply"}])

    found = judge(unlabelled, WANTED)

    assert isinstance(found, Write)
    assert found.config_map["metadata"]["labels"][CONFIG_LABEL] == "server"


class TestCa:
    """What is believed of the file."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "ca.crt"
        path.write_bytes(ROOT.pem)
        return path

    def test_certificates_are_read_again_when_they_change(self, file: Path) -> None:
        ca = ServerCa(file)
        assert ca.pem() == ROOT.pem.decode()

        file.with_name("new").write_bytes(NEXT.pem + ROOT.pem + NEXT.pem)
        os.replace(file.with_name("new"), file)

        assert ca.pem() == (NEXT.pem + ROOT.pem).decode()

    @pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
    def test_what_is_no_certificate_reaches_nobody_and_what_was_good_stays(self, file: Path, content: bytes) -> None:
        ca = ServerCa(file)
        assert ca.pem() == ROOT.pem.decode()

        file.write_bytes(content + ROOT.pem if b"KEY" in content else content)

        assert ca.pem() == ROOT.pem.decode()
        assert ServerCa(file).pem() is None

    def test_words_between_certificates_stay_behind(self, file: Path) -> None:
        file.write_bytes(b"# password: hunter2\n" + ROOT.pem)

        assert ServerCa(file).pem() == ROOT.pem.decode()

    def test_no_file_is_a_public_ca(self, tmp_path: Path) -> None:
        assert ServerCa(None).pem() == ""
        assert ServerCa(tmp_path / "none").pem() == ""


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    (tmp_path / "server-ca.crt").write_bytes(ROOT.pem)
    async with house(tmp_path) as found:
        settings = ReconcileSettings(holder="test", server_ca_file=tmp_path / "server-ca.crt")
        found.reconciler = Reconciler(found.cluster, found.line, settings, found.clock)
        yield found


async def _data(home: House) -> dict[str, str] | None:
    found = await home.cluster.get(*CONFIG)
    return None if found is None else dict(found["data"])


async def test_it_comes_with_the_first_client_and_goes_with_the_last(home: House) -> None:
    assert not (await home.reconciler.reconcile(CONFIG)).wrote

    await home.write("orders.yaml", manifest())
    assert (await home.reconciler.reconcile(CONFIG)).wrote
    assert await _data(home) == WANTED["data"]
    assert not (await home.reconciler.reconcile(CONFIG)).wrote

    await home.remove("orders.yaml")
    outcome = await home.reconciler.reconcile(CONFIG)
    assert (outcome.wrote, outcome.gone, await _data(home)) == (True, True, None)


async def test_its_files_are_those_of_a_mounted_config_map(home: House) -> None:
    await home.write("orders.yaml", manifest())
    await home.reconciler.reconcile(CONFIG)
    folder = home.root / "data" / "config-maps" / "shop" / "holdfast"

    assert (folder / "ca.crt").read_bytes() == ROOT.pem
    assert (folder / "token_endpoint").read_text() == ENDPOINTS.token_endpoint

    await home.remove("orders.yaml")
    await home.reconciler.reconcile(CONFIG)
    assert not folder.exists()


async def test_a_new_ca_or_endpoint_changes_all_of_them(home: House) -> None:
    await home.write("orders.yaml", manifest())
    await home.reconciler.reconcile(CONFIG)
    await home.reconciler.describe()
    assert not await home.reconciler.configs_changed()

    (home.root / "server-ca.crt").write_bytes(NEXT.pem + ROOT.pem)
    assert await home.reconciler.configs_changed()
    assert not await home.reconciler.configs_changed()
    home.keeper.endpoints = replace(ENDPOINTS, issuer="https://new.test")
    await home.reconciler.describe()
    assert await home.reconciler.configs_changed()

    await home.reconciler.reconcile(CONFIG)
    data = await _data(home)
    assert data is not None
    assert (data["issuer"], data["ca.crt"]) == ("https://new.test", (NEXT.pem + ROOT.pem).decode())


async def test_many_namespaces_with_many_clients_cost_one_write_each_and_none_afterwards(home: House) -> None:
    keys = [Key(Kind.CONFIG_MAP, f"team-{n}", "holdfast") for n in range(40)]
    for key in keys:
        await home.write(f"{key.namespace}.yaml", *(manifest(name, key.namespace) for name in ("a", "b", "c")))

    first = [await home.reconciler.reconcile(key) for key in keys]
    again = [await home.reconciler.reconcile(key) for key in keys]

    assert [sum(o.wrote for o in outcomes) for outcomes in (first, again)] == [len(keys), 0]


async def test_a_ca_that_cannot_be_read_yet_is_waited_for(home: House) -> None:
    (home.root / "server-ca.crt").write_bytes(b"half a fi")
    home.reconciler = Reconciler(home.cluster, home.line, home.reconciler.settings, home.clock)
    await home.write("orders.yaml", manifest())

    outcome = await home.reconciler.reconcile(CONFIG)

    assert (outcome.wrote, outcome.requeue_after, await _data(home)) == (False, 5.0, None)


async def test_somebody_elses_is_left_alone_and_told_of_once(home: House) -> None:
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "holdfast", "namespace": "shop"}}
    await home.write("orders.yaml", manifest(), {**theirs, "data": {"issuer": "theirs"}})

    outcomes = [await home.reconciler.reconcile(CONFIG) for _ in range(2)]

    assert [o.wrote for o in outcomes] == [False, False]
    assert await _data(home) == {"issuer": "theirs"}
    told = [(e.key, e.warning, e.reason) for e in home.cluster.events if e.key == CONFIG]
    assert told == [(CONFIG, True, "ConfigMapTaken")]


def test_the_server_says_all_of_it_over_the_wire() -> None:
    """Every member of `Endpoints` is a key, so a new one needs no second list."""
    assert set(Endpoints.__slots__) == {
        "issuer", "token_endpoint", "introspection_endpoint", "revocation_endpoint", "jwks_uri", "deny_list_uri"
    }  # fmt: skip
