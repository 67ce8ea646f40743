"""What keeps `holdfast dev` from starting is one clear line that names it, and exit code 2."""

import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from holdfast_cli.local.data_folder import DataFolder, Ports
from tests.cli.dev_process import client, dev, run_to_end


def refused(folder: Path, *arguments: str) -> str:
    """Start it in a way that must fail; what it said, in one line."""
    ended = run_to_end(folder, "dev", *arguments)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert ended.stdout == ""
    return ended.stderr


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "a.yaml").write_text(client())
    return folder


@pytest.mark.parametrize("option", ["--public-port", "--mtls-port"])
def test_a_port_in_use_is_named(tmp_path: Path, manifests: Path, option: str) -> None:
    ports = {"--public-port": "0", "--mtls-port": "0"}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports[option] = str(taken.getsockname()[1])

        said = refused(tmp_path, str(manifests), *(word for pair in ports.items() for word in pair))

    assert f"127.0.0.1:{ports[option]}" in said
    assert "in use" in said


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    said = refused(tmp_path, "nowhere", "--public-port", "0", "--mtls-port", "0")

    assert str(tmp_path / "nowhere") in said
    assert "no such file or directory" in said


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path, manifests: Path) -> None:
    said = refused(tmp_path, str(manifests / "a.yaml"))

    assert f"{manifests / 'a.yaml'}: expected a folder to read" in said


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A loop of links: nobody can read it, not even root."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    said = refused(tmp_path, "loop")

    assert f"{tmp_path / 'loop'}: expected a folder to read: too many levels of symbolic links" in said


@pytest.mark.parametrize("data", ["taken", "taken/below"])
def test_a_data_folder_that_cannot_be_is_named(tmp_path: Path, manifests: Path, data: str) -> None:
    (tmp_path / "taken").write_text("a file")

    said = refused(tmp_path, str(manifests), "--data", data)

    assert f"data folder {tmp_path / data}: expected a folder to write to" in said


def test_a_ready_file_that_cannot_be_written_is_named(tmp_path: Path, manifests: Path) -> None:
    ports = ("--public-port", "0", "--mtls-port", "0")
    ended = run_to_end(tmp_path, "dev", str(manifests), *ports, "--ready-file", "no/such/ready.json")

    assert ended.returncode == 2
    assert f"ready file {tmp_path / 'no/such/ready.json'}" in ended.stderr


def test_two_processes_do_not_share_their_data(tmp_path: Path, manifests: Path) -> None:
    with dev(tmp_path) as process:
        said = refused(tmp_path, str(manifests), "--data", str(process.data))

        assert f"data folder {process.data}: in use by another holdfast dev, process {process.process.pid}" in said
        assert process.token().status_code == 200


def test_a_damaged_object_store_is_named(tmp_path: Path, manifests: Path) -> None:
    stored = tmp_path / "data" / "objects" / "oauthclients"
    stored.mkdir(parents=True)
    (stored / "broken.json").write_text("{")

    said = refused(tmp_path, str(manifests), "--data", "data", "--public-port", "0", "--mtls-port", "0")

    assert str(stored / "broken.json") in said


def test_a_damaged_ca_of_the_listeners_is_named(tmp_path: Path, manifests: Path) -> None:
    folder = tmp_path / "data" / "ca" / "listeners"
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_text("x")
    (folder / "ca.key").write_text("x")

    said = refused(tmp_path, str(manifests), "--data", "data")

    assert str(folder / "ca.key") in said


def test_half_a_ca_of_the_listeners_is_named_and_left_as_it_is(tmp_path: Path, manifests: Path) -> None:
    folder = tmp_path / "data" / "ca" / "listeners"
    folder.mkdir(parents=True)
    (folder / "ca.key").write_text("x")

    said = refused(tmp_path, str(manifests), "--data", "data")

    assert str(folder / "ca.key") in said
    assert str(folder / "ca.crt") in said
    assert (folder / "ca.key").read_text() == "x"
    assert not (folder / "ca.crt").exists()


def test_one_port_for_both_listeners_is_refused(tmp_path: Path, manifests: Path) -> None:
    said = refused(tmp_path, str(manifests), "--public-port", "18443", "--mtls-port", "18443")

    assert "--public-port and --mtls-port: expected two different ports, found 18443 for both" in said


def test_the_port_of_the_last_time_is_not_taken_where_the_other_listener_was_given_it(tmp_path: Path) -> None:
    with closing(DataFolder.open(tmp_path)) as data:
        data.remember_ports(Ports(free_port(), 0))
        last = data.choose_ports(Ports(0, 0)).public
        assert last

        assert data.choose_ports(Ports(0, last)) == Ports(0, last)


@pytest.mark.parametrize("text", ['{"public": 1e999, "mtls": 1}', '{"public": 99999, "mtls": -1}', "[" * 100_000, "[]", "5"])
def test_remembered_ports_that_cannot_be_are_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "ports.json").write_text(text)
    with closing(DataFolder.open(tmp_path)) as data:
        assert data.choose_ports(Ports(0, 0)).public == 0


def test_a_refused_second_start_leaves_the_ready_file_of_the_first(tmp_path: Path, manifests: Path) -> None:
    with dev(tmp_path) as process:
        before = process.ready
        arguments = ("--data", str(process.data), "--ready-file", str(process.ready_file))

        assert "in use by another holdfast dev" in refused(tmp_path, str(manifests), *arguments)

        assert process.ready == before


def test_a_ready_file_that_another_process_wrote_meanwhile_stays(tmp_path: Path) -> None:
    with dev(tmp_path) as process:
        process.ready_file.write_text('{"pid": 1}')
        assert process.stop()[0] == 0

    assert process.ready_file.read_text() == '{"pid": 1}'


def test_an_unknown_option_is_a_usage_error(tmp_path: Path) -> None:
    ended = run_to_end(tmp_path, "dev", ".", "--nonsense")

    assert ended.returncode == 2
    assert "--nonsense" in ended.stderr


def test_a_missing_extra_is_one_clear_line(tmp_path: Path) -> None:
    """As after `pip install holdfast[cli]`, which brings no server."""
    hide = "import sys; sys.modules['uvloop'] = None; from holdfast_cli.main import main; main(['dev', '.'])"
    ended = subprocess.run(
        [sys.executable, "-c", hide], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
    )

    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].endswith(
        "dev needs the package 'uvloop'; install it with: pip install 'holdfast[all]'"
    )
    assert len(ended.stderr.splitlines()) == 1
