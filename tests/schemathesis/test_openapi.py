"""docs/openapi says what the listeners serve, and no request made from it, or against it, is answered with a 5xx."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.architecture.tree import ROOT
from tests.schemathesis.served import Served, served

FOLDER = ROOT / "docs" / "openapi"
PUBLIC, ADMIN = (schemathesis.openapi.from_path(FOLDER / name) for name in ("public.yaml", "admin.yaml"))
ASKING = settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
METHODS = {"get", "put", "post", "delete", "patch"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("openapi")) as found:
        yield found


@PUBLIC.parametrize()
@ASKING
def test_no_request_to_a_public_endpoint_is_answered_with_5xx(case: schemathesis.Case[Any], server: Served) -> None:
    """Whatever is sent, also what the document rules out (E-01)."""
    response = case.call(base_url=server.mtls, verify=str(server.ca), cert=server.certificate)

    case.validate_response(response, checks=CHECKS)


@ADMIN.parametrize()
@ASKING
def test_no_request_to_the_admin_api_is_answered_with_5xx(case: schemathesis.Case[Any], server: Served) -> None:
    """Whatever is sent, also what the document rules out (E-01)."""
    response = case.call(base_url=server.admin, verify=str(server.ca), cert=server.certificate)

    case.validate_response(response, checks=CHECKS)


def test_the_public_document_names_what_is_served_and_nothing_else(server: Served) -> None:
    served = {(path, "get" if route.reads else "post") for path, route in server.mtls_app.routes.items()}

    assert _operations("public.yaml") == served


def test_the_admin_document_names_what_is_served_and_nothing_else(server: Served) -> None:
    served = {
        (route.path.replace(":path}", "}"), method.lower())
        for route in server.admin_app.routes
        for method in route.methods - {"HEAD"}
    }

    assert _operations("admin.yaml") == served


def _operations(name: str) -> set[tuple[str, str]]:
    document: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text("utf-8"))
    return {(path, method) for path, item in document["paths"].items() for method in item if method in METHODS}
