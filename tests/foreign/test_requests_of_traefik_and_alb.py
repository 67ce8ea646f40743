"""Requests of terminators that do not run here, Traefik and AWS ALB, in the form that their vendors document.

Traefik: `passTLSClientCert` with `pem: true` of version 3. AWS: verify mode of an Application Load Balancer. The
certificates are new in each run, so that their dates hold; everything else stands as it is sent.
"""

import base64
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from tests.authserver.running import RunningServer
from tests.authserver.transport.forwarded_server import ask, forwarding, thumbprint_of
from tests.authserver.transport.forwarding import Header
from tests.core.x509.authority import Authority, Issued

RECIPE = Path(__file__).parents[2] / "docs" / "recipes" / "traefik.yaml"


def by_traefik(issued: Issued | None) -> list[Header]:
    """Empty where `passTLSClientCert` found no certificate and the recipe's first middleware removed a caller's header."""
    headers = [
        ("X-Forwarded-For", "192.0.2.7"),
        ("X-Forwarded-Host", "mtls.example.com"),
        ("X-Forwarded-Port", "9443"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Server", "traefik-7d8f"),
        ("X-Real-Ip", "192.0.2.7"),
        ("Accept-Encoding", "gzip"),
    ]
    if issued is not None:
        certificates = (issued.certificate, *issued.chain)
        headers.append(("X-Forwarded-Tls-Client-Cert", ",".join(base64.b64encode(c.der).decode() for c in certificates)))
    return headers


def by_alb(issued: Issued | None) -> list[Header]:
    headers = [
        ("X-Forwarded-For", "192.0.2.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Port", "9443"),
        ("X-Amzn-Trace-Id", "Root=1-67891233-abcdef012345678912345678"),
    ]
    if issued is not None:
        certificate = issued.certificate
        headers += [
            ("X-Amzn-Mtls-Clientcert-Serial-Number", f"{certificate.serial_number:X}"),
            ("X-Amzn-Mtls-Clientcert-Issuer", certificate.issuer.text),
            ("X-Amzn-Mtls-Clientcert-Subject", certificate.subject.text),
            ("X-Amzn-Mtls-Clientcert-Validity", "NotBefore=2030-01-01T00:00:00Z;NotAfter=2030-02-01T00:00:00Z"),
            ("X-Amzn-Mtls-Clientcert-Leaf", quote(issued.cert_pem.decode(), safe="+=/-")),
        ]
    return headers


SENT_BY = {"TraefikPEM": by_traefik, "ALBLeaf": by_alb}


@pytest.mark.parametrize("form", SENT_BY)
async def test_their_requests_get_a_token_that_is_bound_to_the_callers_certificate(tmp_path: Path, form: str) -> None:
    """Whatever they send beside it (C-07, M-76)."""
    async with forwarding(tmp_path, form) as server:
        certificate = server.certificate()
        answer = await ask(server, SENT_BY[form](certificate))

        assert answer.status == 200, answer.json
        assert thumbprint_of(answer.json["access_token"]) == certificate.certificate.x5t_s256


@pytest.mark.parametrize("form", SENT_BY)
async def test_their_requests_without_a_certificate_or_with_a_foreign_one_are_refused(tmp_path: Path, form: str) -> None:
    """Also where the vendor calls it verified (C-05, C-07)."""
    async with forwarding(tmp_path, form) as server:
        for certificate in (None, _foreign(server), server.certificate("shop.cart")):
            answer = await ask(server, SENT_BY[form](certificate))
            assert (answer.status, answer.json["error"]) == (401, "invalid_client")


def _foreign(server: RunningServer) -> Issued:
    return Authority.root("CN=Workloads Root").issue(uris=["spiffe://cluster.local/ns/shop/sa/orders"])


@pytest.mark.parametrize("name", ["X-Amzn-Mtls-Clientcert", "X-Amzn-Mtls-Clientcert-Chain"])
async def test_the_header_of_albs_passthrough_mode_is_another_one(tmp_path: Path, name: str) -> None:
    """One format, one name (C-06)."""
    async with forwarding(tmp_path, "ALBLeaf") as server:
        value = quote(server.certificate().chain_pem.decode(), safe="+=/-")

        assert (await ask(server, [(name, value)])).status == 401


def test_the_recipe_of_traefik_removes_a_callers_header_before_it_sets_its_own() -> None:
    """Traefik leaves it in place where there is no certificate (C-06)."""
    recipe = yaml.safe_load(RECIPE.read_text())
    [router] = recipe["http"]["routers"].values()
    first, second = (recipe["http"]["middlewares"][name] for name in router["middlewares"])

    assert first == {"headers": {"customRequestHeaders": {"X-Forwarded-Tls-Client-Cert": ""}}}
    assert second == {"passTLSClientCert": {"pem": True}}
    assert recipe["tls"]["options"][router["tls"]["options"]]["clientAuth"] == {"clientAuthType": "RequestClientCert"}
