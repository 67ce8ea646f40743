"""The HTTPS surface of the injector: one route for each webhook.

Owns bodies, sizes and status codes, and what is answered when a judgement fails in a way nobody foresaw. A webhook that
mutates would be another route here. Neighbours: `wire` (form), `review` (answers), `listener` (TLS).
"""

import asyncio
import json
import logging
import time

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from holdfast_operator.admission.metrics import InjectorMetrics
from holdfast_operator.admission.review import Verdict, answer
from holdfast_operator.admission.store import Store
from holdfast_operator.admission.wire import Answer, MalformedReview, Review, read_review, write_answer

log = logging.getLogger(__name__)

MAX_BODY = 8 << 20
"""Octets: an API server takes objects of 3 MiB, and an update carries two."""
BODY_LIMIT = 5.0
"""Seconds a body may take: an API server is near, and has gone away after as many."""
_UNFORESEEN = Verdict(
    Answer(warnings=("the injector could not judge this, its log says why; the operator judges it again",))
)


class TooLarge(Exception):
    """A body of more than MAX_BODY."""


def injector_app(store: Store, metrics: InjectorMetrics) -> Starlette:
    """`POST /validate` for both kinds."""

    async def validate(request: Request) -> Response:
        try:
            review = read_review(json.loads(await _body(request)))
        except TimeoutError:
            return PlainTextResponse(f"expected the whole body within {BODY_LIMIT:.0f} seconds", 408)
        except TooLarge:
            return PlainTextResponse(f"expected at most {MAX_BODY} octets", 413)
        except RecursionError:
            return PlainTextResponse("no AdmissionReview: nested deeper than any object", 400)
        except (MalformedReview, ValueError) as error:
            return PlainTextResponse(f"no AdmissionReview: {error}", 400)
        verdict = await _judged(review, store, metrics)
        return JSONResponse(write_answer(review, verdict.answer))

    return Starlette(routes=[Route("/validate", validate, methods=["POST"])])


async def _body(request: Request) -> bytes:
    """Raises TooLarge, TimeoutError."""
    parts = bytearray()
    async with asyncio.timeout(BODY_LIMIT):
        async for part in request.stream():
            parts += part
            if len(parts) > MAX_BODY:
                raise TooLarge
    return bytes(parts)


async def _judged(review: Review, store: Store, metrics: InjectorMetrics) -> Verdict:
    """A judgement that fails lets the object pass: it is judged again in reconcile and by the server."""
    began = time.perf_counter()
    try:
        verdict = await answer(review, store)
    except Exception:
        log.exception("%s %s: a review failed in a way nobody foresaw", review.operation, _name(review))
        metrics.failed(review)
        return _UNFORESEEN
    metrics.reviewed(review, verdict, time.perf_counter() - began)
    if verdict.answer.refusal:
        rehearsal = " (dry run)" if review.dry_run else ""
        log.info("%s %s refused%s: %s", review.operation, _name(review), rehearsal, verdict.answer.refusal)
    return verdict


def _name(review: Review) -> str:
    metadata = (review.obj or review.old or {}).get("metadata", {})
    return f"{review.label} {metadata.get('namespace', '')}/{metadata.get('name', '')}"
