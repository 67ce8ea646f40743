"""A request on its way in: the form is read once, under limits, and nothing behind it touches headers or bytes."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from holdfast.oauth.errors import InvalidRequest, RequestTooLarge, UnsupportedEncoding
from holdfast.oauth.messages import PARAMETERS, Form, parse_form
from holdfast.oauth.refusal import Refusal
from holdfast_authserver.client_authentication.throttle import Attempt
from holdfast_authserver.transport.presented import PresentedChain, certificate_error, presented_chain

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
MAX_BODY = 16_384  # bytes; the longest form of this server holds one token
_FORM = b"application/x-www-form-urlencoded"


class Disconnected(Exception):
    """The peer went away before its request was whole: nobody is left to answer."""


class Received:
    """One request. `decision`: the id of whatever will be decided about it."""

    __slots__ = ("_receive", "accept", "authorization", "chain", "decision", "form", "named_client", "proven", "scope")

    def __init__(self, scope: Mapping[str, Any], receive: Receive, decision: str) -> None:
        self.scope = scope
        self._receive = receive
        self.decision = decision
        self.chain: PresentedChain | None = presented_chain(scope)
        self.accept: bytes = b""
        """The Accept headers of a posted form, all in one."""
        self.authorization: bytes | None = None
        self.form: Form | None = None
        self.named_client: str | None = None
        """Whom the credentials name, where the form does not: Basic, or an assertion. Unproven."""
        self.proven = False
        """Whether the request has proved to be of the client that it names."""

    @property
    def claimed_client_id(self) -> str | None:
        """Whom the request says it is from, for the log; cut short, since nothing about it is checked."""
        claimed = self.named_client or (self.form.get("client_id") if self.form is not None else None)
        return None if claimed is None else claimed[:256]

    def header(self, name: bytes) -> bytes | None:
        """All values of a header, in one; None when there is none. For requests without a form."""
        values = [value for found, value in self.scope["headers"] if found == name]
        return b",".join(values) if values else None

    def attempt_of(self, client_id: str) -> Attempt:
        """What is counted when it fails."""
        peer, chain = self.scope.get("client"), self.chain
        return Attempt(client_id, None if peer is None else str(peer[0]), None if chain is None else chain.thumbprint)

    async def read_form(self) -> Form:
        """Raises InvalidRequest (O-02, O-03, O-04; a malformed certificate header), RequestTooLarge, UnsupportedEncoding,
        Disconnected.
        """
        self._check_certificate()
        self._check_query()
        self._read_headers()
        body = await self._body()
        self.form = parse_form(body)
        return self.form

    def _check_certificate(self) -> None:
        """What a terminator cannot have meant is refused, and not taken for no certificate."""
        if (error := certificate_error(self.scope)) is not None:
            raise InvalidRequest(
                error, description="the certificate header is malformed", reason=Refusal.MALFORMED_CERTIFICATE_HEADER
            )

    def _check_query(self) -> None:
        """Parameters of a direct endpoint stand in its body alone (M-02)."""
        query = self.scope["query_string"]
        if not query:
            return
        names = {name for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)}
        if names & PARAMETERS:
            raise InvalidRequest("parameters in the URL", description="parameters belong in the request body")

    def _read_headers(self) -> None:
        content_type = None
        for name, value in self.scope["headers"]:
            if name == b"content-type":
                if content_type is not None:
                    raise InvalidRequest("several content types")
                content_type = value
            elif name == b"accept":
                self.accept = self.accept + b"," + value if self.accept else value
            elif name == b"authorization":
                if self.authorization is not None:
                    raise InvalidRequest("several Authorization headers")
                self.authorization = value
            elif name == b"content-encoding" and value.strip().lower() != b"identity":
                raise UnsupportedEncoding(f"content encoding {value[:40]!r}")
            elif name == b"content-length" and value.isdigit() and (len(value) > 9 or int(value) > MAX_BODY):
                raise RequestTooLarge(f"expected at most {MAX_BODY} bytes")
        if content_type != _FORM and not _is_form(content_type):
            raise InvalidRequest(
                f"content type {(content_type or b'none')[:80]!r}", description=f"the body must be {_FORM.decode()}"
            )

    async def _body(self) -> bytes:
        message = await self._receive()
        body: bytes = message.get("body", b"")
        while message["type"] != "http.disconnect":
            if len(body) > MAX_BODY:
                raise RequestTooLarge(f"expected at most {MAX_BODY} bytes")
            if not message.get("more_body", False):
                return body
            message = await self._receive()
            body += message.get("body", b"")
        raise Disconnected


def _is_form(content_type: bytes | None) -> bool:
    """With parameters; a charset other than UTF-8 is another format (RFC 6749 appendix B)."""
    if content_type is None:
        return False
    kind, *parameters = (part.strip().lower() for part in content_type.split(b";"))
    charsets = [p.partition(b"=")[2].strip(b'"') for p in parameters if p.startswith(b"charset=")]
    return kind == _FORM and all(charset in (b"utf-8", b"us-ascii") for charset in charsets)
