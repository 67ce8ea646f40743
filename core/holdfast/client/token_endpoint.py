"""One token request (RFC 6749 section 4.4, RFC 8705 section 2): where to send it, what comes back.

Owns the protocol with the authorization server. Must not remember tokens: `keeper` does.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx

from holdfast.client.errors import TokenRefused, TokenUnavailable
from holdfast.client.generation import BoundToken, Generation

_RENEW_AFTER = 0.8  # of the lifetime: early enough for several attempts before the token ends
_UNSTATED_LIFETIME = 60  # seconds, when the server does not say (RFC 6749 section 5.1 allows that)
_MAX_LIFETIME = 30 * 24 * 3600  # seconds; more is a mistake of the server, and would overflow dates


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """What to ask for."""

    client_id: str
    scopes: tuple[str, ...] = ()
    resource: str | None = None

    def form(self) -> dict[str, str]:
        """The parameters; the client authenticates by the certificate of the connection."""
        form = {"grant_type": "client_credentials", "client_id": self.client_id}
        if self.scopes:
            form["scope"] = " ".join(self.scopes)
        if self.resource is not None:
            form["resource"] = self.resource
        return form


class TokenEndpoint:
    """Found by the issuer's metadata, preferring its mTLS alias (RFC 8705 section 5), or named outright."""

    def __init__(self, *, issuer: str | None, url: str | None, timeout: float) -> None:
        """`timeout`: seconds for each step of a request. Raises ValueError unless exactly one https URL is given."""
        if (issuer is None) == (url is None):
            raise ValueError("expected either issuer or token_endpoint")
        given = issuer if url is None else url
        if given is None or not given.startswith("https://"):
            raise ValueError(f"expected an https URL, found {given!r}")
        self._issuer = issuer
        self._named = url
        self._discovered: str | None = None
        self._timeout = timeout

    def fetch(self, request: TokenRequest, generation: Generation, at: datetime) -> BoundToken:
        """Ask over a connection that shows this generation's certificate. Raises TokenRefused, TokenUnavailable."""
        with httpx.Client(verify=generation.token_context, timeout=self._timeout, trust_env=False) as client:
            url = self._named or self._discovered or self._discover(client)
            try:
                answer = client.post(url, data=request.form(), headers={"accept": "application/json"})
            except httpx.HTTPError as error:
                self._discovered = None  # the alias may have moved
                raise TokenUnavailable(f"{url}: {_reason(error)}") from error
        return _token(answer, url, at)

    def _discover(self, client: httpx.Client) -> str:
        """Read the metadata (RFC 8414 section 3). Raises TokenUnavailable."""
        assert self._issuer is not None
        parts = urlsplit(self._issuer)
        url = f"https://{parts.netloc}/.well-known/oauth-authorization-server{parts.path.rstrip('/')}"
        try:
            metadata = _document(client.get(url), url)
        except httpx.HTTPError as error:
            raise TokenUnavailable(f"{url}: {_reason(error)}") from error
        if metadata.get("issuer") != self._issuer:
            raise TokenUnavailable(f"{url}: expected issuer {self._issuer!r}, found {metadata.get('issuer')!r:.200}")
        aliases = metadata.get("mtls_endpoint_aliases")
        endpoint = (aliases.get("token_endpoint") if isinstance(aliases, dict) else None) or metadata.get("token_endpoint")
        if not isinstance(endpoint, str) or not endpoint.startswith("https://"):
            raise TokenUnavailable(f"{url}: expected an https token_endpoint, found {endpoint!r:.200}")
        self._discovered = endpoint
        return endpoint


def _reason(error: httpx.HTTPError) -> str:
    return str(error) or type(error).__name__


def _document(answer: httpx.Response, url: str) -> dict[str, Any]:
    """The JSON object of an answer, whatever its status. The body is never quoted: it may hold a token."""
    try:
        document = json.loads(answer.content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise TokenUnavailable(f"{url}: expected a JSON object, found status {answer.status_code}", _retry_after(answer))
    return document


def _token(answer: httpx.Response, url: str, at: datetime) -> BoundToken:
    document = _document(answer, url)
    if answer.status_code != 200:
        raise _refusal(answer, document, url)
    value, kind = document.get("access_token"), document.get("token_type")
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable() or " " in value:
        raise TokenUnavailable(f"{url}: expected an access_token in the answer")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise TokenUnavailable(f"{url}: expected token_type Bearer, found {kind!r:.40}")
    lifetime, scope = _lifetime(document, url), document.get("scope")
    return BoundToken(
        value,
        renew_at=at + timedelta(seconds=lifetime * _RENEW_AFTER),
        expires_at=at + timedelta(seconds=lifetime),
        scope=tuple(scope.split()) if isinstance(scope, str) else (),
    )


def _lifetime(document: dict[str, Any], url: str) -> float:
    lifetime = document.get("expires_in", _UNSTATED_LIFETIME)
    if isinstance(lifetime, bool) or not isinstance(lifetime, int | float) or not 0 < lifetime <= _MAX_LIFETIME:
        raise TokenUnavailable(f"{url}: expected expires_in of 1 to {_MAX_LIFETIME} seconds, found {lifetime!r:.40}")
    return lifetime


def _refusal(answer: httpx.Response, document: dict[str, Any], url: str) -> TokenRefused | TokenUnavailable:
    error, description = document.get("error"), document.get("error_description")
    if not isinstance(error, str) or answer.status_code >= 500:
        return TokenUnavailable(f"{url}: status {answer.status_code}, error {error!r:.80}", _retry_after(answer))
    told = description if isinstance(description, str) else ""
    return TokenRefused(error, told, answer.status_code, answer.headers.get("holdfast-decision", ""))


def _retry_after(answer: httpx.Response) -> int | None:
    value = answer.headers.get("retry-after", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 6 else None
