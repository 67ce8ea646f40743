"""RFC 9068: what this server's JWTs hold, for each algorithm, and what an opaque token shows of the same (nothing)."""

import json
from pathlib import Path
from typing import Any

import jwt
import pytest

from holdfast.oauth.client_metadata import TokenFormat
from holdfast.resource_server import Expected, InvalidToken, KeySet, verify
from tests.authserver.running import RunningServer, client, running

pytestmark = pytest.mark.asyncio(loop_scope="module")
REQUIRED = {"iss", "exp", "aud", "sub", "client_id", "iat", "jti"}


async def _token(server: RunningServer, certificate: Any = None, client_id: str = "shop.orders") -> str:
    response = await server.token(certificate or server.certificate(client_id), client_id)
    assert response.status_code == 200, response.text
    return str(response.json()["access_token"])


async def _keys(server: RunningServer) -> bytes:
    async with server.http() as http:
        return (await http.get(f"{server.issuer}/oauth2/jwks")).content


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "PS256", "RS256"])
async def test_a_token_of_each_algorithm_verifies_with_pyjwt_and_with_our_own_library(
    tmp_path: Path, algorithm: str
) -> None:
    """Type, algorithm and key id stand in the header (J-01, J-02)."""
    async with running(tmp_path, signing_algorithms=(algorithm,)) as server:
        await server.put(client(anchors=[server.ca]))
        certificate = server.certificate()
        token, keys = await _token(server, certificate), await _keys(server)

    header = jwt.get_unverified_header(token)
    jwk = next(key for key in json.loads(keys)["keys"] if key["kid"] == header["kid"])
    claims = jwt.decode(token, jwt.PyJWK(jwk), algorithms=[algorithm], audience=server.issuer, issuer=server.issuer)
    assert header == {"alg": algorithm, "typ": "at+jwt", "kid": jwk["kid"]}
    assert set(claims) == REQUIRED | {"scope", "cnf"}
    expected = Expected(issuer=server.issuer, audience=server.issuer)
    at = server.server._clock()
    assert verify(token, certificate.certificate, keys=KeySet.from_json(keys), expected=expected, at=at).jti == claims["jti"]


async def test_scope_and_confirmation_are_left_out_where_there_are_none(server: RunningServer) -> None:
    """The seven others never are (J-02)."""
    await server.put(client("shop.bare", anchors=[server.ca], scopes=()))
    claims = jwt.decode(await _token(server, client_id="shop.bare"), options={"verify_signature": False})

    assert set(claims) == REQUIRED | {"cnf"}
    assert claims["sub"] == claims["client_id"] == "shop.bare"  # J-03


@pytest.mark.parametrize("part", range(3))
async def test_a_jwt_that_is_changed_in_any_part_is_none(server: RunningServer, part: int) -> None:
    """Checked by an API under the published keys (J-05, J-07)."""
    certificate = server.certificate()
    keys, token = KeySet.from_json(await _keys(server)), await _token(server, certificate)
    pieces = token.split(".")
    pieces[part] = pieces[part][:8] + ("A" if pieces[part][8] != "A" else "B") + pieces[part][9:]

    with pytest.raises(InvalidToken):
        verify(
            ".".join(pieces),
            certificate.certificate,
            keys=keys,
            expected=Expected(issuer=server.issuer, audience=server.issuer),
            at=server.server._clock(),
        )


async def test_an_opaque_token_shows_nothing_and_is_no_jwt(server: RunningServer) -> None:
    """Neither client nor scope, and an API that expects a JWT refuses it (J-06)."""
    await server.put(client("shop.opaque", anchors=[server.ca], token_format=TokenFormat.OPAQUE))
    certificate = server.certificate("shop.opaque")
    token = await _token(server, certificate, "shop.opaque")

    assert token.startswith("hfat_")
    assert "." not in token
    assert "shop" not in token
    with pytest.raises(InvalidToken):
        verify(
            token,
            certificate.certificate,
            keys=KeySet.from_json(await _keys(server)),
            expected=Expected(issuer=server.issuer, audience=server.issuer),
            at=server.server._clock(),
        )


async def test_an_opaque_token_is_good_after_a_restart(tmp_path: Path) -> None:
    """Nothing is stored for it; its key is kept (J-08)."""
    async with running(tmp_path) as server:
        await server.put(client(anchors=[server.ca], token_format=TokenFormat.OPAQUE))
        token = await _token(server)
    async with running(tmp_path, ca=server.ca, server_ca=server.server_ca, **server.ports) as again:
        assert (await again.introspect(again.certificate(), token))["active"] is True
