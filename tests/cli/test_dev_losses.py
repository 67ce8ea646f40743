"""What `holdfast dev` loses it makes anew; what time takes away it renews."""

from pathlib import Path

import pytest

from tests.cli.dev_process import DevProcess, client, dev

SHORT_LIVED = client().replace(
    "certificate: {issuerRef: {name: workloads}}",
    "certificate: {issuerRef: {name: workloads}, duration: 6s, renewBefore: 4s}",
)


def lose_registry(process: DevProcess) -> None:
    for path in process.data.glob("registry.db*"):
        path.unlink()


def test_a_certificate_is_renewed_before_its_end_and_the_client_goes_on(tmp_path: Path) -> None:
    with dev(tmp_path, a=SHORT_LIVED) as process:
        found = process.client()
        assert found is not None
        certificate = Path(found["cert_file"])
        first = certificate.read_bytes()

        process.wait_for(lambda: certificate.read_bytes() != first)

        assert process.token().status_code == 200


def test_a_registry_lost_while_it_runs_is_written_anew_and_old_tokens_are_refused(tmp_path: Path) -> None:
    with dev(tmp_path, a=client(), b=client("other")) as process:
        token = process.token().json()["access_token"]

        lose_registry(process)

        # Until its clients are written again the answer is a refusal, then that the token is not active.
        process.wait_for(lambda: process.introspect(token, "other") == {"active": False})
        process.wait_for(lambda: process.token().status_code == 200)


def test_a_registry_lost_between_two_runs_is_written_anew_and_old_tokens_are_refused(tmp_path: Path) -> None:
    with dev(tmp_path, a=client()) as process:
        token = process.token().json()["access_token"]
    lose_registry(process)

    with DevProcess(tmp_path) as process:
        fresh = process.token().json()["access_token"]

        assert process.introspect(token) == {"active": False}
        assert process.introspect(fresh)["active"] is True


def test_certificates_lost_between_two_runs_are_issued_anew(tmp_path: Path) -> None:
    with dev(tmp_path, a=client()) as process:
        found = process.client()
        assert found is not None
    Path(found["cert_file"]).unlink()
    Path(found["key_file"]).resolve().unlink()

    with DevProcess(tmp_path) as process:
        assert process.token().status_code == 200


def test_a_killed_process_leaves_a_folder_that_starts_again(tmp_path: Path) -> None:
    with dev(tmp_path, a=client()) as process:
        issuer, token = process.ready["issuer"], process.token().json()["access_token"]
        process.kill()
        process.ready_file.unlink()

    with DevProcess(tmp_path) as process:
        assert process.ready["issuer"] == issuer
        assert process.introspect(token)["active"] is True


@pytest.mark.parametrize("over_the_link", [False, True])
def test_a_damaged_key_of_the_listeners_is_made_anew(tmp_path: Path, over_the_link: bool) -> None:
    with dev(tmp_path, a=client()) as process:
        issuer = process.ready["issuer"]
    key = process.data / "listeners" / "tls.key"
    if over_the_link:
        key.unlink()
    key.resolve().write_text("garbage")

    with DevProcess(tmp_path) as process:
        assert process.ready["issuer"] == issuer
        assert process.token().status_code == 200


@pytest.mark.parametrize("taken", ["secrets/shop/bad-mtls", "secrets/evil"])
def test_a_secret_that_cannot_be_written_is_its_clients_alone_also_at_the_start(tmp_path: Path, taken: str) -> None:
    bad = client("bad", namespace="evil" if taken.endswith("evil") else "shop")
    file = tmp_path / "data" / taken
    file.parent.mkdir(parents=True)
    file.write_text("not a folder")

    with dev(tmp_path, a=client(), b=bad) as process:
        assert process.token().status_code == 200
        process.wait_for(lambda: (process.client("bad") or {})["reason"] == "CertificateFailed")
        found = process.client("bad")

        assert found is not None
        assert str(file) in found["message"]
        assert found["cert_file"] is None


def test_a_secret_that_cannot_be_written_ends_nothing_that_runs(tmp_path: Path) -> None:
    with dev(tmp_path, a=client()) as process:
        (process.data / "secrets" / "evil").write_text("not a folder")
        process.write("b.yaml", client("bad", namespace="evil"))
        process.wait_for(lambda: (process.client("bad") or {}).get("reason") == "CertificateFailed")

        assert process.token().status_code == 200


def test_a_ca_key_that_is_damaged_is_named_to_the_client(tmp_path: Path) -> None:
    with dev(tmp_path) as process:
        assert process.ready["clients"] == []
    key = process.data / "ca" / "clusterissuers" / "workloads" / "ca.key"
    key.parent.mkdir(parents=True)
    for name in ("ca.key", "ca.crt"):
        (key.parent / name).write_text("garbage")

    with dev(tmp_path, a=client()) as process:
        process.wait_for(lambda: (process.client() or {})["reason"] == "CertificateFailed")

        assert f"{key}: expected a PEM private key" in (process.client() or {})["message"]


def test_of_two_clients_with_one_secret_the_files_are_the_first_ones(tmp_path: Path) -> None:
    shared = "certificate: {issuerRef: {name: workloads}, secretName: shared}"
    both = [client(name).replace("certificate: {issuerRef: {name: workloads}}", shared) for name in ("sa", "sb")]

    with dev(tmp_path, a="---\n".join(both)) as process:
        process.wait_for(lambda: "SecretNameTaken" in {c["reason"] for c in process.ready["clients"]})
        taken = [c for c in process.ready["clients"] if c["reason"] == "SecretNameTaken"]

        assert all("shared" in c["message"] for c in taken)
        assert len([c for c in process.ready["clients"] if c["cert_file"]]) == 1


def test_a_ready_file_that_cannot_be_written_any_more_is_said_once_and_ends_nothing(tmp_path: Path) -> None:
    with dev(tmp_path, a=client()) as process:
        process.ready_file.unlink()
        process.ready_file.mkdir()

        for number in range(3):
            process.write("b.yaml", client(f"b{number}"))
            process.wait_for(lambda number=number: f"shop.b{number} " in process.said)  # type: ignore[misc]

        assert process.said.count(f"ready file {process.ready_file}: cannot be written") == 1
        process.ready_file.rmdir()
        process.write("b.yaml", client("c"))
        process.wait_for(lambda: process.ready_file.exists() and process.is_ready("c"))
