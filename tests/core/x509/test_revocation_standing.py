"""Revocation lists: which one counts for whom, and what it says of a path."""

import datetime as dt
import random
from collections.abc import Sequence
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.x509.certificate import Certificate
from holdfast.x509.revocation_list import MAX_DER, RevocationList, RevocationListError, load_revocation_lists
from holdfast.x509.revocation_standing import Good, RevocationLists, Revoked, Standing, Unknown
from tests.core.x509.authority import DAY, NOW, Authority, key_usage
from tests.core.x509.lists import HOUR, pem, revocation_list

ROOT = Authority.root()
MIDDLE = ROOT.intermediate()
LEAF = MIDDLE.issue("CN=orders", uris=["urn:orders"]).certificate
PATH = (LEAF, MIDDLE.certificate, ROOT.certificate)
CLEAN_ROOT = revocation_list(ROOT)
SKEW = dt.timedelta(seconds=5)


def standing(*ders: bytes, path: Sequence[Certificate] = PATH, at: dt.datetime = NOW) -> Standing:
    return RevocationLists.of(map(RevocationList.from_der, ders)).standing(path, at=at, skew=SKEW)


def reason_of(found: Standing) -> str:
    assert isinstance(found, Unknown), found
    return found.reason


def test_a_path_that_no_list_names_is_good_until_the_first_list_ends() -> None:
    """Every certificate but the anchor has to be covered (M-22)."""
    found = standing(CLEAN_ROOT, revocation_list(MIDDLE, [4711], next_update=NOW + HOUR))

    assert found == Good(NOW + HOUR + SKEW)


def test_a_listed_leaf_is_revoked_and_says_when_and_why() -> None:
    """The verdict holds what an operator asks for (M-22)."""
    found = standing(CLEAN_ROOT, revocation_list(MIDDLE, [1, LEAF, 2]))

    assert isinstance(found, Revoked)
    assert (found.serial, found.date, found.reason) == (LEAF.serial_number, NOW - HOUR, "keyCompromise")
    assert f"{LEAF.serial_number:x}" in str(found)


def test_of_two_lists_as_new_as_each_other_what_either_lists_is_revoked() -> None:
    """A CA that tells of a revocation within the second of its regular list, without numbers (M-22)."""
    clean, listed = revocation_list(MIDDLE), revocation_list(MIDDLE, [LEAF])

    assert isinstance(standing(CLEAN_ROOT, clean, listed), Revoked)
    assert isinstance(standing(CLEAN_ROOT, listed, clean), Revoked)


def test_a_listed_intermediate_revokes_what_is_below_even_where_the_leaf_is_unknown() -> None:
    """Revoked weighs more than unknown (M-22)."""
    found = standing(revocation_list(ROOT, [MIDDLE.certificate], reason=None))

    assert isinstance(found, Revoked)
    assert (found.subject, found.reason) == ("CN=Intermediate", "unspecified")


def test_a_path_of_which_a_part_is_not_covered_is_unknown() -> None:
    """A list of the leaf's issuer alone says nothing of that issuer (M-22)."""
    assert "CN=Root" in reason_of(standing(revocation_list(MIDDLE)))
    assert "there is none" in reason_of(standing())


def test_a_list_signed_by_another_key_of_the_same_name_counts_for_nothing() -> None:
    """An issuer is a key and not a name, in lists as well (M-22, M-81)."""
    twin = Authority.root()

    assert "not by this CA's key" in reason_of(
        standing(revocation_list(twin, [MIDDLE.certificate]), revocation_list(MIDDLE))
    )


def test_a_list_of_another_issuer_is_not_even_looked_at() -> None:
    """A list speaks for the CA that signed it alone (M-22)."""
    stranger = Authority.root("CN=Other")

    assert "there is none" in reason_of(standing(revocation_list(stranger, [MIDDLE.certificate]), revocation_list(MIDDLE)))


PARTIAL: list[tuple[str, list[tuple[x509.ExtensionType, bool]], str]] = [
    ("delta", [(x509.DeltaCRLIndicator(1), True)], "delta"),
    (
        "indirect",
        [(x509.IssuingDistributionPoint(None, None, False, False, None, True, False), True)],
        "issuing distribution point",
    ),
    (
        "user certificates only",
        [(x509.IssuingDistributionPoint(None, None, True, False, None, False, False), True)],
        "issuing distribution point",
    ),
    (
        "unknown and critical",
        [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"), True)],
        "1.3.6.1.4.1.99999.1",
    ),
]


@pytest.mark.parametrize(("extra", "says"), [p[1:] for p in PARTIAL], ids=[p[0] for p in PARTIAL])
def test_a_list_that_covers_a_part_only_is_not_used(extra: list[tuple[x509.ExtensionType, bool]], says: str) -> None:
    """Delta, indirect and partitioned lists are refused with the reason (M-22, RFC 5280 section 5.2)."""
    assert says in reason_of(standing(revocation_list(ROOT, [MIDDLE.certificate], extra=extra), revocation_list(MIDDLE)))


def test_an_extension_that_is_unknown_and_not_critical_is_no_reason() -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")

    assert isinstance(standing(revocation_list(ROOT, extra=[(unknown, False)]), revocation_list(MIDDLE)), Good)


def test_a_critical_extension_of_an_entry_makes_the_list_unusable() -> None:
    """Of another entry as well: the certificate issuer of an indirect list is one (RFC 5280 section 5.3)."""
    other = x509.CertificateIssuer([x509.DirectoryName(x509.Name.from_rfc4514_string("CN=Other"))])
    der = revocation_list(ROOT, [4711], entry_extra=[(other, True)])

    assert "an entry has a critical extension" in reason_of(standing(der, revocation_list(MIDDLE)))


def test_an_issuer_whose_key_usage_leaves_out_crl_sign_signs_no_list() -> None:
    """Key usage counts where there is one (M-22, RFC 5280 section 6.3.3)."""
    usage = key_usage(key_cert_sign=True)
    issued = ROOT.issue("CN=No lists", ca=True, client_auth=False, digital_signature=None, extra=[(usage, True)])
    silent = Authority(issued.certificate, issued.key)
    leaf = silent.issue("CN=x").certificate
    path = (leaf, silent.certificate, ROOT.certificate)

    assert "cRLSign" in reason_of(standing(revocation_list(silent, [leaf]), CLEAN_ROOT, path=path))


@pytest.mark.parametrize(
    ("begins", "ends", "expected"),
    [
        (NOW - DAY, NOW - dt.timedelta(seconds=5), Good),
        (NOW - DAY, NOW - dt.timedelta(seconds=6), Unknown),
        (NOW + dt.timedelta(seconds=5), NOW + DAY, Good),
        (NOW + dt.timedelta(seconds=6), NOW + DAY, Unknown),
    ],
)
def test_a_list_counts_from_its_beginning_to_its_end_and_a_little_skew(
    begins: dt.datetime, ends: dt.datetime, expected: type
) -> None:
    """thisUpdate and nextUpdate (M-22)."""
    found = standing(revocation_list(ROOT, this_update=begins, next_update=ends), path=PATH[1:])

    assert isinstance(found, expected), found


def test_what_a_list_revoked_stays_revoked_when_the_list_has_ended() -> None:
    """Nobody who keeps a newer list away gets a revoked certificate back (M-22)."""
    ended = revocation_list(MIDDLE, [LEAF], this_update=NOW - 2 * DAY, next_update=NOW - DAY)

    assert isinstance(standing(CLEAN_ROOT, ended), Revoked)


def test_the_newest_list_decides() -> None:
    """A certificate on hold comes back with the next list; an older list brought again changes nothing (M-22)."""
    held = revocation_list(MIDDLE, [LEAF], reason=x509.ReasonFlags.certificate_hold, this_update=NOW - DAY, number=1)
    released = revocation_list(MIDDLE, number=2)

    assert isinstance(standing(CLEAN_ROOT, held), Revoked)
    assert isinstance(standing(CLEAN_ROOT, released, held), Good)


def test_of_two_lists_of_one_moment_the_higher_number_decides() -> None:
    lists = [revocation_list(MIDDLE, [LEAF], number=7), revocation_list(MIDDLE, number=6)]

    assert isinstance(standing(CLEAN_ROOT, *lists), Revoked)
    assert isinstance(standing(CLEAN_ROOT, *reversed(lists)), Revoked)


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()])
def test_lists_of_each_kind_of_key_are_read(key: Any) -> None:
    ca = Authority.root("CN=Signer", key=key)
    leaf = ca.issue("CN=x").certificate

    assert isinstance(standing(revocation_list(ca, [leaf]), path=(leaf, ca.certificate)), Revoked)
    assert isinstance(standing(revocation_list(ca, [5]), path=(leaf, ca.certificate)), Good)


@given(st.sets(st.integers(1, 2**159 - 1), min_size=1, max_size=30), st.integers(1, 2**159 - 1))
@settings(max_examples=50, deadline=None)
def test_a_serial_number_is_found_exactly_when_it_is_listed(serials: set[int], other: int) -> None:
    found = RevocationList.from_der(revocation_list(ROOT, sorted(serials)))

    assert all(found.find(serial) is not None for serial in serials)
    assert (found.find(other) is not None) == (other in serials)


def test_a_serial_number_that_is_only_part_of_other_bytes_is_not_found() -> None:
    """The search through the bytes is a filter, never the answer."""
    inner = 0x0102030405060708
    outer = int.from_bytes(b"\x11\x02\x08" + inner.to_bytes(8) + b"\x11", "big")
    found = RevocationList.from_der(revocation_list(ROOT, [outer]))

    assert b"\x02\x08" + inner.to_bytes(8) in found.der
    assert found.find(inner) is None


GOOD_DER = revocation_list(MIDDLE, [LEAF], number=3)


def test_pem_holds_one_list_or_several_and_nothing_else() -> None:
    assert [each.der for each in load_revocation_lists(pem(CLEAN_ROOT) + b"\n# text\n" + pem(GOOD_DER))] == [
        CLEAN_ROOT,
        GOOD_DER,
    ]
    assert load_revocation_lists(GOOD_DER)[0].der == GOOD_DER


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a revocation list"),
        (b"\x30\x00", "DER is malformed"),
        (GOOD_DER[:-1], "DER is malformed"),
        (GOOD_DER + b"\0", "DER is malformed"),
        (ROOT.certificate.der, "not a revocation list"),
        (ROOT.pem, "labelled CERTIFICATE"),
        (pem(GOOD_DER)[:-20], "no end"),
        (pem(GOOD_DER) + pem(GOOD_DER)[:60], "no end"),
        (b"-----BEGIN X509 CRL-----\n!!!!\n-----END X509 CRL-----\n", "list 1 of the text"),
        (bytes(MAX_DER + 1), "larger than"),
    ],
)
def test_what_is_no_list_is_refused_and_says_why(data: bytes, says: str) -> None:
    with pytest.raises(RevocationListError, match=says):
        load_revocation_lists(data)


@given(st.binary(max_size=400))
def test_no_bytes_make_a_list_raise_anything_else(data: bytes) -> None:
    with pytest.raises(RevocationListError):
        load_revocation_lists(data)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(GOOD_DER) - 1), st.integers(0, 255))
def test_a_list_with_one_changed_byte_is_unreadable_or_nobodys(at: int, byte: int) -> None:
    """Nothing that the CA did not sign takes part in a verdict."""
    changed = bytearray(GOOD_DER)
    if changed[at] == byte:
        return
    changed[at] = byte
    try:
        found = standing(CLEAN_ROOT, bytes(changed))
    except RevocationListError:
        return
    assert isinstance(found, Unknown), (at, byte, found)


def test_a_list_of_many_entries_is_searched_and_not_walked_through() -> None:
    """A hundred thousand entries cost a verdict about a millisecond; here a tenth of that, by the same way."""
    numbers = random.Random(7)
    serials = [numbers.getrandbits(80) | 1 << 79 for _ in range(10_000)]
    found = RevocationList.from_der(revocation_list(ROOT, serials, reason=None))

    assert found.find(serials[-1]) is not None
    assert all(found.find(serial) is None for serial in range(2**90, 2**90 + 200))
