"""Nothing that must stay secret stands in the audit log, in the process's log, in metrics or in an answer (M-84)."""

import base64
import logging
from pathlib import Path

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.authserver.running import RunningServer, client, running, token_form

PATHS = ("token", "introspect", "revoke")
PASSWORD = "correct-horse-battery-staple"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.mark.parametrize("host", ["mtls", "issuer"])
async def test_no_secret_stands_in_any_log_or_metric(tmp_path: Path, caplog: pytest.LogCaptureFixture, host: str) -> None:
    """Every endpoint, every way to present a secret, taken or refused (M-84, E-01)."""
    for ours in ("holdfast", "holdfast_authserver"):  # the process logs from WARNING on, of libraries as well
        caplog.set_level(logging.DEBUG, logger=ours)
    async with running(tmp_path, ops_port=0, metrics_client_names=True) as server:
        await server.put(client(anchors=[server.ca]))
        certificate = server.certificate()
        pem = certificate.cert_pem.decode()
        token = (await server.token(certificate)).json()["access_token"]
        assertion = jwt.encode({"iss": "shop.orders", "sub": "shop.orders", "aud": server.issuer}, certificate.key, "ES256")
        base = getattr(server, host)
        async with server.http(certificate) as http:
            for path in PATHS:
                await _ask(http, f"{base}/oauth2/{path}", token, assertion, pem)
        metrics = await _metrics(server)
    key = certificate.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    secrets = {
        "token": token,
        "a token's signature": token.rpartition(".")[2],
        "a token's claims": token.split(".")[1],
        "assertion": assertion.rpartition(".")[2],
        "password": PASSWORD,
        "password in Basic": base64.b64encode(f"shop.orders:{PASSWORD}".encode()).decode(),
        "certificate": base64.b64encode(certificate.certificate.der).decode()[40:100],
        "certificate as PEM": "BEGIN CERTIFICATE",
        "key": base64.b64encode(key).decode()[:60],
    }

    told = {"audit log": server.audit_log.read_text(), "log": caplog.text, "metrics": metrics}
    assert len(told["audit log"].splitlines()) > 3 * len(PATHS)
    assert [(place, name) for place, text in told.items() for name, secret in secrets.items() if secret in text] == []


async def _ask(http: httpx.AsyncClient, url: str, token: str, assertion: str, pem: str) -> None:
    form = token_form(token=token)
    by_assertion = {"client_assertion": assertion, "client_assertion_type": JWT_BEARER}
    asked = [
        await http.post(url, data=form),
        await http.post(url, data={**form, "client_secret": PASSWORD}),
        await http.post(url, data=form, auth=("shop.orders", PASSWORD)),
        await http.post(url, data={**form, **by_assertion}),
        await http.post(url, data={"grant_type": "client_credentials", "token": token, **by_assertion}),
        await http.post(url, data={**form, "scope": token, "resource": pem}),
        await http.post(url, data={**form, "token": pem, "x5c": pem}),
        await http.post(url, data=form, headers={"client-cert": f":{pem.replace(chr(10), '')}:", "authorization": token}),
        await http.post(url, content=f"grant_type={token}&grant_type={token}", headers={"content-type": FORM}),
        await http.get(f"{url}?access_token={token}&client_secret={PASSWORD}"),
    ]
    assert [response.status_code for response in asked if response.status_code >= 500] == []


FORM = "application/x-www-form-urlencoded"


async def _metrics(server: RunningServer) -> str:
    async with httpx.AsyncClient() as http:
        return (await http.get("http://{}:{}/metrics".format(*server.server.addresses["ops"]))).text
