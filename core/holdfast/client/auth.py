"""`BoundTokenAuth`: httpx authentication with a certificate-bound access token.

Owns which pair a request is sent with, and the one retry when an API refuses the token. It never puts the token into
the request itself: it marks the request with the pair, and `transport` writes the header where it opens the connection
with the certificate of that pair. Over a transport that does not know the mark, no token leaves.
"""

import re
from collections.abc import AsyncGenerator, Generator, Sequence
from pathlib import Path

import httpx

from holdfast.client.errors import NotBound
from holdfast.client.generation import Pair
from holdfast.client.identity import IdentityFiles
from holdfast.client.keeper import PairKeeper
from holdfast.client.token_endpoint import TokenEndpoint, TokenRequest
from holdfast.clock import Clock, system_clock

_INVALID_TOKEN = re.compile(r"\bbearer\b.*\berror=\"?invalid_token\b", re.IGNORECASE)  # RFC 6750 section 3

MARK = "holdfast.client.mark"
"""The key of a request's extensions under which its `Mark` travels from here to the transport."""


class Mark:
    """This request, and no redirect of it to another origin, goes with this pair. `sent`: the transport has done so."""

    def __init__(self, pair: Pair, url: httpx.URL) -> None:
        self.pair = pair
        self.origin = _origin(url)
        self.sent = False

    def covers(self, url: httpx.URL) -> bool:
        """Whether the token may go there: a redirect must not carry it to another host (RFC 6750 section 5.2)."""
        return _origin(url) == self.origin


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


class BoundTokenAuth(httpx.Auth):
    """Use it through `bound_client` or `bound_async_client`. Safe to share between clients, threads and tasks.

    `issuer` or `token_endpoint`: where tokens come from. `cert_file`, `key_file`: PEM, as in a mounted Secret; when they
    change, certificate and token are swapped together. `ca_file`: whom to trust as authorization server, `api_ca_file`
    as API (default: the same); without either, the system's trust. `timeout`: seconds for each step of a token request.

    Requests raise ClientError: IdentityError, TokenRefused, TokenUnavailable, NotBound. The constructor raises ValueError.
    """

    def __init__(
        self,
        *,
        client_id: str,
        cert_file: str | Path,
        key_file: str | Path,
        issuer: str | None = None,
        token_endpoint: str | None = None,
        ca_file: str | Path | None = None,
        api_ca_file: str | Path | None = None,
        scopes: str | Sequence[str] = (),
        resource: str | None = None,
        timeout: float = 10.0,
        clock: Clock = system_clock,
    ) -> None:
        files = IdentityFiles(Path(cert_file), Path(key_file), _path(ca_file), _path(api_ca_file))
        endpoint = TokenEndpoint(issuer=issuer, url=token_endpoint, timeout=timeout)
        request = TokenRequest(client_id=client_id, scopes=_scopes(scopes), resource=resource)
        self.keeper = PairKeeper(files, endpoint, request, clock)

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send; when the API says `invalid_token`, once more with a new one."""
        pair = self.keeper.pair()
        response = yield _marked(request, pair)
        if _is_sent(request) and _may_repeat(request, response):
            yield _marked(request, self.keeper.pair(rejected=pair.token.value))

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """As `sync_auth_flow`."""
        pair = await self.keeper.apair()
        response = yield _marked(request, pair)
        if _is_sent(request) and _may_repeat(request, response):
            yield _marked(request, await self.keeper.apair(rejected=pair.token.value))


def _scopes(scopes: str | Sequence[str]) -> tuple[str, ...]:
    """A text is taken as RFC 6749 section 3.3 writes it, with spaces between."""
    return tuple(scopes.split() if isinstance(scopes, str) else scopes)


def _path(name: str | Path | None) -> Path | None:
    return None if name is None else Path(name)


def _marked(request: httpx.Request, pair: Pair) -> httpx.Request:
    if request.url.scheme != "https":
        raise NotBound(f"expected an https URL, found {request.url.scheme}://{request.url.host}")
    request.extensions[MARK] = Mark(pair, request.url)
    return request


def _is_sent(request: httpx.Request) -> bool:
    """Raises NotBound when the transport has not understood the mark."""
    if request.extensions[MARK].sent:
        return True
    raise NotBound("this client cannot show the token's certificate, so no token was sent: use bound_client(auth)")


def _may_repeat(request: httpx.Request, response: httpx.Response) -> bool:
    """Whether the token was refused where it went, and the body is still there to be sent again."""
    mark: Mark = request.extensions[MARK]
    if response.status_code != 401 or not mark.covers(response.request.url):
        return False
    challenges = response.headers.get_list("www-authenticate")
    return any(map(_INVALID_TOKEN.search, challenges)) and isinstance(request.stream, httpx.ByteStream)
