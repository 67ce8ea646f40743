"""The admin API over real mutual TLS: who is let in, and what becomes of requests that are not of its form."""

import json
import ssl
from collections.abc import AsyncIterator, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.oauth.client_metadata import to_json
from holdfast.policy.model import to_json as policy_to_json
from holdfast.registry.port import RegistryUnavailable
from holdfast_operator.adapters.admin_api import HttpRegistry
from tests.core.x509.authority import DAY, NOW, Authority, Issued
from tests.registry_conformance.backends import OPERATOR, AdminServer, MovableClock, open_keeper, serve_admin
from tests.registry_conformance.registrations import BUILT_IN, a_client


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def server(tmp_path: Path, clock: MovableClock) -> AsyncIterator[AdminServer]:
    async with open_keeper(tmp_path, clock) as keeper, serve_admin(keeper, tmp_path, clock) as server:
        yield server


def _connect(server: AdminServer, issued: Issued | None) -> httpx.AsyncClient:
    context = ssl.create_default_context(cadata=server.authority.pem.decode())
    if issued is not None:
        context.load_cert_chain(*issued.write(server.folder / "caller"))
    return httpx.AsyncClient(base_url=server.url, verify=context, trust_env=False)


@pytest.fixture
async def operator(server: AdminServer) -> AsyncIterator[httpx.AsyncClient]:
    async with _connect(server, server.authority.issue(uris=[OPERATOR])) as client:
        yield client


@pytest.fixture
async def term(operator: httpx.AsyncClient) -> dict[str, str]:
    """The header of an open term, with the built-in policy in place."""
    answer = await operator.post("/v1/terms", json={"holder": "operator-0"})
    headers = {"Holdfast-Term": str(answer.json()["term"])}
    put = await operator.put(f"/v1/policies/{BUILT_IN.hash}", json=policy_to_json(BUILT_IN), headers=headers)
    assert put.status_code == 204
    return headers


def _problem_fields(answer: httpx.Response) -> list[str]:
    return [problem["field"] for problem in answer.json()["problems"]]


@pytest.mark.parametrize("path", ["/v1/registry", "/v1/clients", "/v1/nothing"])
async def test_a_caller_without_certificate_learns_nothing(server: AdminServer, path: str) -> None:
    async with _connect(server, None) as stranger:
        answer = await stranger.get(path)

    assert answer.status_code == 401
    assert answer.json()["error"] == "unauthenticated"


def _strangers() -> Iterator[Any]:
    foreign = Authority.root("CN=Holdfast admin")
    yield pytest.param(lambda a: foreign.issue(uris=[OPERATOR]), id="another CA of the same name")
    yield pytest.param(lambda a: a.issue(uris=["spiffe://cluster.local/ns/shop/sa/holdfast-operator"]), id="another URI")
    yield pytest.param(lambda a: a.issue(uris=[OPERATOR + "/x"]), id="a longer URI")
    yield pytest.param(lambda a: a.issue("CN=holdfast-operator", dns=["holdfast-operator.example"]), id="no URI")
    yield pytest.param(lambda a: a.issue(uris=[OPERATOR], not_after=NOW - DAY / 2), id="expired")
    yield pytest.param(lambda a: a.issue(uris=[OPERATOR], client_auth=False, server=True), id="a server's certificate")


@pytest.mark.parametrize("issue", list(_strangers()))
async def test_a_certificate_that_is_not_the_operators_is_refused(server: AdminServer, issue: Any) -> None:
    async with _connect(server, issue(server.authority)) as stranger:
        answer = await stranger.post("/v1/terms", json={"holder": "thief"})

    assert answer.status_code == 403
    assert answer.json() == {"error": "forbidden", "message": "expected the operator's certificate", "problems": []}


async def test_a_replaced_admin_ca_holds_from_the_next_request_on(server: AdminServer, operator: httpx.AsyncClient) -> None:
    assert (await operator.get("/v1/registry")).status_code == 200

    server.ca_file.write_bytes(Authority.root("CN=Next admin").pem)

    assert (await operator.get("/v1/registry")).status_code == 403


async def test_an_unreadable_admin_ca_lets_nobody_in(server: AdminServer, operator: httpx.AsyncClient) -> None:
    server.ca_file.write_bytes(b"nothing")

    assert (await operator.get("/v1/registry")).status_code == 403


async def test_a_write_without_term_is_refused(operator: httpx.AsyncClient) -> None:
    for term in ("", "abc", "-1", "1" * 40):
        answer = await operator.post("/v1/registry/confirm", headers={"Holdfast-Term": term})

        assert answer.status_code == 400
        assert "Holdfast-Term" in answer.json()["message"]


async def test_a_stale_term_is_a_conflict(operator: httpx.AsyncClient, term: dict[str, str]) -> None:
    await operator.post("/v1/terms", json={"holder": "operator-1"})

    answer = await operator.post("/v1/registry/confirm", headers=term)

    assert (answer.status_code, answer.json()["error"]) == (409, "stale_term")


@pytest.mark.parametrize("body", [b"", b"{", b"[1", b"\xff\xfe", b'{"a": NaN}', b'"\\ud800"', b"[" * 100_000])
async def test_a_body_that_is_no_json_is_refused(operator: httpx.AsyncClient, term: dict[str, str], body: bytes) -> None:
    answer = await operator.put("/v1/clients/shop.orders", content=body, headers=term)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_a_body_larger_than_any_registration_is_refused(operator: httpx.AsyncClient, term: dict[str, str]) -> None:
    answer = await operator.put("/v1/clients/shop.orders", content=b" " * (1024 * 1024 + 1), headers=term)

    assert answer.status_code == 413


async def test_every_problem_of_a_registration_is_named(operator: httpx.AsyncClient, term: dict[str, str]) -> None:
    value = to_json(a_client())
    value["grant_types"] = "client_credentials"
    value["holdfast"]["suspended"] = "no"
    value["tls_client_auth_san_ip"] = "10.0.0.1"

    answer = await operator.put("/v1/clients/shop.orders", json=value, headers=term)

    assert (answer.status_code, answer.json()["error"]) == (422, "invalid_client_metadata")
    assert _problem_fields(answer) == ["tls_client_auth_*", "grant_types", "holdfast.suspended"]


async def test_path_and_body_must_name_the_same_client(operator: httpx.AsyncClient, term: dict[str, str]) -> None:
    answer = await operator.put("/v1/clients/shop.other", json=to_json(a_client()), headers=term)

    assert (answer.status_code, _problem_fields(answer)) == (422, ["client_id"])


async def test_a_policy_under_another_hash_is_refused(operator: httpx.AsyncClient, term: dict[str, str]) -> None:
    answer = await operator.put(f"/v1/policies/{'0' * 64}", json=policy_to_json(BUILT_IN), headers=term)

    assert answer.status_code == 422
    assert BUILT_IN.hash in answer.json()["message"]


_ODD: tuple[Any, ...] = (None, True, -1, 2**70, 1.5, "", "\0", "x" * 3000, "é\u202e", [], [[]], [None], {}, {"a": 1})


def _spoiled(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The value with each of its members, at every depth, replaced by each odd one, and removed."""
    for path in _paths(value):
        for odd in _ODD:
            changed = deepcopy(value)
            _parent(changed, path)[path[-1]] = odd
            yield changed
        changed = deepcopy(value)
        del _parent(changed, path)[path[-1]]
        yield changed


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield (*path, key)
        yield from _paths(member, (*path, key))


def _parent(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        value = value[key]
    return value


async def test_no_spoiled_registration_breaks_the_server(operator: httpx.AsyncClient, term: dict[str, str]) -> None:
    statuses = set()
    for value in _spoiled(to_json(a_client(resources=("https://a.svc",), token_lifetime=60))):
        answer = await operator.put("/v1/clients/shop.orders", content=json.dumps(value), headers=term)
        statuses.add(answer.status_code)
        assert answer.status_code < 500, value
    assert {200, 422} <= statuses <= {200, 400, 409, 422}


async def test_no_spoiled_policy_breaks_the_server(operator: httpx.AsyncClient, term: dict[str, str]) -> None:
    for value in _spoiled(policy_to_json(BUILT_IN)):
        answer = await operator.put(f"/v1/policies/{BUILT_IN.hash}", content=json.dumps(value), headers=term)
        assert answer.status_code in (204, 400, 422), value


async def test_an_unknown_path_and_method_are_4xx_with_the_one_form(operator: httpx.AsyncClient) -> None:
    for method, path in (("GET", "/v1/nothing"), ("DELETE", "/v1/registry"), ("POST", "/v1/clients/shop.orders")):
        answer = await operator.request(method, path)

        assert answer.status_code in (404, 405)
        assert answer.json().keys() == {"error", "message", "problems"}


async def test_the_owner_of_no_audience_is_a_bad_request(operator: httpx.AsyncClient) -> None:
    answer = await operator.get("/v1/audience-owner")

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_the_etag_is_the_digest(operator: httpx.AsyncClient, term: dict[str, str]) -> None:
    put = await operator.put("/v1/clients/shop.orders", json=to_json(a_client()), headers=term)
    got = await operator.get("/v1/clients/shop.orders")

    assert put.headers["ETag"] == got.headers["ETag"] == f'"{a_client().digest}"'
    again = await operator.get("/v1/clients/shop.orders", headers={"If-None-Match": got.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_a_write_on_another_form_than_expected_changes_nothing(
    operator: httpx.AsyncClient, term: dict[str, str]
) -> None:
    await operator.put("/v1/clients/shop.orders", json=to_json(a_client()), headers=term)
    wrong = {**term, "If-Match": f'"{"0" * 64}"'}

    put = await operator.put("/v1/clients/shop.orders", json=to_json(a_client(suspended=True)), headers=wrong)
    deleted = await operator.delete("/v1/clients/shop.orders", params={"uid": "uid-shop-orders"}, headers=wrong)

    assert [put.status_code, deleted.status_code] == [412, 412]
    assert (await operator.get("/v1/clients/shop.orders")).headers["ETag"] == f'"{a_client().digest}"'


async def test_a_write_on_the_expected_form_is_made(operator: httpx.AsyncClient, term: dict[str, str]) -> None:
    put = await operator.put("/v1/clients/shop.orders", json=to_json(a_client()), headers=term)
    right = {**term, "If-Match": put.headers["ETag"]}

    changed = await operator.put("/v1/clients/shop.orders", json=to_json(a_client(suspended=True)), headers=right)

    assert changed.status_code == 200
    assert changed.headers["ETag"] != put.headers["ETag"]


@pytest.mark.parametrize("value", ["*", "abc", 'W/"x"', '"a", "b"'])
async def test_an_if_match_that_is_no_etag_of_ours_is_refused(
    operator: httpx.AsyncClient, term: dict[str, str], value: str
) -> None:
    answer = await operator.put("/v1/clients/shop.orders", json=to_json(a_client()), headers={**term, "If-Match": value})

    assert answer.status_code == 400


async def test_a_deletion_names_the_object(operator: httpx.AsyncClient, term: dict[str, str]) -> None:
    answer = await operator.delete("/v1/clients/shop.orders", headers=term)

    assert answer.status_code == 400
    assert "uid" in answer.json()["message"]


async def test_an_unknown_client_is_404(operator: httpx.AsyncClient) -> None:
    answer = await operator.get("/v1/clients/shop.nobody")

    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


async def test_before_the_server_knows_its_urls_it_says_try_again(tmp_path: Path, clock: MovableClock) -> None:
    async with open_keeper(tmp_path, clock) as keeper, serve_admin(keeper, tmp_path, clock) as server:
        keeper.endpoints = None
        registry = server.registry()
        try:
            with pytest.raises(RegistryUnavailable, match="starting") as refused:
                await registry.describe()
        finally:
            await registry.close()

    assert refused.value.retry_after == 1


async def test_the_operators_end_uses_a_renewed_certificate_at_once(server: AdminServer) -> None:
    registry = server.registry(san="spiffe://cluster.local/ns/shop/sa/other", name="renewed")
    try:
        with pytest.raises(RegistryUnavailable, match="403"):
            await registry.describe()

        server.authority.issue(uris=[OPERATOR]).write(server.folder / "renewed")

        assert await registry.describe()
    finally:
        await registry.close()


async def test_the_operators_end_refuses_a_server_of_another_ca(server: AdminServer, tmp_path: Path) -> None:
    other = tmp_path / "other-ca.crt"
    other.write_bytes(Authority.root("CN=Holdfast admin").pem)
    certificate, key = server.authority.issue(uris=[OPERATOR]).write(tmp_path / "operator")
    registry = HttpRegistry(server.url, ca_file=other, cert_file=certificate, key_file=key)
    try:
        with pytest.raises(RegistryUnavailable, match="does not answer"):
            await registry.describe()
    finally:
        await registry.close()


async def test_the_operators_end_names_a_file_that_is_missing(tmp_path: Path) -> None:
    registry = HttpRegistry(
        "https://127.0.0.1:1", ca_file=tmp_path / "ca.crt", cert_file=tmp_path / "tls.crt", key_file=tmp_path / "tls.key"
    )

    with pytest.raises(RegistryUnavailable, match=r"ca\.crt"):
        await registry.describe()


async def test_a_server_that_is_down_is_unavailable_and_comes_back(tmp_path: Path, clock: MovableClock) -> None:
    async with open_keeper(tmp_path, clock) as keeper:
        async with serve_admin(keeper, tmp_path, clock) as server:
            registry = server.registry()
            assert await registry.describe()
        with pytest.raises(RegistryUnavailable):
            await registry.describe()
        await registry.close()


async def test_an_entry_of_a_batch_that_cannot_be_read_is_refused_in_its_place(
    operator: httpx.AsyncClient, term: dict[str, str]
) -> None:
    entries = [to_json(a_client(name="a")), {"client_id": 7}, "no object", to_json(a_client(name="b"))]

    answer = await operator.post("/v1/clients", json={"clients": entries}, headers=term)

    verdicts = answer.json()["verdicts"]
    assert [v.get("error") for v in verdicts] == [None, "invalid_client_metadata", "invalid_client_metadata", None]
    assert [v["stored"]["client"]["client_id"] for v in verdicts if "stored" in v] == ["shop.a", "shop.b"]


@pytest.mark.parametrize(
    "clients",
    [
        pytest.param([to_json(a_client()), to_json(a_client())], id="one id twice"),
        pytest.param([to_json(a_client(name=f"c{i}")) for i in range(201)], id="too many"),
        pytest.param({"a": 1}, id="no list"),
    ],
)
async def test_a_batch_that_is_none_registers_nobody(
    operator: httpx.AsyncClient, term: dict[str, str], clients: object
) -> None:
    answer = await operator.post("/v1/clients", json={"clients": clients}, headers=term)

    assert answer.status_code == 422
    assert (await operator.get("/v1/clients")).json() == {"clients": []}


async def test_a_batch_without_an_open_term_is_refused(operator: httpx.AsyncClient) -> None:
    answer = await operator.post("/v1/clients", json={"clients": [to_json(a_client())]}, headers={"Holdfast-Term": "1"})

    assert (answer.status_code, answer.json()["error"]) == (409, "stale_term")
