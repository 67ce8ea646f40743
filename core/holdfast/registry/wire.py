"""The admin API's words: its paths, its header, its codes, and the registry's records as JSON. Both ends use this file.

Owns the forms; a client's and a policy's own are in `holdfast.oauth.client_metadata` and `holdfast.policy.model`.
Reading raises WireError for whatever is not of the form. Must not know how a request is made or answered.
"""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from holdfast.oauth.client_metadata import ClientMetadata, DeletionPolicy, Owner, Problem, to_json
from holdfast.oauth.client_metadata_reader import from_json
from holdfast.registry.port import (
    MAX_BATCH,
    RefusalReason,
    RegistrationRefused,
    RegistryError,
    RegistryUnavailable,
    StaleGeneration,
    StaleTerm,
)
from holdfast.registry.records import ClientSummary, Endpoints, RegistryDescription, StoredClient, TokenSeen

T = TypeVar("T")

REGISTRY_PATH = "/v1/registry"
CONFIRM_PATH = "/v1/registry/confirm"
TERMS_PATH = "/v1/terms"
POLICIES_PATH = "/v1/policies"
"""Each under its hash."""
CLIENTS_PATH = "/v1/clients"
"""Each under its client id; many at once are posted to the path itself."""
CLIENT_LOOKUPS_PATH = "/v1/client-lookups"
"""Many clients by their ids, which are too long for one URL."""
RELEASES_PATH = "/v1/releases"
"""Each client that is to go on as nobody's, under its client id."""
ADOPTIONS_PATH = "/v1/adoptions"
"""Each client that takes over an orphan, under its client id."""
AUDIENCE_OWNER_PATH = "/v1/audience-owner"
"""`?audience=`: an audience is a URL, which would be hard to tell from a path."""
DENIED_THUMBPRINTS_PATH = "/v1/denied-thumbprints"
REVOCATION_LISTS_PATH = "/v1/revocation-lists"
_LATER_ENDPOINTS = ("revocation_endpoint", "jwks_uri", "deny_list_uri")  # an older server does not name these
TERM_HEADER = "Holdfast-Term"
"""On every write: the number of the writer's open term."""


class ErrorCode(StrEnum):
    """What `error` says beside the words of `RefusalReason`."""

    INVALID_REQUEST = "invalid_request"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    STALE_TERM = "stale_term"
    STALE_GENERATION = "stale_generation"
    PRECONDITION_FAILED = "precondition_failed"
    UNAVAILABLE = "unavailable"


class WireError(ValueError):
    """What came is not of the form that was agreed; the message names the member."""


def description_to_json(description: RegistryDescription) -> dict[str, Any]:
    endpoints = description.endpoints
    return {
        "instance": description.instance,
        "revision": description.revision,
        "digest": description.digest,
        "term": description.term,
        "confirmed": description.confirmed,
        "denials": description.denials,
        "token_lifetime": description.token_lifetime,
        "tokens": [[t.client_id, t.namespace, t.name, t.at.isoformat()] for t in description.tokens],
        "endpoints": {
            "issuer": endpoints.issuer,
            "token_endpoint": endpoints.token_endpoint,
            "introspection_endpoint": endpoints.introspection_endpoint,
            "revocation_endpoint": endpoints.revocation_endpoint,
            "jwks_uri": endpoints.jwks_uri,
            "deny_list_uri": endpoints.deny_list_uri,
        },
    }


def description_from_json(value: object) -> RegistryDescription:
    return _read("registry", value, _description)


def _description(value: Mapping[str, Any]) -> RegistryDescription:
    endpoints = value["endpoints"]
    return RegistryDescription(
        instance=_text(value, "instance"),
        revision=_whole(value, "revision"),
        digest=_text(value, "digest"),
        term=_whole(value, "term"),
        confirmed=value["confirmed"] is True,
        denials=_text(value, "denials") if "denials" in value else "",  # an older server says nothing of them
        token_lifetime=_whole(value, "token_lifetime") if "token_lifetime" in value else 300,
        tokens=tuple(_token_seen(entry) for entry in value.get("tokens", ())),
        endpoints=Endpoints(
            issuer=_text(endpoints, "issuer"),
            token_endpoint=_text(endpoints, "token_endpoint"),
            introspection_endpoint=_text(endpoints, "introspection_endpoint"),
            **{name: _text(endpoints, name) for name in _LATER_ENDPOINTS if name in endpoints},
        ),
    )


def _token_seen(entry: Sequence[str]) -> TokenSeen:
    client_id, namespace, name, at = (str(member) for member in entry)
    return TokenSeen(client_id, namespace, name, datetime.fromisoformat(at))


def stored_client_to_json(client: StoredClient) -> dict[str, Any]:
    return {
        "client": to_json(client.metadata),
        "digest": client.digest,
        "revision": client.revision,
        "updated_at": client.updated_at.isoformat(),
        "last_token_at": _moment_to_json(client.last_token_at),
        "since": _moment_to_json(client.since),
    }


def stored_client_from_json(value: object) -> StoredClient:
    return _read("client", value, _stored_client)


def _stored_client(value: Mapping[str, Any]) -> StoredClient:
    return StoredClient(
        metadata=from_json(value["client"]),
        digest=_text(value, "digest"),
        revision=_whole(value, "revision"),
        updated_at=datetime.fromisoformat(value["updated_at"]),
        last_token_at=_moment(value["last_token_at"]),
        since=_moment(value.get("since")),  # an older server does not say
    )


def batch_to_json(clients: Iterable[ClientMetadata]) -> dict[str, Any]:
    return {"clients": [to_json(client) for client in clients]}


def batch_from_json(value: object) -> list[Any]:
    """The entries as they came: each is read, and may be refused, by itself."""
    return _read("batch", value, lambda v: _entries(v, "clients"))


def verdicts_to_json(verdicts: Iterable[StoredClient | RegistryError]) -> dict[str, Any]:
    return {"verdicts": [_verdict_to_json(verdict) for verdict in verdicts]}


def _verdict_to_json(verdict: StoredClient | RegistryError) -> dict[str, Any]:
    if isinstance(verdict, RegistryError):
        problems = verdict.problems if isinstance(verdict, RegistrationRefused) else ()
        return error_to_json(error_code(verdict), str(verdict), problems)
    return {"stored": stored_client_to_json(verdict)}


def verdicts_from_json(value: object) -> tuple[StoredClient | RegistryError, ...]:
    return _read("verdicts", value, lambda v: tuple(_verdict(entry) for entry in _entries(v, "verdicts")))


def _verdict(value: Mapping[str, Any]) -> StoredClient | RegistryError:
    return _stored_client(value["stored"]) if "stored" in value else error_of(*_error(value))


def lookup_to_json(client_ids: Iterable[str]) -> dict[str, Any]:
    return {"client_ids": list(client_ids)}


def lookup_from_json(value: object) -> tuple[str, ...]:
    return _read("lookup", value, lambda v: tuple(_texts(v, "client_ids")))


def found_to_json(found: Iterable[StoredClient | None]) -> dict[str, Any]:
    return {"clients": [None if client is None else stored_client_to_json(client) for client in found]}


def found_from_json(value: object) -> tuple[StoredClient | None, ...]:
    return _read("clients", value, lambda v: tuple(e and _stored_client(e) for e in _entries(v, "clients")))


def summaries_to_json(summaries: Iterable[ClientSummary]) -> dict[str, Any]:
    return {"clients": [_summary_to_json(summary) for summary in summaries]}


def _summary_to_json(summary: ClientSummary) -> dict[str, Any]:
    owner = summary.owner
    return {
        "client_id": summary.client_id,
        "owner": {
            "namespace": owner.namespace,
            "name": owner.name,
            "uid": owner.uid,
            "generation": owner.generation,
            "service_account": owner.service_account,
        },
        "digest": summary.digest,
        "policy": summary.policy,
        "revision": summary.revision,
        "last_token_at": _moment_to_json(summary.last_token_at),
        "deletion_policy": summary.deletion_policy.value,
    }


def summaries_from_json(value: object) -> tuple[ClientSummary, ...]:
    return _read("clients", value, lambda v: tuple(_summary(entry) for entry in v["clients"]))


def _summary(value: Mapping[str, Any]) -> ClientSummary:
    owner = value["owner"]
    return ClientSummary(
        client_id=_text(value, "client_id"),
        owner=Owner(
            namespace=_text(owner, "namespace"),
            name=_text(owner, "name"),
            uid=_text(owner, "uid"),
            generation=_whole(owner, "generation"),
            service_account=_text(owner, "service_account"),
        ),
        digest=_text(value, "digest"),
        policy=_text(value, "policy"),
        revision=_whole(value, "revision"),
        last_token_at=_moment(value["last_token_at"]),
        deletion_policy=DeletionPolicy(value.get("deletion_policy", DeletionPolicy.DELETE)),  # as above
    )


def denied_thumbprints_to_json(thumbprints: Iterable[str]) -> dict[str, Any]:
    return {"thumbprints": sorted(thumbprints)}


def denied_thumbprints_from_json(value: object) -> frozenset[str]:
    return _read("denied thumbprints", value, lambda v: frozenset(_texts(v, "thumbprints")))


def revocation_lists_to_json(crls: Iterable[bytes]) -> dict[str, Any]:
    return {"crls": [base64.b64encode(crl).decode("ascii") for crl in crls]}


def revocation_lists_from_json(value: object) -> tuple[bytes, ...]:
    return _read("revocation lists", value, lambda v: tuple(_bytes(i, crl) for i, crl in enumerate(_texts(v, "crls"))))


def _bytes(index: int, value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except ValueError as error:
        raise ValueError(f"crls[{index}]: expected base64 (RFC 4648 section 4): {error}") from error


def audience_owner_to_json(owner: ClientMetadata) -> dict[str, Any]:
    return {"client": to_json(owner)}


def audience_owner_from_json(value: object) -> ClientMetadata:
    return _read("audience owner", value, lambda v: from_json(v["client"]))


def error_to_json(error: ErrorCode | RefusalReason, message: str, problems: Iterable[Problem] = ()) -> dict[str, Any]:
    """The one form of a refusal."""
    found = [{"field": problem.field, "message": problem.message} for problem in problems]
    return {"error": error.value, "message": message, "problems": found}


def error_code(error: RegistryError) -> ErrorCode | RefusalReason:
    """The word for what the port's own errors mean."""
    if isinstance(error, RegistrationRefused):
        return error.reason
    if isinstance(error, StaleTerm):
        return ErrorCode.STALE_TERM
    return ErrorCode.STALE_GENERATION if isinstance(error, StaleGeneration) else ErrorCode.UNAVAILABLE


def error_of(word: str, message: str, problems: tuple[Problem, ...] = ()) -> RegistryError:
    """The port's error for a word; one that is unknown here means to try again."""
    if word == ErrorCode.STALE_TERM:
        return StaleTerm(message)
    if word == ErrorCode.STALE_GENERATION:
        return StaleGeneration(message)
    if word in set(RefusalReason):
        return RegistrationRefused(RefusalReason(word), message, problems)
    return RegistryUnavailable(message)


def error_from_json(value: object) -> tuple[str, str, tuple[Problem, ...]]:
    """(error, message, problems)."""
    return _read("error", value, _error)


def _error(value: Mapping[str, Any]) -> tuple[str, str, tuple[Problem, ...]]:
    problems = tuple(Problem(_text(p, "field"), _text(p, "message")) for p in value["problems"])
    return _text(value, "error"), _text(value, "message"), problems


def term_from_json(value: object) -> int:
    """The answer to opening a term: `{"term": <number>}`."""
    return _read("term", value, lambda v: _whole(v, "term"))


def _read(what: str, value: object, read: Callable[[Any], T]) -> T:
    try:
        return read(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WireError(f"{what}: {type(error).__name__} {str(error)[:300]}") from error


def _text(value: Mapping[str, Any], name: str) -> str:
    if not isinstance(value[name], str):
        raise TypeError(f"{name}: expected a string, found {type(value[name]).__name__}")
    return str(value[name])


def _texts(value: Mapping[str, Any], name: str) -> list[str]:
    found = value[name]
    if not isinstance(found, list):
        raise TypeError(f"{name}: expected a list, found {type(found).__name__}")
    for i, entry in enumerate(found):
        if not isinstance(entry, str):
            raise TypeError(f"{name}[{i}]: expected a string, found {type(entry).__name__}")
    return found


def _entries(value: Mapping[str, Any], name: str) -> list[Any]:
    found = value[name]
    if not isinstance(found, list) or len(found) > MAX_BATCH:
        raise TypeError(f"{name}: expected a list of at most {MAX_BATCH}")
    return found


def _whole(value: Mapping[str, Any], name: str) -> int:
    if not isinstance(value[name], int) or isinstance(value[name], bool):
        raise TypeError(f"{name}: expected a whole number, found {type(value[name]).__name__}")
    return int(value[name])


def _moment_to_json(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _moment(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)
