"""URLs of the command line: refused before anything is sent, with the option that gave them.

Owns what an option may hold. Neighbour: `token` asks.
"""

from urllib.parse import urlsplit

import httpx

from holdfast_cli.failure import Failure


def check_https(option: str, url: str) -> None:
    """Raises Failure unless a request can be sent there."""
    if not url.startswith("https://"):
        raise Failure(f"{option}: expected an https URL, found {url!r}")
    try:
        host, port = httpx.URL(url).host, urlsplit(url).port
        # As sockets do it when they look the name up.
        host.encode("idna")
    except (httpx.InvalidURL, ValueError) as error:
        raise Failure(f"{option}: expected an https URL, found {url!r}: {error}") from error
    if not host or port == 0:
        raise Failure(f"{option}: expected an https URL with a host and a port other than 0, found {url!r}")


def check_issuer(option: str, url: str) -> None:
    """Raises Failure also for a query or a fragment, which an issuer has not (RFC 8414 section 2)."""
    check_https(option, url)
    if "?" in url or "#" in url:
        raise Failure(f"{option}: expected an issuer without query and fragment (RFC 8414 section 2), found {url!r}")
