"""What policies keep in ConfigMaps and deny, and clients known by keys: from files to a real registry."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from holdfast.oauth.client_metadata import TokenFormat
from holdfast.registry.digest import denials_digest
from holdfast_operator.reconcile.ports import Key, Kind
from tests.core.api.manifests import MANIFESTS, documents
from tests.operator.simulated import condition_of, message_of
from tests.operator.small_house import ORDERS, House, house, manifest, policy_manifest

STOLEN = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
CONFIG_MAP, STRICT = documents(MANIFESTS / "samples" / "mtlspolicy-strict.yaml")
STRICT_KEY = Key(Kind.MTLS_POLICY, "", "strict")
REVOCATION = {"mode": "HardFail", "crls": STRICT["spec"]["certificates"]["revocation"]["crls"]}
HARD_FAIL = policy_manifest("strict", certificates={"revocation": REVOCATION})
LISTS = (x509.load_pem_x509_crl(CONFIG_MAP["data"]["ca.crl"].encode()).public_bytes(Encoding.DER),)


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as found:
        yield found


@pytest.fixture
async def strict(home: House) -> House:
    """A house whose policy pins a CA, brings a CRL and denies a certificate."""
    await home.write("roots.yaml", CONFIG_MAP)
    await home.write("policy.yaml", STRICT)
    await home.settle(STRICT_KEY)
    assert condition_of(await home.status(STRICT_KEY), "Ready") == ("True", "Enforced")
    return home


async def denials(home: House) -> str:
    return (await home.keeper.writer.describe()).denials


def changed(home: House) -> None:
    """As the engine does when an event of the ConfigMap comes."""
    home.reconciler.config_map_changed("platform", "client-roots")


async def test_what_a_policy_denies_and_its_lists_reach_the_registry_in_one_pass(strict: House) -> None:
    assert await denials(strict) not in ("", denials_digest({STOLEN}, ()))
    writes = strict.reconciler.writes

    await strict.reconciler.reconcile(STRICT_KEY)

    assert strict.reconciler.writes == writes


async def test_what_no_policy_denies_any_more_is_taken_out(strict: House) -> None:
    await strict.write("policy.yaml", policy_manifest("strict", certificates={"deniedThumbprints": [STOLEN]}))
    await strict.settle(STRICT_KEY)
    await strict.reconciler.sweep()
    thumbprints_alone = await denials(strict)
    await strict.remove("policy.yaml")
    await strict.reconciler.reconcile(STRICT_KEY)

    assert (thumbprints_alone, await denials(strict)) == (denials_digest({STOLEN}, ()), "")


async def test_lists_are_there_before_a_client_comes_under_hard_fail(home: House) -> None:
    await home.write("roots.yaml", CONFIG_MAP)
    await home.write("policy.yaml", HARD_FAIL)
    await home.write("orders.yaml", manifest())

    await home.settle()  # the client alone

    assert condition_of(await home.status(), "Ready") == ("True", "Ready")
    assert await denials(home) == denials_digest((), LISTS)


async def test_lists_stay_until_no_client_is_under_hard_fail(home: House) -> None:
    await home.write("roots.yaml", CONFIG_MAP)
    await home.write("policy.yaml", HARD_FAIL)
    await home.write("orders.yaml", manifest())
    await home.settle()
    await home.remove("policy.yaml")
    await home.reconciler.reconcile(STRICT_KEY)
    await home.reconciler.reconcile(STRICT_KEY)
    kept = await denials(home)

    await home.settle()
    await home.reconciler.sweep()

    assert (kept, await denials(home)) == (denials_digest((), LISTS), "")


async def test_lists_come_back_with_their_policy(home: House) -> None:
    await home.write("roots.yaml", CONFIG_MAP)
    await home.write("orders.yaml", manifest())
    for _ in range(2):
        await home.write("policy.yaml", HARD_FAIL)
        await home.settle()
        assert await denials(home) == denials_digest((), LISTS)
        await home.remove("policy.yaml")
        await home.settle()
        await home.reconciler.sweep()
        assert await denials(home) == ""


async def test_a_sweep_writes_denials_before_it_confirms(home: House) -> None:
    await home.write("roots.yaml", CONFIG_MAP)
    await home.write("policy.yaml", STRICT)

    await home.reconciler.sweep()

    described = await home.keeper.writer.describe()
    assert (described.confirmed, bool(described.denials)) == (True, True)


async def test_a_config_map_that_is_gone_leaves_the_last_accepted_form_and_its_anchors_in_force(strict: House) -> None:
    before = await denials(strict)
    await strict.remove("roots.yaml")
    changed(strict)
    await strict.settle(STRICT_KEY)
    await strict.write("orders.yaml", manifest())
    await strict.settle()

    assert condition_of(await strict.status(STRICT_KEY), "Accepted") == ("False", "TrustAnchorNotFound")
    assert "platform/client-roots, which does not exist" in message_of(await strict.status(STRICT_KEY), "Accepted")
    assert condition_of(await strict.status(), "Accepted") == ("False", "TrustAnchorNotAllowed")
    assert await denials(strict) == before


async def test_a_new_process_does_not_take_away_lists_that_it_cannot_read(strict: House) -> None:
    before = await denials(strict)
    await strict.remove("roots.yaml")
    successor = strict.another_reconciler("successor")

    await successor.reconcile(STRICT_KEY)
    await successor.sweep()

    assert await denials(strict) == before


@pytest.mark.parametrize(("data", "reason"), [
    ({"ca.crt": CONFIG_MAP["data"]["ca.crt"]}, "RevocationListNotFound"),
    ({**CONFIG_MAP["data"], "ca.crl": "no list"}, "RevocationListInvalid"),
    ({**CONFIG_MAP["data"], "ca.crt": "no certificate"}, "TrustAnchorUnreadable"),
])  # fmt: skip
async def test_a_policy_whose_sources_cannot_be_read_is_not_accepted(home: House, data: Any, reason: str) -> None:
    await home.write("roots.yaml", {**CONFIG_MAP, "data": data})
    await home.write("policy.yaml", STRICT)
    await home.settle(STRICT_KEY)
    await home.write("orders.yaml", manifest())
    await home.settle()

    assert condition_of(await home.status(STRICT_KEY), "Accepted") == ("False", reason)
    assert condition_of(await home.status(), "Accepted") == ("False", "PolicyNotAccepted")
    await home.write("roots.yaml", CONFIG_MAP)
    changed(home)
    await home.settle(STRICT_KEY)
    assert condition_of(await home.status(STRICT_KEY), "Ready") == ("True", "Enforced")


async def test_a_policy_is_not_ready_while_the_server_cannot_be_told_what_it_denies(home: House) -> None:
    await home.write("roots.yaml", CONFIG_MAP)
    await home.write("policy.yaml", STRICT)
    home.line.cut = True
    outcome = await home.reconciler.reconcile(STRICT_KEY)

    assert outcome.retry
    assert condition_of(await home.status(STRICT_KEY), "Ready") == ("False", "RegistryUnavailable")
    home.line.cut = False
    await home.settle(STRICT_KEY)
    assert condition_of(await home.status(STRICT_KEY), "Ready") == ("True", "Enforced")


@pytest.mark.parametrize(("file", "name", "method"), [
    ("oauthclient-self-signed", "scanner", "self_signed_tls_client_auth"),
    ("oauthclient-private-key-jwt", "reports", "private_key_jwt"),
])  # fmt: skip
async def test_a_client_known_by_keys_is_registered_with_them(home: House, file: str, name: str, method: str) -> None:
    await home.write("sample.yaml", *documents(MANIFESTS / "samples" / f"{file}.yaml"))
    key = Key(Kind.OAUTH_CLIENT, "shop", name)
    await home.settle(key)

    stored = await home.keeper.writer.get_client(f"shop.{name}")

    assert condition_of(await home.status(key), "Ready") == ("True", "Ready")
    assert stored is not None
    assert (stored.metadata.token_endpoint_auth_method, stored.metadata.subject) == (method, None)
    assert [jwk.kid for jwk in stored.metadata.jwks or ()] == ["2026-01"]
    assert stored.metadata.trust_anchors == ()


async def test_the_format_of_tokens_is_registered(home: House) -> None:
    await home.write("orders.yaml", manifest(tokens={"format": "Opaque"}))
    await home.settle()

    stored = await home.keeper.writer.get_client("shop.orders")

    assert stored is not None
    assert stored.metadata.token_format is TokenFormat.OPAQUE


async def test_a_private_member_of_a_key_is_told_by_field_and_nothing_is_registered(home: House) -> None:
    jwks = {"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "d": "AA"}]}
    authentication = {"method": "self_signed_tls_client_auth", "jwks": jwks}
    await home.write("orders.yaml", manifest(certificate=None, authentication=authentication))
    await home.settle()

    assert condition_of(await home.status(), "Accepted") == ("False", "InvalidSpec")
    assert "spec.authentication.jwks: keys[0]" in message_of(await home.status(), "Accepted")
    assert await home.registered() == {}


@pytest.mark.parametrize(("certificate", "reason"), [
    ({"duration": "24h"}, "DurationTooLong"),
    ({"renewBefore": "3h"}, "DurationTooLong"),
    ({"privateKey": {"algorithm": "ECDSA", "size": 256}}, "KeyTooSmall"),
])  # fmt: skip
async def test_an_explicit_wish_beyond_a_policy_is_refused(home: House, certificate: Any, reason: str) -> None:
    limits = {"maxDuration": "2h", "minimumKey": {"ecBits": 384}}
    await home.write("policy.yaml", policy_manifest("short", certificates=limits))
    await home.write("orders.yaml", manifest(certificate={"issuerRef": {"name": "workloads"}, **certificate}))
    await home.settle()

    assert condition_of(await home.status(), "Accepted") == ("False", reason)


async def test_defaults_of_a_certificate_give_way_to_policies(home: House) -> None:
    limits = {"maxDuration": "2h", "minimumKey": {"ecBits": 384}}
    await home.write("policy.yaml", policy_manifest("short", certificates=limits))
    await home.write("orders.yaml", manifest())
    await home.settle()

    certificate = await home.cluster.get(Kind.CERTIFICATE, ORDERS.namespace, ORDERS.name)

    assert certificate is not None
    assert condition_of(await home.status(), "Ready") == ("True", "Ready")
    assert (certificate["spec"]["duration"], certificate["spec"]["privateKey"]["size"]) == ("7200s", 384)
