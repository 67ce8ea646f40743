"""One fetch of a client's keys, from a real HTTPS server that does what servers should not do."""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from holdfast_authserver.client_authentication.jwks_addresses import AddressRules
from holdfast_authserver.client_authentication.jwks_fetcher import MAX_BODY, FetchError, JwksFetcher
from tests.authserver.client_authentication.credentials import certificate_jwk, jwk, self_signed
from tests.authserver.client_authentication.publisher import Publisher, publishing
from tests.core.x509.authority import Authority, new_key

CA = Authority.root("CN=Private PKI")
LOOPBACK = AddressRules(networks=(ipaddress.ip_network("127.0.0.0/8"),))
KEYS = {"keys": [certificate_jwk(self_signed())]}


@pytest_asyncio.fixture
async def publisher() -> AsyncIterator[Publisher]:
    """Under a certificate for 127.0.0.1 and keys.localhost, but not for localhost."""
    async with publishing(CA, dns=("keys.localhost",)) as started:
        yield started


def _fetcher(folder: Path, *, rules: AddressRules = LOOPBACK, timeout: float = 5, ca: Authority = CA) -> JwksFetcher:
    (folder / "ca.pem").write_bytes(ca.pem)
    return JwksFetcher(rules, timeout=timeout, ca_file=folder / "ca.pem")


async def test_a_set_is_fetched_with_how_long_it_may_be_kept(publisher: Publisher, tmp_path: Path) -> None:
    """(M-42)"""
    url = publisher.publish("/keys", KEYS, cache_control="public, max-age=120")
    fetched = await _fetcher(tmp_path).fetch(url)

    assert len(fetched.keys) == 1
    assert fetched.skipped == ()
    assert fetched.max_age == 120
    assert f"host: 127.0.0.1:{publisher.port}".encode() in publisher.headers[0].lower()


@pytest.mark.parametrize(
    ("header", "seconds"), [("no-store", 0), ("no-cache, max-age=9", 0), ("s-maxage=7", None), ("", None)]
)
async def test_cache_control_is_read_as_http_has_it(
    publisher: Publisher, tmp_path: Path, header: str, seconds: int | None
) -> None:
    url = publisher.publish("/keys", KEYS, cache_control=header)

    assert (await _fetcher(tmp_path).fetch(url)).max_age == seconds


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/", "https://user@127.0.0.1/", "https://127.0.0.1/#x", "https:///x", "https://[", "ftp://x/", ""],
)
async def test_m42_only_https_urls_are_fetched(tmp_path: Path, url: str) -> None:
    """(M-42)"""
    with pytest.raises(FetchError, match="https URL"):
        await _fetcher(tmp_path).fetch(url)


async def test_m42_a_redirect_is_not_followed(publisher: Publisher, tmp_path: Path) -> None:
    """(M-42)"""
    elsewhere = publisher.publish("/elsewhere", KEYS)
    url = publisher.publish("/keys", {}, status="302 Found", location=elsewhere)
    with pytest.raises(FetchError, match="expected status 200, found 302"):
        await _fetcher(tmp_path).fetch(url)

    assert publisher.requests == ["/keys"]


@pytest.mark.parametrize("length", [MAX_BODY + 1, 4 * MAX_BODY])
async def test_m42_a_body_that_is_too_large_is_given_up(publisher: Publisher, tmp_path: Path, length: int) -> None:
    """(M-42)"""
    with pytest.raises(FetchError, match=f"at most {MAX_BODY} bytes"):
        await _fetcher(tmp_path).fetch(publisher.publish("/keys", b" " * length))


async def test_m42_a_compressed_body_is_refused(publisher: Publisher, tmp_path: Path) -> None:
    """It could grow without end (M-42)."""
    with pytest.raises(FetchError, match="content encoding"):
        await _fetcher(tmp_path).fetch(publisher.publish("/keys", b"x", content_encoding="gzip"))


async def test_m42_time_is_bounded_as_a_whole(publisher: Publisher, tmp_path: Path) -> None:
    """(M-42)"""
    with pytest.raises(FetchError, match="no answer within"):
        await _fetcher(tmp_path, timeout=0.2).fetch(publisher.hold("/keys"))


@pytest.mark.parametrize(
    "body", [b"", b"no json", b"[" * 100_000, b"[]", b'{"keys":7}', b'{"keys":{}}', b"\xff\xfe", b"9" * 5000]
)
async def test_e01_what_is_no_set_is_an_error_that_says_so(publisher: Publisher, tmp_path: Path, body: bytes) -> None:
    """(E-01)"""
    with pytest.raises(FetchError, match=r"JSON document|no JWK Set"):
        await _fetcher(tmp_path).fetch(publisher.publish("/keys", body))


async def test_m42_the_certificate_has_to_be_of_a_trusted_ca(publisher: Publisher, tmp_path: Path) -> None:
    """(M-42)"""
    with pytest.raises(FetchError, match="CERTIFICATE_VERIFY_FAILED"):
        await _fetcher(tmp_path, ca=Authority.root("CN=Another")).fetch(publisher.publish("/keys", KEYS))


async def test_m42_the_certificate_has_to_be_for_the_name_not_for_the_address(publisher: Publisher, tmp_path: Path) -> None:
    """The address is what is connected to; it is also in the certificate, which does not help (M-42)."""
    publisher.publish("/keys", KEYS)
    with pytest.raises(FetchError, match="CERTIFICATE_VERIFY_FAILED"):
        await _fetcher(tmp_path).fetch(publisher.url("/keys", "localhost"))

    assert publisher.requests == []


async def test_a_changed_ca_file_counts_at_the_next_fetch(publisher: Publisher, tmp_path: Path) -> None:
    """Trust is reloaded without a restart."""
    fetcher = _fetcher(tmp_path, ca=Authority.root("CN=Another"))
    url = publisher.publish("/keys", KEYS)
    with pytest.raises(FetchError):
        await fetcher.fetch(url)
    (tmp_path / "ca.pem").write_bytes(CA.pem + CA.pem)

    assert (await fetcher.fetch(url)).keys


async def test_a_missing_ca_file_is_a_failed_fetch(publisher: Publisher, tmp_path: Path) -> None:
    fetcher = JwksFetcher(LOOPBACK, timeout=5, ca_file=tmp_path / "none.pem")
    with pytest.raises(FetchError, match="FileNotFoundError"):
        await fetcher.fetch(publisher.publish("/keys", KEYS))


async def test_m42_a_name_is_looked_up_once(publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that changes its address between the judgement and the connection gains nothing (M-42)."""
    answers = iter(["127.0.0.1", "127.0.0.9", "127.0.0.9"])
    asked: list[str] = []

    def rebinding(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    publisher.publish("/keys", KEYS)
    rules = AddressRules(networks=(ipaddress.ip_network("127.0.0.1/32"),))
    fetched = await _fetcher(tmp_path, rules=rules).fetch(publisher.url("/keys", "keys.localhost"))

    assert fetched.keys
    assert asked.count("keys.localhost") == 1


async def test_m42_of_several_addresses_only_allowed_ones_are_tried(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the next where the first does not answer (M-42)."""

    def several(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        found = ("169.254.169.254", "127.0.0.77", "127.0.0.1")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", several)
    publisher.publish("/keys", KEYS)

    assert (await _fetcher(tmp_path).fetch(publisher.url("/keys", "keys.localhost"))).keys


async def test_m42_a_name_server_that_never_answers_is_given_up(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And keeps no thread of the loop's own (M-42)."""
    over = threading.Event()

    def stuck(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        over.wait(20)
        raise socket.gaierror("given up")

    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", stuck)
        fetcher = _fetcher(tmp_path, timeout=0.2)
        stuck_ones = await asyncio.gather(
            *(fetcher.fetch("https://never.example/") for _ in range(40)), return_exceptions=True
        )
    assert all(isinstance(error, FetchError) for error in stuck_ones)
    assert (await _fetcher(tmp_path).fetch(publisher.publish("/keys", KEYS))).keys
    over.set()


async def test_m36_keys_without_certificates_are_part_of_the_set(publisher: Publisher, tmp_path: Path) -> None:
    """The methods pick what they can use (M-36)."""
    fetched = await _fetcher(tmp_path).fetch(publisher.publish("/keys", {"keys": [jwk(new_key(), kid="a")]}))

    assert [key.kid for key in fetched.keys] == ["a"]
