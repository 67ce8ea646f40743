"""A certificate that a policy denies, or that a revocation list names, is out within a second of the edit."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.x509.certificate import Certificate
from tests.cli.dev_process import DevProcess, client, dev
from tests.core.x509.authority import Authority, Issued
from tests.denying import DNS, denying, hard_fail, partner, policy, revocation_list

LIVE = 1.0  # seconds from saving to effect
API = "https://other.shop.svc"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevProcess]:
    """`orders` gets tokens for the API `other`."""
    orders = client().replace('resources: ["https://orders.shop.svc"]', f'resources: ["{API}"]')
    with dev(tmp_path_factory.mktemp("dev"), a=orders, b=client("other")) as started:
        assert started.is_ready("orders"), started.said
        assert started.is_ready("other"), started.said
        yield started


@pytest.fixture
def process(running: DevProcess) -> Iterator[DevProcess]:
    """The same process for every test; what one denies is taken back before the next."""
    yield running
    for path in running.manifests.iterdir():
        if path.name not in ("a.yaml", "b.yaml"):
            path.unlink()
    running.wait_for(lambda: running.client("partner") is None)
    running.wait_for(lambda: [running.token(name).status_code for name in ("orders", "other")] == [200, 200])


def _thumbprint(process: DevProcess, name: str = "orders") -> str:
    found = process.client(name)
    assert found is not None
    return Certificate.from_pem(Path(found["cert_file"]).read_bytes()).x5t_s256


def _files(process: DevProcess, issued: Issued, folder: str) -> dict[str, Any]:
    cert_file, key_file = issued.write(process.folder / folder)
    return {"cert_file": str(cert_file), "key_file": str(key_file)}


def _seen(answer: httpx.Response) -> tuple[int, str | None]:
    return answer.status_code, answer.json().get("error")


def _partner(process: DevProcess, root: Authority) -> Callable[[Issued], tuple[int, str | None]]:
    """Registers `partner` under that CA; answers with how its token request ends with a certificate."""
    process.write("partner.yaml", partner("partner", "shop", root))
    process.wait_for(lambda: process.is_ready("partner"))

    def ask(issued: Issued) -> tuple[int, str | None]:
        return _seen(process.token("partner", files=_files(process, issued, issued.certificate.x5t_s256)))

    return ask


def test_a_denied_certificate_is_refused_within_a_second_and_let_in_when_no_policy_denies_it(process: DevProcess) -> None:
    """The best of a few, since whatever else the machine does is not the product's time."""
    thumbprint, took = _thumbprint(process), []
    for _ in range(2):
        process.write("denied.yaml", denying("stolen", "shop", thumbprint))
        took.append(process.wait_for(lambda: _seen(process.token()) == (401, "invalid_client")))
        assert process.token("other").status_code == 200
        (process.manifests / "denied.yaml").unlink()
        took.append(process.wait_for(lambda: process.token().status_code == 200))

    assert min(took[::2]) < LIVE, took


def test_tokens_of_a_denied_certificate_are_inactive_within_a_second(process: DevProcess) -> None:
    token = process.token(resource=API).json()["access_token"]
    assert process.introspect(token, "other")["active"] is True

    thumbprint, took = _thumbprint(process), []
    for _ in range(2):
        process.write("denied.yaml", denying("stolen", "shop", thumbprint))
        took.append(process.wait_for(lambda: process.introspect(token, "other") == {"active": False}))
        (process.manifests / "denied.yaml").unlink()
        process.wait_for(lambda: process.introspect(token, "other")["active"])

    assert min(took) < LIVE, took


def test_a_certificate_is_denied_to_clients_that_the_policy_does_not_select(process: DevProcess) -> None:
    """A stolen certificate is nobody's."""
    process.write("denied.yaml", denying("stolen", "elsewhere", _thumbprint(process)))

    process.wait_for(lambda: _seen(process.token()) == (401, "invalid_client"))


def test_another_certificate_of_the_same_client_goes_on(process: DevProcess) -> None:
    root = Authority.root("CN=Partner")
    ask = _partner(process, root)
    stolen, renewed = root.issue(dns=[DNS]), root.issue(dns=[DNS])
    assert ask(stolen) == (200, None)

    process.write("denied.yaml", denying("stolen", "shop", stolen.certificate.x5t_s256))
    process.wait_for(lambda: ask(stolen) == (401, "invalid_client"))

    assert ask(renewed) == (200, None)


def test_a_denied_ca_ends_every_path_through_it(process: DevProcess) -> None:
    root = Authority.root("CN=Partner")
    ask, issued = _partner(process, root), root.issue(dns=[DNS])
    assert ask(issued) == (200, None)

    process.write("denied.yaml", denying("stolen", "shop", root.certificate.x5t_s256))

    process.wait_for(lambda: ask(issued) == (401, "invalid_client"))
    assert process.token("other").status_code == 200


def test_a_certificate_that_a_list_in_a_config_map_names_is_refused_within_a_second(process: DevProcess) -> None:
    root = Authority.root("CN=Partner")
    ask = _partner(process, root)
    stolen, good = root.issue(dns=[DNS]), root.issue(dns=[DNS])
    process.write("crl.yaml", revocation_list("shop", root))
    process.write("hard.yaml", hard_fail("hard", "shop"))
    process.wait_for(lambda: _seen(process.token("other")) == (503, "temporarily_unavailable"))  # the policy is in force
    process.wait_for(lambda: ask(stolen) == (200, None))  # and so is its list

    took = []
    for _ in range(2):
        process.write("crl.yaml", revocation_list("shop", root, [stolen.certificate.parsed.serial_number]))
        took.append(process.wait_for(lambda: ask(stolen) == (401, "invalid_client")))
        assert ask(good) == (200, None)
        process.write("crl.yaml", revocation_list("shop", root))
        process.wait_for(lambda: ask(stolen) == (200, None))

    assert min(took) < LIVE, took


def test_hard_fail_lets_nobody_in_of_whose_ca_there_is_no_list(process: DevProcess) -> None:
    root, unrelated = Authority.root("CN=Partner"), Authority.root("CN=Partner")
    ask, issued = _partner(process, root), root.issue(dns=[DNS])
    process.write("crl.yaml", revocation_list("shop", unrelated))
    process.write("hard.yaml", hard_fail("hard", "shop"))
    process.wait_for(lambda: ask(issued) == (503, "temporarily_unavailable"))

    process.write("crl.yaml", revocation_list("shop", root))

    process.wait_for(lambda: ask(issued) == (200, None))


def test_a_list_that_cannot_be_read_leaves_the_last_one_in_force(process: DevProcess) -> None:
    root = Authority.root("CN=Partner")
    ask = _partner(process, root)
    stolen, good = root.issue(dns=[DNS]), root.issue(dns=[DNS])
    process.write("crl.yaml", revocation_list("shop", root, [stolen.certificate.parsed.serial_number]))
    process.write("hard.yaml", hard_fail("hard", "shop"))
    process.wait_for(lambda: ask(stolen) == (401, "invalid_client"))

    process.write("crl.yaml", revocation_list("shop", root).replace("BEGIN X509 CRL", "BEGIN NOTHING"))
    process.wait_for(lambda: "hard: spec.certificates.revocation.crls: ConfigMap shop/partner-crl" in process.said)

    assert (ask(stolen), ask(good)) == ((401, "invalid_client"), (200, None))


def test_a_policy_may_make_every_client_of_a_namespace_bring_a_method_it_has_not(process: DevProcess) -> None:
    """And takes it back: what an edit denies, the next one allows."""
    process.write("methods.yaml", policy("keys", "shop", authentication={"allowedMethods": ["private_key_jwt"]}))
    process.wait_for(lambda: process.token().status_code in (400, 401))

    (process.manifests / "methods.yaml").unlink()

    process.wait_for(lambda: process.token().status_code == 200)
