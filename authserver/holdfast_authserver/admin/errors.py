"""What goes wrong at the registry as a status and a body: one place, one form."""

import math

from starlette.responses import JSONResponse

from holdfast.oauth.client_metadata import Problem
from holdfast.registry.port import (
    RefusalReason,
    RegistrationRefused,
    RegistryError,
    RegistryUnavailable,
    StaleGeneration,
    StaleTerm,
)
from holdfast.registry.wire import ErrorCode, error_code, error_to_json
from holdfast_authserver.registry.placing import PreconditionFailed

_CONFLICTS = frozenset({RefusalReason.CLIENT_ID_TAKEN, RefusalReason.AUDIENCE_TAKEN, RefusalReason.SUBJECT_TAKEN})


class BadRequest(Exception):
    """The request itself cannot be read. `status`: 400, 413 or 422."""

    def __init__(self, message: str, *, status: int = 400, problems: tuple[Problem, ...] = ()) -> None:
        self.status = status
        self.problems = problems
        super().__init__(message)


def answer_bad_request(error: BadRequest) -> JSONResponse:
    word = ErrorCode.INVALID_REQUEST if error.status != 422 else RefusalReason.INVALID_CLIENT_METADATA
    return JSONResponse(error_to_json(word, str(error), error.problems), error.status)


def answer_registry_error(error: RegistryError) -> JSONResponse:
    if isinstance(error, RegistrationRefused):
        status = 409 if error.reason in _CONFLICTS else 422
        return JSONResponse(error_to_json(error_code(error), str(error), error.problems), status)
    if isinstance(error, RegistryUnavailable):
        retry = {"Retry-After": str(math.ceil(error.retry_after or 1))}
        return JSONResponse(error_to_json(error_code(error), str(error)), 503, headers=retry)
    if isinstance(error, StaleTerm | StaleGeneration):
        return JSONResponse(error_to_json(error_code(error), str(error)), 409)
    if isinstance(error, PreconditionFailed):
        return JSONResponse(error_to_json(ErrorCode.PRECONDITION_FAILED, str(error)), 412)
    raise error
