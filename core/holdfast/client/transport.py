"""httpx transports that send a marked request over a connection with the certificate its token is bound to.

Owns the connections: one pool for each generation, closed when the generation is replaced and its last response has
been read. Neighbour: `auth` marks the requests.
"""

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import httpx

from holdfast.client.auth import MARK, BoundTokenAuth, Mark
from holdfast.client.generation import Generation

T = TypeVar("T", httpx.HTTPTransport, httpx.AsyncHTTPTransport)


@dataclass(eq=False)
class _Pool(Generic[T]):
    """The connections of one generation, and how many responses are still being read from them."""

    transport: T
    number: int
    in_flight: int = 0


class _Pools(Generic[T]):
    """Pools by generation. Closing is the caller's: it may have to be awaited."""

    def __init__(self, make: Callable[[Generation], T]) -> None:
        self._make: Callable[[Generation], T] = make
        self._lock = threading.Lock()
        self._pools: dict[Generation, _Pool[T]] = {}

    def enter(self, generation: Generation) -> tuple[_Pool[T], list[_Pool[T]]]:
        """The pool for one request, and the pools that are over."""
        with self._lock:
            if generation not in self._pools:
                self._pools[generation] = _Pool(self._make(generation), generation.number)
            pool = self._pools[generation]
            pool.in_flight += 1
            return pool, self._over()

    def leave(self, pool: _Pool[T]) -> list[_Pool[T]]:
        """The request is done, response read or not; answers the pools that are over."""
        with self._lock:
            pool.in_flight -= 1
            return self._over()

    def _over(self) -> list[_Pool[T]]:
        newest = max((pool.number for pool in self._pools.values()), default=0)
        over = {g: p for g, p in self._pools.items() if p.number < newest and p.in_flight == 0}
        for generation in over:
            del self._pools[generation]
        return list(over.values())

    def clear(self) -> list[_Pool[T]]:
        """All of them, for the end."""
        with self._lock:
            pools = list(self._pools.values())
            self._pools.clear()
            return pools


def _outgoing(request: httpx.Request, mark: Mark | None) -> httpx.Request:
    """A copy with the token. The original stays without, so that neither a redirect nor a log can carry it on."""
    if mark is None or not mark.covers(request.url):
        return request
    mark.sent = True
    headers = httpx.Headers(request.headers)
    headers["authorization"] = f"Bearer {mark.pair.token.value}"
    return httpx.Request(request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions)


class BoundTransport(httpx.BaseTransport):
    """For `httpx.Client`. `options`: of `httpx.HTTPTransport`, such as `limits` or `retries`; not `verify` or `cert`."""

    def __init__(self, auth: BoundTokenAuth, **options: Any) -> None:
        self._auth = auth
        self._pools = _Pools(lambda generation: httpx.HTTPTransport(verify=generation.api_context, **options))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        mark = request.extensions.get(MARK)
        generation = self._auth.keeper.generation() if mark is None else mark.pair.generation
        pool, over = self._pools.enter(generation)
        _close(over)
        try:
            response = pool.transport.handle_request(_outgoing(request, mark))
        except BaseException:
            self._leave(pool)
            raise
        assert isinstance(response.stream, httpx.SyncByteStream)
        stream = _WatchedStream(response.stream, lambda: self._leave(pool))
        return httpx.Response(response.status_code, headers=response.headers, stream=stream, extensions=response.extensions)

    def _leave(self, pool: _Pool[httpx.HTTPTransport]) -> None:
        _close(self._pools.leave(pool))

    def close(self) -> None:
        _close(self._pools.clear())


def _close(pools: list[_Pool[httpx.HTTPTransport]]) -> None:
    for pool in pools:
        pool.transport.close()


class _WatchedStream(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, done: Callable[[], None]) -> None:
        self._stream = stream
        self._done: Callable[[], None] | None = done

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        self._stream.close()
        done, self._done = self._done, None
        if done is not None:
            done()


class AsyncBoundTransport(httpx.AsyncBaseTransport):
    """For `httpx.AsyncClient` on asyncio. `options`: of `httpx.AsyncHTTPTransport`, not `verify` or `cert`."""

    def __init__(self, auth: BoundTokenAuth, **options: Any) -> None:
        self._auth = auth
        self._pools = _Pools(lambda generation: httpx.AsyncHTTPTransport(verify=generation.api_context, **options))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        mark = request.extensions.get(MARK)
        generation = self._auth.keeper.generation() if mark is None else mark.pair.generation
        pool, over = self._pools.enter(generation)
        try:
            await _aclose(over)
            response = await pool.transport.handle_async_request(_outgoing(request, mark))
        except BaseException:
            await self._leave(pool)
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        stream = _WatchedAsyncStream(response.stream, self, pool)
        return httpx.Response(response.status_code, headers=response.headers, stream=stream, extensions=response.extensions)

    async def _leave(self, pool: _Pool[httpx.AsyncHTTPTransport]) -> None:
        await _aclose(self._pools.leave(pool))

    async def aclose(self) -> None:
        await _aclose(self._pools.clear())


async def _aclose(pools: list[_Pool[httpx.AsyncHTTPTransport]]) -> None:
    for pool in pools:
        await pool.transport.aclose()


class _WatchedAsyncStream(httpx.AsyncByteStream):
    def __init__(
        self, stream: httpx.AsyncByteStream, owner: AsyncBoundTransport, pool: _Pool[httpx.AsyncHTTPTransport]
    ) -> None:
        self._stream = stream
        self._owner = owner
        self._pool: _Pool[httpx.AsyncHTTPTransport] | None = pool

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            yield piece

    async def aclose(self) -> None:
        pool, self._pool = self._pool, None
        try:
            await self._stream.aclose()
        finally:
            if pool is not None:
                await self._owner._leave(pool)


def bound_client(auth: BoundTokenAuth, **options: Any) -> httpx.Client:
    """An `httpx.Client` whose every request goes with a token and over its certificate. `options`: of `httpx.Client`."""
    return httpx.Client(auth=auth, transport=BoundTransport(auth), **_without_tls(options))


def bound_async_client(auth: BoundTokenAuth, **options: Any) -> httpx.AsyncClient:
    """The same for asyncio."""
    return httpx.AsyncClient(auth=auth, transport=AsyncBoundTransport(auth), **_without_tls(options))


def _without_tls(options: dict[str, Any]) -> dict[str, Any]:
    """Raises TypeError on options that httpx would silently ignore beside a transport."""
    if ignored := options.keys() & {"verify", "cert", "http1", "http2", "limits", "proxy"}:
        raise TypeError(f"{', '.join(sorted(ignored))}: belongs to the transport; make a BoundTransport with it")
    return options
