"""What `holdfast dev` loses it makes anew; what time takes away it renews."""

from pathlib import Path

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
