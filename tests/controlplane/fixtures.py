"""pytest fixtures around the control plane: one plane for the session, one namespace for a test.

Owns: when the binaries are built (before the first test, whose time limit is too short for it), and what happens where
they cannot be built. Must not know how a plane starts (`plane`).
"""

import os
import secrets
from collections.abc import Iterator

import pytest

from tests.controlplane.plane.build import BuildError, ensure
from tests.controlplane.plane.plane import ControlPlane

_REFUSAL = pytest.StashKey[str]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds the binaries once it is known that a collected test needs them."""
    if any("plane" in getattr(item, "fixturenames", ()) for item in session.items):
        try:
            ensure()
        except (BuildError, OSError) as error:
            session.config.stash[_REFUSAL] = str(error)


@pytest.fixture(scope="session")
def plane(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A running control plane. Where it cannot be built: a failure if `CI` or `HOLDFAST_REQUIRE_ALL` is set, else a skip."""
    refusal = request.config.stash.get(_REFUSAL, None)
    if refusal is not None:
        reason = f"the control plane cannot be built here: {refusal}"
        if os.environ.get("CI") or os.environ.get("HOLDFAST_REQUIRE_ALL"):
            pytest.fail(reason)
        pytest.skip(reason)
    with ControlPlane.start(tmp_path_factory.mktemp("plane")) as running:
        yield running


@pytest.fixture
def namespace(plane: ControlPlane) -> Iterator[str]:
    """A namespace of this test's own; its deletion begins when the test ends and is not awaited."""
    name = f"test-{secrets.token_hex(4)}"
    plane.kubectl_run("create", "namespace", name)
    yield name
    plane.kubectl_run("delete", "namespace", name, "--wait=false", "--ignore-not-found")
