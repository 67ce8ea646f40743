"""uvicorn's request and response, with an answer that is whole written at once.

uvicorn writes head and body apart: two TLS records, two system calls. An endpoint's answer is complete when it begins,
so both go out together; whatever is not of that form takes uvicorn's own way. Neighbour: `protocol.py` makes it.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

Header = tuple[bytes, bytes]


class AnswerCycle(RequestResponseCycle):
    """One request and its answer."""

    _held: Any = None
    """The beginning of an answer whose body has not come yet."""

    async def send(self, message: Any) -> None:
        """As ASGI has it."""
        held, self._held = self._held, None
        if held is None and not self.response_started and message["type"] == "http.response.start":
            self._held = message
            return
        if held is None:
            await super().send(message)
        elif not self._write_whole(held, message):
            await super().send(held)
            await super().send(message)

    def _write_whole(self, start: Any, message: Any) -> bool:
        """False: it has not the form for it, and nothing was written."""
        body = message.get("body", b"")
        if message["type"] != "http.response.body" or message.get("more_body") or self.scope["method"] == "HEAD":
            return False
        head = _head(self.default_headers, start, len(body))
        if head is None or self.disconnected or self.flow.write_paused:
            return False
        self.waiting_for_100_continue = False
        self.response_started = self.response_complete = True
        self.transport.write(head + (b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n") + body)
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        return True


def _head(default: list[Header], start: Any, length: int) -> bytes | None:
    """Status line and headers; None unless the length of the body is named, and nothing else about the connection."""
    headers = [*default, *start["headers"]]
    names = [name for name, _ in headers]
    if (b"content-length", b"%d" % length) not in headers or b"connection" in names or b"transfer-encoding" in names:
        return None
    lines = b"".join([b"%s: %s\r\n" % header for header in headers])
    if lines.count(b"\n") != len(headers) or lines.count(b"\r") != len(headers):
        return None  # a line break within a header: uvicorn refuses it
    return STATUS_LINE[start["status"]] + lines
