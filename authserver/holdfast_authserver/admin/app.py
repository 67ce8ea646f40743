"""Paths of the admin API onto the registry's port.

    GET    /v1/registry                who the registry is, and how far it has come
    POST   /v1/registry/confirm        every client was compared with its object
    POST   /v1/terms                   {"holder"} -> {"term"}
    PUT    /v1/policies/{hash}         an effective policy, under the hash of its content
    PUT    /v1/denied-thumbprints      {"thumbprints": [x5t#S256]}, in the place of those before
    PUT    /v1/revocation-lists        {"crls": [base64 of DER]}, in the place of those before
    GET    /v1/clients                 all of them, in short
    POST   /v1/clients                 {"clients": [...]} -> {"verdicts": [{"stored"} or an error]}, in one transaction
    POST   /v1/client-lookups          {"client_ids": [...]} -> {"clients": [client or null]}
    GET    /v1/clients/{client_id}     one, with ETag; 304 for If-None-Match
    PUT    /v1/clients/{client_id}     register or replace; If-Match: only if it is as expected
    DELETE /v1/clients/{client_id}     ?uid=, If-Match
    POST   /v1/releases/{client_id}    ?uid=: it goes on without its object
    PUT    /v1/adoptions/{client_id}   register, and take over what an object left
    GET    /v1/audience-owner          ?audience= -> {"client"}; 404: nobody owns it

Writes carry the header `Holdfast-Term`. Neighbours: `identity` (who calls), `errors` (what goes wrong).
"""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.registry.port import RegistryError
from holdfast.registry.wire import (
    ADOPTIONS_PATH,
    AUDIENCE_OWNER_PATH,
    CLIENT_LOOKUPS_PATH,
    CLIENTS_PATH,
    CONFIRM_PATH,
    DENIED_THUMBPRINTS_PATH,
    POLICIES_PATH,
    REGISTRY_PATH,
    RELEASES_PATH,
    REVOCATION_LISTS_PATH,
    TERMS_PATH,
    ErrorCode,
    audience_owner_to_json,
    description_to_json,
    error_to_json,
    found_to_json,
    stored_client_to_json,
    summaries_to_json,
    verdicts_to_json,
)
from holdfast_authserver.admin.errors import BadRequest, answer_bad_request, answer_registry_error
from holdfast_authserver.admin.identity import AdminIdentity, RequireIdentity
from holdfast_authserver.admin.requests import (
    read_audience,
    read_client,
    read_clients,
    read_denied_thumbprints,
    read_expected,
    read_holder,
    read_lookup,
    read_policy,
    read_revocation_lists,
    read_term,
    read_uid,
)
from holdfast_authserver.registry.keeper import RegistryKeeper
from holdfast_authserver.registry.writer import RegistryWriter

Handler = Callable[[RegistryWriter, Request], Awaitable[Response]]


def create_admin_app(keeper: RegistryKeeper, identity: AdminIdentity) -> Starlette:
    """The ASGI app of the admin listener, whose transport puts the caller's certificate into the scope."""

    def on(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            try:
                return await handler(keeper.writer, request)
            except BadRequest as error:
                return answer_bad_request(error)
            except RegistryError as error:
                return answer_registry_error(error)

        return serve

    routes = [
        Route(REGISTRY_PATH, on(_describe), methods=["GET"]),
        Route(CONFIRM_PATH, on(_confirm), methods=["POST"]),
        Route(TERMS_PATH, on(_open_term), methods=["POST"]),
        Route(f"{POLICIES_PATH}/{{hash}}", on(_put_policy), methods=["PUT"]),
        Route(DENIED_THUMBPRINTS_PATH, on(_put_denied_thumbprints), methods=["PUT"]),
        Route(REVOCATION_LISTS_PATH, on(_put_revocation_lists), methods=["PUT"]),
        Route(CLIENTS_PATH, on(_list_clients), methods=["GET"]),
        Route(CLIENTS_PATH, on(_put_clients), methods=["POST"]),
        Route(CLIENT_LOOKUPS_PATH, on(_get_clients), methods=["POST"]),
        Route(f"{CLIENTS_PATH}/{{client_id:path}}", on(_get_client), methods=["GET"]),
        Route(f"{CLIENTS_PATH}/{{client_id:path}}", on(_put_client), methods=["PUT"]),
        Route(f"{CLIENTS_PATH}/{{client_id:path}}", on(_delete_client), methods=["DELETE"]),
        Route(f"{RELEASES_PATH}/{{client_id:path}}", on(_release_client), methods=["POST"]),
        Route(f"{ADOPTIONS_PATH}/{{client_id:path}}", on(_adopt_client), methods=["PUT"]),
        Route(AUDIENCE_OWNER_PATH, on(_audience_owner), methods=["GET"]),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(RequireIdentity, identity=identity)],
        exception_handlers={HTTPException: _unknown},
    )


async def _unknown(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse(error_to_json(ErrorCode.NOT_FOUND, error.detail), error.status_code, headers=error.headers)


async def _describe(writer: RegistryWriter, _request: Request) -> Response:
    return JSONResponse(description_to_json(await writer.describe()))


async def _confirm(writer: RegistryWriter, request: Request) -> Response:
    await writer.confirm(term=read_term(request))
    return Response(status_code=204)


async def _open_term(writer: RegistryWriter, request: Request) -> Response:
    return JSONResponse({"term": await writer.open_term(await read_holder(request))}, 201)


async def _put_policy(writer: RegistryWriter, request: Request) -> Response:
    await writer.put_policy(await read_policy(request), term=read_term(request))
    return Response(status_code=204)


async def _put_denied_thumbprints(writer: RegistryWriter, request: Request) -> Response:
    await writer.put_denied_thumbprints(await read_denied_thumbprints(request), term=read_term(request))
    return Response(status_code=204)


async def _put_revocation_lists(writer: RegistryWriter, request: Request) -> Response:
    await writer.put_revocation_lists(await read_revocation_lists(request), term=read_term(request))
    return Response(status_code=204)


async def _list_clients(writer: RegistryWriter, _request: Request) -> Response:
    return JSONResponse(summaries_to_json(await writer.list_clients()))


async def _put_clients(writer: RegistryWriter, request: Request) -> Response:
    """What cannot be read is refused in its place; the rest is registered."""
    read, term = await read_clients(request), read_term(request)
    verdicts = iter(await writer.put_clients([c for c in read if isinstance(c, ClientMetadata)], term=term))
    answered = [next(verdicts) if isinstance(entry, ClientMetadata) else entry for entry in read]
    return JSONResponse(verdicts_to_json(answered))


async def _get_clients(writer: RegistryWriter, request: Request) -> Response:
    return JSONResponse(found_to_json(await writer.get_clients(await read_lookup(request))))


async def _get_client(writer: RegistryWriter, request: Request) -> Response:
    client_id = request.path_params["client_id"]
    stored = await writer.get_client(client_id)
    if stored is None:
        return JSONResponse(error_to_json(ErrorCode.NOT_FOUND, f"no client {client_id}"), 404)
    etag = {"ETag": f'"{stored.digest}"'}
    if request.headers.get("If-None-Match") == etag["ETag"]:
        return Response(status_code=304, headers=etag)
    return JSONResponse(stored_client_to_json(stored), headers=etag)


async def _put_client(writer: RegistryWriter, request: Request) -> Response:
    client = await read_client(request)
    stored = await writer.put_client(client, term=read_term(request), expected=read_expected(request))
    return JSONResponse(stored_client_to_json(stored), headers={"ETag": f'"{stored.digest}"'})


async def _delete_client(writer: RegistryWriter, request: Request) -> Response:
    client_id = request.path_params["client_id"]
    await writer.delete_client(client_id, uid=read_uid(request), term=read_term(request), expected=read_expected(request))
    return Response(status_code=204)


async def _release_client(writer: RegistryWriter, request: Request) -> Response:
    await writer.release_client(request.path_params["client_id"], uid=read_uid(request), term=read_term(request))
    return Response(status_code=204)


async def _adopt_client(writer: RegistryWriter, request: Request) -> Response:
    stored = await writer.adopt_client(await read_client(request), term=read_term(request))
    return JSONResponse(stored_client_to_json(stored), headers={"ETag": f'"{stored.digest}"'})


async def _audience_owner(writer: RegistryWriter, request: Request) -> Response:
    audience = read_audience(request)
    owner = await writer.audience_owner(audience)
    if owner is None:
        return JSONResponse(error_to_json(ErrorCode.NOT_FOUND, f"nobody owns {audience[:512]}"), 404)
    return JSONResponse(audience_owner_to_json(owner))
