"""RFC 8705 section 2.1 under a policy: what it may ask of certificates beyond a path, and certificates it denies."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from holdfast.policy.model import AllowedSubjects, DnMatching
from holdfast.x509.subject import SubjectKind, parse_subject_rule
from tests.authserver.running import POLICY, RunningServer, client, spiffe_id, token_form
from tests.core.x509.authority import NOW, Authority, Issued
from tests.rfc8705.expectations import assert_failed_authentication

pytestmark = pytest.mark.asyncio(loop_scope="module")
CLIENT_ID = "shop.ruled"
URI = spiffe_id(CLIENT_ID)
NAMES = (AllowedSubjects(distinguished_names=("O=Example",)),)
Make = Callable[[Authority], Issued]


async def _ask(server: RunningServer, certificate: Issued) -> int:
    response = await server.token(certificate, CLIENT_ID)
    if response.status_code != 200:
        assert_failed_authentication(response)
    return response.status_code


RULES: list[Any] = [
    pytest.param({"min_ec_bits": 384}, lambda ca: ca.issue(uris=[URI]), id="EC of 256 bits"),
    pytest.param(
        {"min_rsa_bits": 3072}, lambda ca: ca.issue(uris=[URI], key=rsa.generate_private_key(65537, 2048)), id="RSA of 2048"
    ),
    pytest.param(
        {"max_certificate_duration": 3600},
        lambda ca: ca.issue(uris=[URI], not_before=NOW, not_after=NOW + timedelta(seconds=3601)),
        id="a second too long",
    ),
    pytest.param({"require_client_auth_usage": True}, lambda ca: ca.issue(uris=[URI], client_auth=False), id="no usage"),
]


@pytest.mark.parametrize(("rule", "make"), RULES)
async def test_a_rule_of_the_policy_holds_from_the_next_request_on(
    server: RunningServer, rule: dict[str, Any], make: Make
) -> None:
    """Accepted before the rule, refused under it (M-18, M-24)."""
    certificate = make(server.ca)
    await server.put(client(CLIENT_ID, anchors=[server.ca]))
    assert await _ask(server, certificate) == 200

    await server.put(client(CLIENT_ID, anchors=[server.ca]), replace(POLICY, **rule))

    assert await _ask(server, certificate) == 401


async def test_what_keeps_the_rules_is_accepted_under_all_of_them(server: RunningServer) -> None:
    """The other side of every refusal above (M-18, M-24)."""
    rules: dict[str, Any] = {"min_ec_bits": 384, "max_certificate_duration": 3600, "require_client_auth_usage": True}
    ca = Authority.root("CN=Strong", key=ec.generate_private_key(ec.SECP384R1()))
    await server.put(client(CLIENT_ID, anchors=[ca]), replace(POLICY, **rules))
    key = ec.generate_private_key(ec.SECP384R1())

    assert await _ask(server, ca.issue(uris=[URI], key=key, not_before=NOW, not_after=NOW + timedelta(hours=1))) == 200


@pytest.mark.parametrize(
    ("matching", "dn", "status"),
    [
        (DnMatching.STANDARD, "CN=ORDERS,O=example", 200),
        (DnMatching.EXACT, "CN=ORDERS,O=example", 401),
        (DnMatching.EXACT, "CN=orders,O=Example", 200),
    ],
)
async def test_a_policy_may_have_names_compared_exactly(
    server: RunningServer, matching: DnMatching, dn: str, status: int
) -> None:
    """`Exact` reads names the same way and admits nobody whom `Standard` does not (M-14)."""
    policy = replace(POLICY, allowed_subjects=NAMES, dn_matching=matching)
    rule = parse_subject_rule(SubjectKind.DN, "cn = orders , O=Example")
    await server.put(client(CLIENT_ID, anchors=[server.ca], subject=rule), policy)

    assert await _ask(server, server.ca.issue(dn)) == status


async def test_an_anchor_that_a_policy_leaves_out_does_not_count(server: RunningServer) -> None:
    """Every policy that names anchors has to name it; the other anchors of the client go on counting (M-80)."""
    other = Authority.root("CN=Other")
    both, mine = {a.certificate.sha256 for a in (server.ca, other)}, {server.ca.certificate.sha256}
    policy = replace(POLICY, allowed_anchors=(frozenset(both), frozenset(mine)))
    await server.put(client(CLIENT_ID, anchors=[server.ca, other]), policy)

    assert await _ask(server, server.ca.issue(uris=[URI])) == 200
    assert await _ask(server, other.issue(uris=[URI])) == 401


@pytest.mark.parametrize("which", ["leaf", "intermediate", "anchor"])
async def test_a_denied_certificate_of_the_path_is_refused_at_once_on_an_open_connection(
    server: RunningServer, which: str
) -> None:
    """Whichever of the path is denied, and with a verdict that was just given (M-22, M-79)."""
    await server.put(client(CLIENT_ID, anchors=[server.ca]))
    middle = server.ca.intermediate()
    issued = middle.issue(uris=[URI])
    denied = {"leaf": issued.certificate, "intermediate": middle.certificate, "anchor": server.ca.certificate}[which]
    async with server.http(issued) as http:
        before = await http.post(server.token_endpoint, data=token_form(CLIENT_ID))
        await server.registry.put_denied_thumbprints(frozenset({denied.x5t_s256}), term=server.term)
        after = await http.post(server.token_endpoint, data=token_form(CLIENT_ID))
        await server.registry.put_denied_thumbprints(frozenset(), term=server.term)
        lifted = await http.post(server.token_endpoint, data=token_form(CLIENT_ID))

    assert (before.status_code, lifted.status_code) == (200, 200)
    assert_failed_authentication(after)


async def test_denying_one_certificate_leaves_the_others_of_the_client(server: RunningServer) -> None:
    """A stolen key is denied, the new one works (M-23)."""
    await server.put(client(CLIENT_ID, anchors=[server.ca]))
    stolen, renewed = server.certificate(CLIENT_ID), server.certificate(CLIENT_ID)
    await server.registry.put_denied_thumbprints(frozenset({stolen.certificate.x5t_s256}), term=server.term)

    assert await _ask(server, stolen) == 401
    assert await _ask(server, renewed) == 200
    await server.registry.put_denied_thumbprints(frozenset(), term=server.term)
