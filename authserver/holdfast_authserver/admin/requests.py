"""What a request of the admin API says, read once into values. Each function raises BadRequest."""

import json
import re
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from holdfast.oauth.client_metadata import ClientMetadata, InvalidClientMetadata, Problem
from holdfast.oauth.client_metadata_reader import from_json
from holdfast.policy.model import EffectivePolicy
from holdfast.policy.model import from_json as policy_from_json
from holdfast.registry.port import MAX_BATCH, RefusalReason, RegistrationRefused
from holdfast.registry.wire import (
    TERM_HEADER,
    WireError,
    batch_from_json,
    denied_thumbprints_from_json,
    lookup_from_json,
    revocation_lists_from_json,
)
from holdfast_authserver.admin.errors import BadRequest

T = TypeVar("T")

MAX_BODY = 1024 * 1024
"""Bytes: 32 anchors of 16 KiB and all lists full. What is larger is no registration."""
MAX_BATCH_BODY = 8 * 1024 * 1024
"""Bytes of a batch: two hundred clients as they are, or eight as large as one may be."""
MAX_DENIALS = 8 * 1024 * 1024
"""Bytes of all CRLs of a cluster, or of all denied thumbprints."""
_TERM = re.compile(r"[0-9]{1,18}")
_ETAG = re.compile(r'"([0-9a-f]{64})"')


def read_term(request: Request) -> int:
    """The header Holdfast-Term."""
    value = request.headers.get(TERM_HEADER, "")
    if not _TERM.fullmatch(value):
        raise BadRequest(f"{TERM_HEADER}: expected the number of an open term, found {value[:40]!r}")
    return int(value)


def read_expected(request: Request) -> str | None:
    """The digest that If-Match names; None when there is no such header."""
    value = request.headers.get("If-Match")
    if value is None:
        return None
    found = _ETAG.fullmatch(value)
    if found is None:
        raise BadRequest(f"If-Match: expected one ETag as this API gives it, found {value[:80]!r}")
    return found[1]


def read_uid(request: Request) -> str:
    uid = request.query_params.get("uid", "")
    if not uid:
        raise BadRequest("uid: expected the uid of the object whose client this is, found none")
    return uid


def read_audience(request: Request) -> str:
    audience = request.query_params.get("audience", "")
    if not audience:
        raise BadRequest("audience: expected the audience whose owner is asked for, found none")
    return audience


async def read_holder(request: Request) -> str:
    value = await _read_json(request)
    holder = value.get("holder") if isinstance(value, dict) else None
    if not isinstance(holder, str) or not 1 <= len(holder) <= 256:
        problem = Problem("holder", "expected the identity of the Lease's holder, 1 to 256 characters")
        raise BadRequest(f"{problem.field}: {problem.message}", problems=(problem,))
    return holder


async def read_policy(request: Request) -> EffectivePolicy:
    value, wanted = await _read_json(request), request.path_params["hash"]
    try:
        if not isinstance(value, dict):
            raise ValueError("effective policy: expected an object")
        policy = policy_from_json(value)
    except (ValueError, TypeError) as error:
        raise BadRequest(str(error), status=422, problems=(Problem("$", str(error)),)) from error
    if policy.hash != wanted:
        raise BadRequest(f"expected a policy whose hash is {wanted[:80]}, found {policy.hash}", status=422)
    return policy


async def read_client(request: Request) -> ClientMetadata:
    value, wanted = await _read_json(request), request.path_params["client_id"]
    try:
        client = from_json(value)
    except InvalidClientMetadata as error:
        raise BadRequest(str(error), status=422, problems=error.problems) from error
    if client.client_id != wanted:
        problem = Problem("client_id", f"expected {wanted[:80]} as in the path, found {client.client_id[:80]}")
        raise BadRequest(f"{problem.field}: {problem.message}", status=422, problems=(problem,))
    return client


async def read_clients(request: Request) -> tuple[ClientMetadata | RegistrationRefused, ...]:
    """Many registrations; of one that cannot be read, why."""
    entries = await _read_form(request, batch_from_json, MAX_BATCH_BODY)
    found = tuple(_read_entry(entry) for entry in entries)
    ids = [client.client_id for client in found if isinstance(client, ClientMetadata)]
    if len(set(ids)) != len(ids):
        raise BadRequest("clients: expected each client id once, found one twice", status=422)
    return found


def _read_entry(value: object) -> ClientMetadata | RegistrationRefused:
    try:
        return from_json(value)
    except InvalidClientMetadata as error:
        return RegistrationRefused(RefusalReason.INVALID_CLIENT_METADATA, str(error), error.problems)


async def read_lookup(request: Request) -> tuple[str, ...]:
    client_ids = await _read_form(request, lookup_from_json, MAX_BODY)
    if len(client_ids) > MAX_BATCH:
        raise BadRequest(f"client_ids: expected at most {MAX_BATCH}, found {len(client_ids)}", status=422)
    return client_ids


async def read_denied_thumbprints(request: Request) -> frozenset[str]:
    return await _read_form(request, denied_thumbprints_from_json, MAX_DENIALS)


async def read_revocation_lists(request: Request) -> tuple[bytes, ...]:
    return await _read_form(request, revocation_lists_from_json, MAX_DENIALS)


async def _read_form(request: Request, read: Callable[[object], T], limit: int) -> T:
    value = await _read_json(request, limit)
    try:
        return read(value)
    except WireError as error:
        raise BadRequest(str(error), status=422, problems=(Problem("$", str(error)),)) from error


async def _read_json(request: Request, limit: int = MAX_BODY) -> object:
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > limit:
                raise BadRequest(f"expected a body of at most {limit} bytes", status=413)
        value = json.loads(body)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()  # half a surrogate pair can be stored nowhere
        return value
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"expected JSON: {str(error)[:200]}") from error
    except ClientDisconnect as error:
        raise BadRequest("the caller left before its request was complete") from error
