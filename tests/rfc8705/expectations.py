"""What a refusal has to look like, whoever produced it."""

import re

import httpx

FAILED = {"error": "invalid_client", "error_description": "client authentication failed"}
_PUBLIC_TEXT = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 section 5.2


def assert_error(response: httpx.Response, status: int, code: str) -> None:
    """An OAuth error body with what every one carries (E-01, RFC 6749 section 5.2)."""
    assert (response.status_code, response.json()["error"]) == (status, code), response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert re.fullmatch(r"[0-9a-f]{16}", response.headers["holdfast-decision"])
    assert _PUBLIC_TEXT.fullmatch(response.json()["error_description"])
    assert set(response.json()) == {"error", "error_description"}


def assert_failed_authentication(response: httpx.Response) -> None:
    """401 invalid_client with the one text for every cause (E-02)."""
    assert_error(response, 401, "invalid_client")
    assert response.json() == FAILED
