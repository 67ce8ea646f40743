"""One GET over https to an address that somebody has judged, for a name: bounded, and no redirect is followed.

Owns the HTTP library of this errand, which stays out of a server that fetches nothing. Must not know what is fetched.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult

import httpx

from holdfast_authserver.client_authentication.jwks_addresses import IPAddress


class NotReached(Exception):
    """No connection came about at this address; another one of the name may do."""


class UnexpectedAnswer(Exception):
    """What came is not what was asked for; says what was expected."""


@dataclass(frozen=True, slots=True)
class Fetched:
    body: bytes
    cache_control: str


async def get(
    target: SplitResult,
    address: IPAddress,
    *,
    context: ssl.SSLContext,
    seconds: float,
    headers: Mapping[str, str],
    at_most: int,
) -> Fetched:
    """`seconds`: for each step. `at_most`: bytes. Raises NotReached, UnexpectedAnswer, TimeoutError."""
    place = f"[{address}]" if address.version == 6 else str(address)
    url = target._replace(netloc=f"{place}:{target.port or 443}").geturl()
    named = {"sni_hostname": target.hostname}  # the certificate has to be for the name, not for the address
    try:
        async with (
            httpx.AsyncClient(verify=context, timeout=seconds, trust_env=False) as http,
            http.stream("GET", url, headers={"host": target.netloc, **headers}, extensions=named) as answer,
        ):
            return Fetched(await _body(answer, at_most), answer.headers.get("cache-control", ""))
    except httpx.ConnectError as error:
        raise NotReached(str(error)) from error
    except httpx.TimeoutException as error:
        raise TimeoutError(str(error)) from error


async def _body(answer: httpx.Response, at_most: int) -> bytes:
    if answer.status_code != 200:
        raise UnexpectedAnswer(f"expected status 200, found {answer.status_code}")
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise UnexpectedAnswer("expected no content encoding")
    body = bytearray()
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > at_most:
            raise UnexpectedAnswer(f"expected at most {at_most} bytes")
    return bytes(body)
