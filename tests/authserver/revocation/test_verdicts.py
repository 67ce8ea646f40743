"""What `tls_client_auth` remembers and for how long, and that its explanation is its judgement."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from cryptography import x509

from holdfast.oauth.errors import InvalidClient, OAuthError
from holdfast.oauth.refusal import Refusal
from holdfast.policy.evaluate import evaluate_client
from holdfast.policy.model import AllowedSubjects, DnMatching, EffectivePolicy, RevocationMode
from holdfast.x509.chain import check_trust_anchor
from holdfast.x509.constraints import leaves_open
from holdfast.x509.revocation_list import RevocationList
from holdfast.x509.revocation_standing import RevocationLists
from holdfast.x509.subject import SubjectKind, parse_subject_rule
from holdfast_authserver.client_authentication.presented import PresentedCredentials
from holdfast_authserver.client_authentication.revocation_files import RevocationFiles
from holdfast_authserver.client_authentication.revocation_source import RevocationSource
from holdfast_authserver.client_authentication.tls_client_auth import TlsClientAuth, explain
from holdfast_authserver.client_authentication.tls_judgement import judge
from holdfast_authserver.registry.snapshot import ServedClient, Snapshot
from holdfast_authserver.transport.presented import PresentedChain
from tests.authserver.running import POLICY, client, spiffe_id
from tests.core.x509.authority import DAY, NOW, Authority, Issued
from tests.core.x509.lists import revocation_list

CA = Authority.root("CN=Workloads Root")
URI = spiffe_id("shop.orders")
SKEW = timedelta(seconds=5)


def served(*anchors: Authority, policy: EffectivePolicy = POLICY, **changes: Any) -> ServedClient:
    metadata = replace(client(anchors=anchors or (CA,)), **changes)
    certificates = tuple(a.certificate for a in anchors or (CA,))
    return ServedClient(metadata, policy, evaluate_client(metadata, policy), certificates, NOW)


def presented(issued: Issued) -> PresentedCredentials:
    ders = tuple(c.der for c in (issued.certificate, *issued.chain))
    return PresentedCredentials("shop.orders", (), PresentedChain(ders))


class Served:
    """A method over a snapshot that a test replaces, with what it told the audit log."""

    def __init__(self, files: tuple[Path, ...] = ()) -> None:
        empty: MappingProxyType[str, Any] = MappingProxyType({})
        self.snapshot = Snapshot(1, "i", NOW, empty, True, empty)
        self.told: list[dict[str, object]] = []
        source = RevocationSource(RevocationFiles(files))
        self.method = TlsClientAuth(lambda: self.snapshot, source, self._record, skew=SKEW)

    def _record(self, event: str, decision: str, **members: object) -> None:
        self.told.append({"event": event, **members})

    def change(self, **changes: Any) -> None:
        self.snapshot = replace(self.snapshot, revision=self.snapshot.revision + 1, **changes)

    async def accepts(self, asker: ServedClient, issued: Issued, at: datetime = NOW) -> bool:
        try:
            await self.method.verify(asker, presented(issued), at)
        except InvalidClient:
            return False
        return True


async def test_a_change_of_the_registry_that_is_none_of_its_business_leaves_a_verdict() -> None:
    """The set of denied certificates comes anew with each snapshot, equal to the one before (E-03)."""
    house, asker, issued = Served(), served(), CA.issue(uris=[URI])
    denied = ["a" * 43, "b" * 43]
    house.change(denied_thumbprints=frozenset(denied))
    assert await house.accepts(asker, issued)
    verdicts = dict(house.method._verdicts)

    house.change(denied_thumbprints=frozenset(denied))
    assert await house.accepts(asker, issued)

    assert all(house.method._verdicts[key] is verdict for key, verdict in verdicts.items())


async def test_a_refusal_is_a_new_error_each_time() -> None:
    """One that was kept would keep the request that first saw it."""
    house, asker, issued = Served(), served(), Authority.root("CN=Other").issue(uris=[URI])
    errors = []
    for _ in range(2):
        with pytest.raises(InvalidClient) as refused:
            await house.method.verify(asker, presented(issued), NOW)
        errors.append(refused.value)

    assert errors[0] is not errors[1]
    assert (errors[0].detail, errors[0].reason) == (errors[1].detail, errors[1].reason)
    assert errors[0].reason is Refusal.NO_PATH


REASONS: list[tuple[Refusal, Callable[[], Issued]]] = [
    (Refusal.CERTIFICATE_EXPIRED, lambda: CA.issue(uris=[URI], not_before=NOW - 2 * DAY, not_after=NOW - DAY)),
    (Refusal.SUBJECT_MISMATCH, lambda: CA.issue(uris=["urn:another"])),
    (Refusal.NO_PATH, lambda: CA.issue(uris=[URI], ca=True)),
    (Refusal.CERTIFICATE_MALFORMED, lambda: replace(CA.issue(uris=[URI]), chain=(CA.certificate,) * 9)),
]


@pytest.mark.parametrize(("reason", "make"), REASONS, ids=[r[0] for r in REASONS])
async def test_a_refusal_has_its_reason(reason: Refusal, make: Callable[[], Issued]) -> None:
    with pytest.raises(InvalidClient) as refused:
        await Served().method.verify(served(), presented(make()), NOW)

    assert refused.value.reason is reason


async def test_an_unknown_standing_is_told_again_after_a_minute_and_not_for_each_request() -> None:
    """Soft-fail (M-22)."""
    house = Served()
    asker, issued = served(policy=replace(POLICY, revocation=RevocationMode.SOFT_FAIL)), CA.issue(uris=[URI])
    for seconds in (0, 30, 60, 61, 100):
        assert await house.accepts(asker, issued, NOW + timedelta(seconds=seconds))

    assert [told["event"] for told in house.told] == ["revocation.unknown"] * 2


async def test_a_list_is_parsed_once_however_often_the_snapshot_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A big list costs once, not once for each write to the registry (M-83)."""
    house = Served()
    asker, issued = served(policy=replace(POLICY, revocation=RevocationMode.HARD_FAIL)), CA.issue(uris=[URI])
    der = revocation_list(CA)
    parsed: list[int] = []
    read = RevocationList.from_der

    def counted(der: bytes) -> RevocationList:
        parsed.append(1)
        return read(der)

    monkeypatch.setattr(RevocationList, "from_der", counted)
    for _ in range(3):
        house.change(revocation_lists=(bytes(bytearray(der)),))
        assert await house.accepts(asker, issued)

    assert parsed == [1]


async def test_a_list_of_the_registry_that_cannot_be_read_takes_the_others_not_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Named in the log (M-22)."""
    house = Served()
    asker, issued = served(policy=replace(POLICY, revocation=RevocationMode.HARD_FAIL)), CA.issue(uris=[URI])
    house.change(revocation_lists=(b"\x30\x00", revocation_list(CA, [issued.certificate])))

    assert not await house.accepts(asker, issued)
    assert "one of the registry" in caplog.text


async def test_a_list_of_a_hundred_thousand_entries_does_not_hold_the_loop_up() -> None:
    """Read in a thread, while the loop goes on; afterwards a verdict costs what it did (M-83)."""
    numbers = random.Random(3)
    serials = [numbers.getrandbits(100) | 1 << 99 for _ in range(100_000)]
    der = await asyncio.to_thread(revocation_list, CA, serials, reason=None)
    house, issued = Served(), CA.issue(uris=[URI])
    asker = served(policy=replace(POLICY, revocation=RevocationMode.HARD_FAIL))
    house.change(revocation_lists=(der,))
    pauses, stop = [0.0], asyncio.Event()

    async def watch() -> None:
        while not stop.is_set():
            begun = time.perf_counter()
            await asyncio.sleep(0.001)
            pauses.append(time.perf_counter() - begun)

    watching = asyncio.create_task(watch())
    assert await house.accepts(asker, issued)
    stop.set()
    await watching

    assert max(pauses) < 0.5, f"the loop stood still for {max(pauses):.3f} s"


def everything() -> list[tuple[str, ServedClient, Issued, frozenset[str], tuple[bytes, ...]]]:
    """Each way in which a certificate is accepted or refused."""
    good, none, middle = CA.issue(uris=[URI]), frozenset[str](), CA.intermediate()
    names = (AllowedSubjects(distinguished_names=("O=Example",)),)
    exact = replace(POLICY, allowed_subjects=names, dn_matching=DnMatching.EXACT)
    by_dn = served(policy=exact, subject=parse_subject_rule(SubjectKind.DN, "CN=orders,O=Example"))
    hard, soft = (served(policy=replace(POLICY, revocation=m)) for m in (RevocationMode.HARD_FAIL, RevocationMode.SOFT_FAIL))
    short = served(policy=replace(POLICY, max_certificate_duration=60))
    elsewhere = served(policy=replace(POLICY, allowed_anchors=(frozenset({"00" * 32}),)))
    thumbprint = frozenset({good.certificate.x5t_s256})
    return [
        ("good", served(), good, none, ()),
        ("foreign", served(), Authority.root("CN=Other").issue(uris=[URI]), none, ()),
        ("subject", served(), CA.issue(uris=["urn:x"]), none, ()),
        ("ca", served(), CA.issue(uris=[URI], ca=True), none, ()),
        ("long", short, good, none, ()),
        ("anchor", elsewhere, good, none, ()),
        ("denied", served(), good, thumbprint, ()),
        ("denied middle", served(), middle.issue(uris=[URI]), frozenset({middle.certificate.x5t_s256}), ()),
        ("exact", by_dn, CA.issue("CN=orders,O=Example"), none, ()),
        ("not exact", by_dn, CA.issue("CN=Orders,O=Example"), none, ()),
        ("revoked", soft, good, none, (revocation_list(CA, [good.certificate]),)),
        ("not revoked", hard, good, none, (revocation_list(CA),)),
        ("unknown", hard, good, none, ()),
        ("unknown, soft", soft, good, none, ()),
        ("too many", served(), replace(good, chain=(CA.certificate,) * 9), none, ()),
        ("expired", served(), CA.issue(uris=[URI], not_before=NOW - 2 * DAY, not_after=NOW - DAY), none, ()),
        ("no subject rule", served(subject=None), good, none, ()),
    ]


CASES = everything()


@pytest.mark.parametrize("case", CASES, ids=[c[0] for c in CASES])
def test_an_explanation_says_no_exactly_where_the_judgement_does(case: Any) -> None:
    """And names the rule with what was expected and seen."""
    _, asker, issued, denied, ders = case
    lists = RevocationLists.of(map(RevocationList.from_der, ders))
    chain = tuple(c.der for c in (issued.certificate, *issued.chain))
    try:
        judge(asker, chain, at=NOW, skew=SKEW, denied=denied, lists=lists)
        accepted = True
    except OAuthError:
        accepted = False
    steps = explain(chain, asker, at=NOW, denied=denied, crls=lists)
    about_certificate = [s for s in steps if s.rule not in ("policy on the registration", "authentication method")]

    assert accepted == all(step.ok is not False for step in about_certificate), steps
    assert all(step.rule and step.expected and step.seen for step in steps)


@pytest.mark.parametrize("ders", [(), (b"",), (b"\x30\x00", b"x")])
def test_an_explanation_of_what_is_no_certificate_is_a_step_that_failed(ders: tuple[bytes, ...]) -> None:
    steps = explain(ders, served(), at=datetime.now(UTC), denied=frozenset(), crls=RevocationLists.of(()))

    assert [step.rule for step in steps if step.ok is False] == ["the certificates can be read"]


def test_a_ca_that_is_constrained_on_other_names_only_is_remarked() -> None:
    """Nothing keeps it from certifying any DN or URI, and validation lets it; the explanation says so (Y-08)."""
    ca = Authority.root("CN=DNS only", constraints=x509.NameConstraints([x509.DNSName("shop.example")], None))
    check_trust_anchor(ca.certificate)
    issued = ca.issue(uris=[URI])
    chain = (issued.certificate.der,)
    steps = explain(chain, served(ca), at=NOW, denied=frozenset(), crls=RevocationLists.of(()))

    assert leaves_open(ca.certificate, SubjectKind.URI)
    assert leaves_open(ca.certificate, SubjectKind.DN)
    assert not leaves_open(ca.certificate, SubjectKind.DNS)
    assert not leaves_open(CA.certificate, SubjectKind.DN)
    assert [step.seen for step in steps if step.rule == "name constraints"] == [
        "CN=DNS only: constrained on other kinds only"
    ]
    assert all(step.ok is not False for step in steps), steps
