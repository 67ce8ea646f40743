"""A judgement of a path in steps that people can read: rule, expected, seen.

Asks the very functions that judge, one at a time and past the first refusal. Pure; neighbours: `leaf`, `chain`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from holdfast.x509.certificate import Certificate, PeerCertificate
from holdfast.x509.chain import build_path, check_path
from holdfast.x509.leaf import LEAF_CHECKS
from holdfast.x509.path_rules import PathError, PathRules


@dataclass(frozen=True, slots=True)
class Step:
    """One rule as it was applied. `ok` None: it was not reached, or has nothing to judge."""

    rule: str
    expected: str
    seen: str
    ok: bool | None


def explain_leaf(leaf: Certificate, rules: PathRules) -> Iterator[Step]:
    """Each check of the leaf itself."""
    for check in LEAF_CHECKS:
        yield Step(check.rule, check.expected(rules), check.seen(leaf), check.flaw(leaf, rules) is None)


def explain_path(
    peer: PeerCertificate, anchors: Sequence[Certificate], *, at: datetime, rules: PathRules
) -> tuple[tuple[Certificate, ...], tuple[Step, Step]]:
    """The path that was found (empty: none), and the two steps of finding and checking it."""
    expected = f"valid at {at:%Y-%m-%d %H:%M:%S} UTC, from the leaf to " + (" or ".join(map(_shown, anchors)) or "nothing")
    strength = (
        f"RSA of {rules.min_rsa_bits} bits, EC of {rules.min_ec_bits}, no MD5, no SHA-1, constraints that can be enforced"
    )
    try:
        path = build_path(peer, anchors, at=at, rules=rules)
    except PathError as error:
        found = Step("path to a trust anchor", expected, error.reason, False)
        return (), (found, Step("keys and signatures of the path", strength, "no path", None))
    found = Step("path to a trust anchor", expected, " < ".join(map(_shown, path)), True)
    return path, (found, attempt("keys and signatures of the path", strength, lambda: check_path(path, rules)))


def attempt(rule: str, expected: str, check: Callable[[], object], seen: str = "as expected") -> Step:
    """A step from a function that raises PathError when it refuses."""
    try:
        check()
    except PathError as error:
        return Step(rule, expected, error.reason, False)
    return Step(rule, expected, seen, True)


def _shown(certificate: Certificate) -> str:
    return f"{certificate.subject.text[:120] or 'no subject'} ({certificate.x5t_s256})"
