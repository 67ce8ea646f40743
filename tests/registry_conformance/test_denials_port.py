"""Denied certificates and CRLs: put as a whole, for every client, once however often they are put."""

import base64

import pytest

from holdfast.registry.digest import denials_digest
from holdfast.registry.port import RefusalReason, RegistrationRefused, Registry, StaleTerm
from tests.registry_conformance.registrations import authority
from tests.registry_conformance.revocation_lists import a_crl


def thumbprint(octet: int) -> str:
    return base64.urlsafe_b64encode(bytes([octet] * 32)).decode().rstrip("=")


A, B = thumbprint(1), thumbprint(255)


async def test_a_new_registry_denies_nothing(registry: Registry) -> None:
    assert (await registry.describe()).denials == ""


async def test_the_denials_digest_covers_both_sets(registry: Registry, term: int) -> None:
    crl = a_crl(authority(), [17])
    await registry.put_denied_thumbprints(frozenset({A, B}), term=term)
    assert (await registry.describe()).denials == denials_digest([A, B], [])

    await registry.put_revocation_lists((crl,), term=term)
    assert (await registry.describe()).denials == denials_digest([A, B], [crl])

    await registry.put_denied_thumbprints(frozenset({B}), term=term)
    assert (await registry.describe()).denials == denials_digest([B], [crl])

    await registry.put_denied_thumbprints(frozenset(), term=term)
    await registry.put_revocation_lists((), term=term)
    assert (await registry.describe()).denials == ""


async def test_the_same_denials_again_change_nothing(registry: Registry, term: int) -> None:
    crls = (a_crl(authority(), [17]), a_crl(authority("Other"), []))
    await registry.put_denied_thumbprints(frozenset({A}), term=term)
    await registry.put_revocation_lists(crls, term=term)
    before = await registry.describe()

    await registry.put_denied_thumbprints(frozenset({A}), term=term)
    await registry.put_revocation_lists((crls[1], crls[0], crls[0]), term=term)

    assert await registry.describe() == before


async def test_a_change_of_denials_is_a_revision_and_leaves_clients_alone(registry: Registry, term: int) -> None:
    before = await registry.describe()

    await registry.put_denied_thumbprints(frozenset({A}), term=term)

    after = await registry.describe()
    assert after.revision == before.revision + 1
    assert after.digest == before.digest


@pytest.mark.parametrize("value", ["", "abc", "A" * 42, "A" * 42 + "B", "A" * 44, "=" * 43, "A" * 42 + "\n", "Ä" * 43])
async def test_what_is_no_thumbprint_is_refused_with_its_place(registry: Registry, term: int, value: str) -> None:
    await registry.put_denied_thumbprints(frozenset({A}), term=term)
    with pytest.raises(RegistrationRefused) as refused:
        await registry.put_denied_thumbprints(frozenset({A, value}), term=term)

    place = sorted({A, value}).index(value)
    assert refused.value.reason is RefusalReason.INVALID_CLIENT_METADATA
    assert [problem.field for problem in refused.value.problems] == [f"thumbprints[{place}]"]
    assert (await registry.describe()).denials == denials_digest([A], [])


async def test_what_is_no_crl_is_refused_with_its_index(registry: Registry, term: int) -> None:
    good = a_crl(authority(), [17])
    bad = (good, b"", good[:-9], authority().certificate.der, good + b"\0")
    with pytest.raises(RegistrationRefused) as refused:
        await registry.put_revocation_lists(bad, term=term)

    assert refused.value.reason is RefusalReason.INVALID_CLIENT_METADATA
    assert [problem.field for problem in refused.value.problems] == ["crls[1]", "crls[2]", "crls[3]", "crls[4]"]
    assert (await registry.describe()).denials == ""


async def test_denials_of_an_earlier_term_are_refused(registry: Registry, term: int) -> None:
    await registry.open_term("operator-1")

    with pytest.raises(StaleTerm):
        await registry.put_denied_thumbprints(frozenset({A}), term=term)
    with pytest.raises(StaleTerm):
        await registry.put_revocation_lists((a_crl(authority()),), term=term)


async def test_a_thousand_denials_and_a_large_crl_fit(registry: Registry, term: int) -> None:
    many = frozenset(base64.urlsafe_b64encode(i.to_bytes(32, "big")).decode().rstrip("=") for i in range(1000))
    crl = a_crl(authority(), range(1, 5001))

    await registry.put_denied_thumbprints(many, term=term)
    await registry.put_revocation_lists((crl,), term=term)

    assert (await registry.describe()).denials == denials_digest(many, [crl])
