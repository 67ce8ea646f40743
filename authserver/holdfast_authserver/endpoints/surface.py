"""The ASGI application of a listener: path to endpoint, and whatever goes wrong to one kind of answer.

A plain table in place of a framework's middleware, since a token request passes through it. Every answer carries a
decision id; a refusal of an endpoint that decides something stands in the audit log under it (`decisions.py`), or is counted
there where somebody unproven causes too many (`refusal_lines.py`).
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import getrandbits
from time import perf_counter
from typing import Any

from holdfast.oauth.errors import InvalidClient, MethodNotAllowed, OAuthError, ServerError, UnknownPath
from holdfast_authserver.endpoints.answer import Answer, Send, error_answer, send_answer
from holdfast_authserver.endpoints.decisions import Decisions
from holdfast_authserver.endpoints.received import Disconnected, Receive, Received
from holdfast_authserver.endpoints.refusal_lines import RefusalLines
from holdfast_authserver.metrics import Metrics

_LOG = logging.getLogger(__name__)
_READING = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Route:
    """`name`: for audit log and metrics. `reads`: GET and HEAD, else POST; only what is posted is audited."""

    name: str
    reads: bool
    handle: Callable[[Received], Awaitable[Answer]]

    def check_method(self, method: str) -> None:
        """Raises MethodNotAllowed (O-01)."""
        if (method in _READING) if self.reads else method == "POST":
            return
        raise MethodNotAllowed("GET, HEAD" if self.reads else "POST")


class Surface:
    """Routes by exact path as it was sent: percent-encoded it is another one.

    `lines`: which refusals get a line. `invalid_client_text`: public text of a failed authentication at this listener.
    """

    def __init__(
        self,
        routes: Mapping[str, Route],
        decisions: Decisions,
        lines: RefusalLines,
        metrics: Metrics,
        *,
        invalid_client_text: str | None = None,
    ) -> None:
        self._routes = {path.encode(): route for path, route in routes.items()}
        self._decisions = decisions
        self._lines = lines
        self._metrics = metrics
        self._invalid_client_text = invalid_client_text

    @property
    def routes(self) -> dict[str, Route]:
        """What is served, by path."""
        return {path.decode(): route for path, route in self._routes.items()}

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """One request. The path alone picks the endpoint: neither Host nor X-Forwarded-* mean anything (E-04)."""
        begun = perf_counter()
        received = Received(scope, receive, f"{getrandbits(64):016x}")
        route = self._routes.get(scope["raw_path"])
        try:
            if route is None:
                raise UnknownPath
            route.check_method(scope["method"])
            answer = await route.handle(received)
            self._metrics.count(route.name, "ok")
        except OAuthError as error:
            answer = self._refuse(error, route, received)
        except Disconnected:
            return
        except Exception as error:
            _LOG.exception("decision %s: %s", received.decision, type(error).__name__)
            answer = self._refuse(ServerError(type(error).__name__), route, received)
        await send_answer(send, answer, received.decision)
        self._metrics.observe("none" if route is None else route.name, perf_counter() - begun)

    def _refuse(self, error: OAuthError, route: Route | None, received: Received) -> Answer:
        audited = route is not None and not route.reads and self._lines.admit(received, error)
        self._decisions.refused("none" if route is None else route.name, received, error, audited=audited)
        text = self._invalid_client_text if isinstance(error, InvalidClient) else None
        return error_answer(error, challenge=received.authorization is not None, description=text)
