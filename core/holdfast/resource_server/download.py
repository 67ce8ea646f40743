"""A bounded GET of a document of the issuer: https, no redirect, no proxy from the environment, a limit on the body."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import httpx


class DownloadError(Exception):
    """The document did not come; says what was expected. Network errors are `httpx.HTTPError`."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """`body` None: not modified since the version that was named (304)."""

    body: bytes | None
    etag: str | None


def check_https(url: str) -> str:
    """The URL. Raises ValueError when it is not https."""
    if not url.startswith("https://"):
        raise ValueError(f"url: expected an https URL, found {url!r}")
    return url


def download(
    url: str, *, context: ssl.SSLContext, timeout: float, limit: int, accept: str, etag: str | None = None
) -> Downloaded:
    """`timeout`: seconds. `limit`: bytes. `etag`: of the version at hand. Raises DownloadError, httpx.HTTPError."""
    headers: Mapping[str, str] = {"accept": accept} if etag is None else {"accept": accept, "if-none-match": etag}
    with (
        httpx.Client(verify=context, timeout=timeout, trust_env=False) as client,
        client.stream("GET", url, headers=headers) as answer,
    ):
        if answer.status_code == 304 and etag is not None:
            return Downloaded(None, etag)
        if answer.status_code != 200:
            raise DownloadError(f"expected status 200, found {answer.status_code}")
        body = bytearray()
        for piece in answer.iter_bytes():
            body += piece
            if len(body) > limit:
                raise DownloadError(f"expected at most {limit} bytes")
        return Downloaded(bytes(body), answer.headers.get("etag"))
