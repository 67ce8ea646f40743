"""The judgement of `tls_client_auth` as steps for people: rule, expected, seen; past the first refusal.

Owns the words. Each step asks the function that judges (see `tls_judgement`), so that the two cannot differ: when no step
says no, the certificate is accepted, and the other way round. Pure.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta

from holdfast.policy.model import RevocationMode
from holdfast.x509.certificate import Certificate, CertificateError, PeerCertificate
from holdfast.x509.constraints import leaves_open
from holdfast.x509.explain import Step, explain_leaf, explain_path
from holdfast.x509.revocation_standing import RevocationLists, Revoked, Unknown
from holdfast.x509.subject import SubjectMismatch, shown
from holdfast_authserver.client_authentication import tls_judgement
from holdfast_authserver.registry.snapshot import ServedClient

DEFAULT_SKEW = timedelta(seconds=5)
_METHOD = "tls_client_auth"


def explain(
    peer_ders: Sequence[bytes],
    client: ServedClient,
    *,
    at: datetime,
    denied: Collection[str],
    crls: RevocationLists,
    skew: timedelta = DEFAULT_SKEW,
) -> tuple[Step, ...]:
    """Every rule for these certificates (DER, leaf first) as this client's, at this moment. Never raises."""
    return (*_client_steps(client), *_certificate_steps(peer_ders, client, at, denied, crls, skew), _policy_step(client))


def _client_steps(client: ServedClient) -> Iterator[Step]:
    method = client.metadata.token_endpoint_auth_method
    yield Step("authentication method", _METHOD, method, method == _METHOD)
    suspended = client.metadata.suspended
    yield Step("the client is served", "not suspended", "suspended" if suspended else "not suspended", not suspended)


def _policy_step(client: ServedClient) -> Step:
    decision = client.decision
    seen = "allowed" if decision.allowed else f"{decision.reason}: {decision.message}"
    return Step("policy on the registration", "allowed", seen, decision.allowed)


def _certificate_steps(
    ders: Sequence[bytes],
    client: ServedClient,
    at: datetime,
    denied: Collection[str],
    lists: RevocationLists,
    skew: timedelta,
) -> Iterator[Step]:
    readable = "X.509 certificates in DER, the leaf first"
    try:
        peer = tls_judgement.read_peer(ders)
    except (CertificateError, ValueError) as error:
        yield Step("the certificates can be read", readable, str(error) or "nothing", False)
        return
    yield Step("the certificates can be read", readable, f"{len(ders)}, the leaf is {peer.leaf.x5t_s256}", True)
    rules = tls_judgement.rules_of(client.policy)
    yield from explain_leaf(peer.leaf, rules)
    anchors = tls_judgement.usable_anchors(client)
    yield _anchors_step(client, anchors)
    path, steps = explain_path(peer, anchors, at=tls_judgement.moment(peer, at, skew), rules=rules)
    yield from steps
    yield _denied_step(path or (peer.leaf,), denied)
    yield _subject_step(client, peer)
    yield from _gap_steps(client, path)
    yield _revocation_step(client.policy.revocation, path, lists, at, skew)


def _anchors_step(client: ServedClient, usable: tuple[Certificate, ...]) -> Step:
    entries = len(client.policy.allowed_anchors)
    expected = "at least one of the client's" + (f" that all {entries} policies that name anchors allow" if entries else "")
    return Step("trust anchors", expected, f"{len(usable)} of {len(client.anchors)}", bool(usable))


def _denied_step(path: Sequence[Certificate], denied: Collection[str]) -> Step:
    hit = [c.x5t_s256 for c in path if c.x5t_s256 in denied]
    return Step("denied certificates", f"none of the {len(denied)} that are denied", ", ".join(hit) or "none", not hit)


def _subject_step(client: ServedClient, peer: PeerCertificate) -> Step:
    rule = client.metadata.subject
    if rule is None:
        return Step("subject", "a subject rule", "the client has none", False)
    expected = f"{rule.kind} {rule.value!r}, compared as {client.policy.dn_matching}" if rule.kind == "dn" else (
        f"{rule.kind} {rule.value!r}"
    )  # fmt: skip
    try:
        tls_judgement.check_subject(client, peer.leaf)
    except SubjectMismatch as error:
        return Step("subject", expected, "; ".join(error.reasons), False)
    return Step("subject", expected, shown(peer.leaf, rule.kind), True)


def _gap_steps(client: ServedClient, path: Sequence[Certificate]) -> Iterator[Step]:
    """A remark, no refusal: a CA that is constrained on other kinds of names may certify any name of this one (Y-08)."""
    rule = client.metadata.subject
    open_ones = [ca.subject.text[:120] for ca in path[1:] if rule is not None and leaves_open(ca, rule.kind)]
    if rule is not None and open_ones:
        seen = f"{', '.join(open_ones)}: constrained on other kinds only"
        yield Step("name constraints", f"remark: whether a constrained CA is constrained on {rule.kind}", seen, None)


def _revocation_step(
    mode: RevocationMode, path: Sequence[Certificate], lists: RevocationLists, at: datetime, skew: timedelta
) -> Step:
    expected = {
        RevocationMode.DISABLED: "not asked for (Disabled)",
        RevocationMode.SOFT_FAIL: "on no revocation list (SoftFail)",
        RevocationMode.HARD_FAIL: "on no revocation list, and a current one for every issuer (HardFail)",
    }[mode]
    if mode is RevocationMode.DISABLED or not path:
        return Step("revocation", expected, "not looked up", None)
    standing = lists.standing(path, at=at, skew=skew)
    if isinstance(standing, Revoked):
        return Step("revocation", expected, str(standing), False)
    if isinstance(standing, Unknown):
        return Step("revocation", expected, standing.reason, mode is RevocationMode.SOFT_FAIL)
    return Step("revocation", expected, f"not listed, until {standing.until:%Y-%m-%dT%H:%M:%SZ}", True)
