"""The registry's port over the server's admin API, with mutual TLS.

Owns the connection, its certificates (read again when they change), and what a status means to the operator. Whatever
keeps an answer away is RegistryUnavailable: try again. Neighbours: `holdfast.registry.wire` (forms),
`holdfast_authserver.admin` (the other end, never imported).
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from holdfast.oauth.client_metadata import ClientMetadata, to_json
from holdfast.policy.model import EffectivePolicy
from holdfast.policy.model import to_json as policy_to_json
from holdfast.registry import wire
from holdfast.registry.port import MAX_BATCH, RegistryError, RegistryUnavailable
from holdfast.registry.records import ClientSummary, RegistryDescription, StoredClient

T = TypeVar("T")
_TIMEOUT = 10.0  # seconds for one call; the server answers from a local file, so a longer wait is a dead server


class _Session:
    """One httpx client and how many calls are on it, so that a replaced one is closed when the last has ended."""

    def __init__(self, client: httpx.AsyncClient, stamp: object) -> None:
        self.client = client
        self.stamp = stamp
        self.calls = 0
        self.replaced = False


class HttpRegistry:
    """`holdfast.registry.port.Registry` at `base_url` (https). Files are PEM; `ca_file` is what the server must lead to."""

    def __init__(self, base_url: str, *, ca_file: Path, cert_file: Path, key_file: Path) -> None:
        self._base_url = base_url.rstrip("/")
        self._ca_file, self._cert_file, self._key_file = Path(ca_file), Path(cert_file), Path(key_file)
        self._session: _Session | None = None
        self._opening = asyncio.Lock()

    async def describe(self) -> RegistryDescription:
        return _value(await self._call("GET", wire.REGISTRY_PATH), wire.description_from_json)

    async def open_term(self, holder: str) -> int:
        return _value(await self._call("POST", wire.TERMS_PATH, json={"holder": holder}), wire.term_from_json)

    async def put_policy(self, policy: EffectivePolicy, *, term: int) -> None:
        await self._call("PUT", f"{wire.POLICIES_PATH}/{policy.hash}", term=term, json=policy_to_json(policy))

    async def put_denied_thumbprints(self, thumbprints: frozenset[str], *, term: int) -> None:
        content = wire.denied_thumbprints_to_json(thumbprints)
        await self._call("PUT", wire.DENIED_THUMBPRINTS_PATH, term=term, json=content)

    async def put_revocation_lists(self, crls: tuple[bytes, ...], *, term: int) -> None:
        await self._call("PUT", wire.REVOCATION_LISTS_PATH, term=term, json=wire.revocation_lists_to_json(crls))

    async def put_client(self, client: ClientMetadata, *, term: int) -> StoredClient:
        answer = await self._call("PUT", _client_path(client.client_id), term=term, json=to_json(client))
        return _value(answer, wire.stored_client_from_json)

    async def put_clients(self, clients: Sequence[ClientMetadata], *, term: int) -> tuple[StoredClient | RegistryError, ...]:
        _check_batch(clients)
        if len({client.client_id for client in clients}) != len(clients):
            raise ValueError("expected each client id once, found one twice")
        answer = await self._call("POST", wire.CLIENTS_PATH, term=term, json=wire.batch_to_json(clients))
        return _complete(_value(answer, wire.verdicts_from_json), clients)

    async def get_client(self, client_id: str) -> StoredClient | None:
        answer = await self._call("GET", _client_path(client_id), absent=True)
        return None if answer.status_code == 404 else _value(answer, wire.stored_client_from_json)

    async def get_clients(self, client_ids: Sequence[str]) -> tuple[StoredClient | None, ...]:
        _check_batch(client_ids)
        answer = await self._call("POST", wire.CLIENT_LOOKUPS_PATH, json=wire.lookup_to_json(client_ids))
        return _complete(_value(answer, wire.found_from_json), client_ids)

    async def list_clients(self) -> tuple[ClientSummary, ...]:
        return _value(await self._call("GET", wire.CLIENTS_PATH), wire.summaries_from_json)

    async def audience_owner(self, audience: str) -> ClientMetadata | None:
        answer = await self._call("GET", wire.AUDIENCE_OWNER_PATH, absent=True, params={"audience": audience})
        return None if answer.status_code == 404 else _value(answer, wire.audience_owner_from_json)

    async def delete_client(self, client_id: str, *, uid: str, term: int) -> None:
        await self._call("DELETE", _client_path(client_id), term=term, params={"uid": uid})

    async def release_client(self, client_id: str, *, uid: str, term: int) -> None:
        await self._call("POST", _client_path(client_id, wire.RELEASES_PATH), term=term, params={"uid": uid})

    async def adopt_client(self, client: ClientMetadata, *, term: int) -> StoredClient:
        path = _client_path(client.client_id, wire.ADOPTIONS_PATH)
        return _value(await self._call("PUT", path, term=term, json=to_json(client)), wire.stored_client_from_json)

    async def confirm(self, *, term: int) -> None:
        await self._call("POST", wire.CONFIRM_PATH, term=term)

    async def close(self) -> None:
        """Ends the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.client.aclose()

    async def _call(
        self, method: str, path: str, *, term: int | None = None, absent: bool = False, **content: Any
    ) -> httpx.Response:
        """`absent`: a 404 of the API itself is an answer. Raises RegistryError."""
        headers = {} if term is None else {wire.TERM_HEADER: str(term)}
        try:
            async with self._client() as client:
                answer = await client.request(method, self._base_url + path, headers=headers, **content)
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
            text = str(error) or type(error).__name__
            raise RegistryUnavailable(f"the admin API at {self._base_url} does not answer: {text}") from error
        if answer.is_success:
            return answer
        if absent and answer.status_code == 404 and _error_of(answer)[0] == wire.ErrorCode.NOT_FOUND:
            return answer
        raise _failure(answer)

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[httpx.AsyncClient]:
        session = await self._current()
        session.calls += 1
        try:
            yield session.client
        finally:
            session.calls -= 1
            if session.replaced and session.calls == 0:
                await session.client.aclose()

    async def _current(self) -> _Session:
        """The session of the certificate files as they are now."""
        async with self._opening:
            stamp = self._stamp()
            old = self._session
            if old is not None and old.stamp == stamp:
                return old
            self._session = _Session(self._connect(), stamp)
            if old is not None:
                old.replaced = True
                if old.calls == 0:
                    await old.client.aclose()
            return self._session

    def _stamp(self) -> tuple[tuple[int, int, int], ...]:
        found = []
        for file in (self._ca_file, self._cert_file, self._key_file):
            try:
                stat = file.stat()
            except OSError as error:
                raise RegistryUnavailable(f"the admin API's {file} cannot be read: {error.strerror}") from error
            found.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return tuple(found)

    def _connect(self) -> httpx.AsyncClient:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_verify_locations(self._ca_file)
            context.load_cert_chain(self._cert_file, self._key_file)
        except (OSError, ValueError) as error:
            files = f"{self._ca_file}, {self._cert_file} and {self._key_file}"
            raise RegistryUnavailable(f"{files} give no TLS client: {error}") from error
        return httpx.AsyncClient(verify=context, timeout=_TIMEOUT, trust_env=False)


def _client_path(client_id: str, below: str = wire.CLIENTS_PATH) -> str:
    return f"{below}/{quote(client_id, safe='')}"


def _check_batch(entries: Sequence[object]) -> None:
    if len(entries) > MAX_BATCH:
        raise ValueError(f"expected at most {MAX_BATCH} clients at once, found {len(entries)}")


def _complete(found: tuple[T, ...], asked: Sequence[object]) -> tuple[T, ...]:
    """An answer for each, or what belongs to which cannot be told."""
    if len(found) != len(asked):
        raise RegistryUnavailable(f"the admin API answered for {len(found)} clients of {len(asked)}")
    return found


def _value(answer: httpx.Response, read: Callable[[object], T]) -> T:
    try:
        return read(answer.json())
    except ValueError as error:
        raise RegistryUnavailable(f"the admin API gave an answer that cannot be read: {str(error)[:300]}") from error


def _error_of(answer: httpx.Response) -> tuple[str, str, Any]:
    try:
        return wire.error_from_json(answer.json())
    except ValueError:
        return "", f"an answer with status {answer.status_code} that is not of the admin API", ()


def _failure(answer: httpx.Response) -> RegistryError:
    word, message, problems = _error_of(answer)
    error = wire.error_of(word, message, problems)
    if not isinstance(error, RegistryUnavailable):
        return error
    said = f"the admin API answered {answer.status_code} {word}: {message}"
    return RegistryUnavailable(said, _retry_after(answer))


def _retry_after(answer: httpx.Response) -> float | None:
    value = answer.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None
