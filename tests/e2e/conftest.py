"""Fixtures of the end-to-end tests: one cluster for the session, one namespace with its team for a test."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane.cluster import LocalCluster
from tests.controlplane.plane.plane import ControlPlane
from tests.e2e.tenant import Tenant

VALUES = {"operator.rotationOverlap": "4"}
"""A test cannot wait for as long as a kubelet may need."""


@pytest.fixture(scope="session")
def cluster(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A cluster of its own: tests here kill its processes. `plane` says whether one can be had at all."""
    with LocalCluster.start(tmp_path_factory.mktemp("cluster"), values=VALUES) as running:
        yield running


@pytest.fixture
def tenant(cluster: LocalCluster, tmp_path: Path) -> Iterator[Tenant]:
    name = f"team-{secrets.token_hex(4)}"
    cluster.kubectl("create", "namespace", name)
    yield Tenant(cluster, name, tmp_path)
    cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
