"""One token request by hand: discovery, the request itself, and a call with the token.

Owns what is sent and how each failure is told. For programs there is `holdfast.client`, which keeps tokens fresh.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

TIMEOUT = 10.0  # seconds: somebody waits at a prompt


class TokenRefused(Exception):
    """The server said no; the message is its error code and description (RFC 6749 section 5.2)."""


class Unreachable(Exception):
    """It could not be asked: a file, a name, a certificate or an answer is wrong. The message names which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenWish:
    """What to ask for."""

    client_id: str
    scopes: tuple[str, ...] = ()
    resource: str | None = None

    def form(self) -> dict[str, str]:
        """The parameters of the request (RFC 6749 section 4.4.2, RFC 8705 section 2, RFC 8707 section 2)."""
        wish = {"grant_type": "client_credentials", "client_id": self.client_id}
        if self.scopes:
            wish["scope"] = " ".join(self.scopes)
        if self.resource is not None:
            wish["resource"] = self.resource
        return wish


def connect(cert: Path, key: Path | None, ca: Path | None) -> httpx.Client:
    """A client that shows the certificate. Raises Unreachable when a file cannot be used."""
    context = ssl.create_default_context()
    if ca is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(ca)
        except (OSError, ssl.SSLError) as error:
            raise Unreachable(f"{ca}: expected PEM certificates of a CA: {_reason(error)}") from error
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        files = f"{cert} and {key}" if key is not None else str(cert)
        raise Unreachable(f"{files}: expected a PEM certificate and its private key: {_reason(error)}") from error
    return httpx.Client(verify=context, timeout=TIMEOUT, trust_env=False)


def discover(client: httpx.Client, issuer: str) -> str:
    """The token endpoint for certificates, as the issuer's metadata names it (RFC 8705 section 5). Raises Unreachable."""
    parts = urlsplit(issuer)
    url = f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path.rstrip('/')}"
    metadata = _json(_send(client, "GET", url), url)
    if metadata.get("issuer") != issuer.rstrip("/"):
        raise Unreachable(f"{url}: expected issuer {issuer!r}, found {metadata.get('issuer')!r}")
    endpoint = (metadata.get("mtls_endpoint_aliases") or {}).get("token_endpoint") or metadata.get("token_endpoint")
    if not isinstance(endpoint, str):
        raise Unreachable(f"{url}: expected token_endpoint, found none")
    return endpoint


def fetch(client: httpx.Client, endpoint: str, wish: TokenWish) -> dict[str, Any]:
    """The token response. Raises TokenRefused, Unreachable."""
    response = _send(client, "POST", endpoint, data=wish.form())
    answer = _json(response, endpoint)
    if response.status_code == 200 and isinstance(answer.get("access_token"), str):
        return answer
    code, text = answer.get("error", f"status {response.status_code}"), answer.get("error_description", "")
    raise TokenRefused(f"{code}: {text}" if text else str(code))


def call(client: httpx.Client, url: str, token: str) -> httpx.Response:
    """GET with the token (RFC 6750 section 2.1). Raises Unreachable."""
    return _send(client, "GET", url, headers={"Authorization": f"Bearer {token}"})


def _send(client: httpx.Client, method: str, url: str, **arguments: Any) -> httpx.Response:
    if urlsplit(url).scheme != "https":
        raise Unreachable(f"{url}: expected an https URL")
    try:
        return client.request(method, url, **arguments)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unreachable(f"{url}: {error}") from error


def _json(response: httpx.Response, url: str) -> dict[str, Any]:
    try:
        value = response.json()
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Unreachable(f"{url}: expected a JSON object, found status {response.status_code} and something else")
    return value


def _reason(error: OSError) -> str:
    # ssl.SSLError is an OSError whose strerror is the useful part; a wrong key has none.
    return error.strerror or str(error) or type(error).__name__
