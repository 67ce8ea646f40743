"""What a registration claims for itself alone: the audiences it owns, and its subject under its anchors.

A claim counts only where the client's policy allows it, or a namespace could keep an audience or a subject from its
rightful owner by registering it and being denied. Pure. Neighbour: `rules`, which compares claims.
"""

from collections.abc import Iterator
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.policy.evaluate import evaluate_audience, evaluate_subject
from holdfast.policy.model import EffectivePolicy
from holdfast_authserver.registry.anchors import parse_anchor


class ClaimKind(StrEnum):
    """`AUDIENCE` has one owner of all; `SUBJECT` (with one anchor's key) has owners of one namespace only."""

    AUDIENCE = "audience"
    SUBJECT = "subject"


_LONGEST = 512
"""Characters; a client id, a kind and a value fit together into one entry of PostgreSQL's index (2,704 octets)."""


def shortened(value: str) -> str:
    """As stored: a long value is known by its hash. No audience and no subject begins like this."""
    return value if len(value) <= _LONGEST else f"#sha256:{sha256(value.encode()).hexdigest()}"


class Claim(NamedTuple):
    kind: ClaimKind
    value: str

    @property
    def stored(self) -> str:
        """What the table holds and queries compare."""
        return shortened(self.value)


def allowed_audiences(client: ClientMetadata, policy: EffectivePolicy) -> tuple[str, ...]:
    """The audiences a client names and may own."""
    named = client.resource_server.audiences if client.resource_server else ()
    return tuple(a for a in named if evaluate_audience(a, client.owner.namespace, policy).allowed)


def claims_of(client: ClientMetadata, policy: EffectivePolicy) -> frozenset[Claim]:
    """For a client whose anchors are known to be good (see `rules`)."""
    return frozenset(
        (*(Claim(ClaimKind.AUDIENCE, a) for a in allowed_audiences(client, policy)), *_subjects(client, policy))
    )


def _subjects(client: ClientMetadata, policy: EffectivePolicy) -> Iterator[Claim]:
    rule, owner = client.subject, client.owner
    if rule is None:
        return
    for anchor in client.trust_anchors:
        # Each anchor by itself: a shared one beside an own one must not make the own one's claim vanish.
        decision = evaluate_subject(rule, owner.namespace, owner.service_account, policy, shared=anchor.shared)
        if decision.allowed:
            key = parse_anchor(anchor.der).spki_sha256
            yield Claim(ClaimKind.SUBJECT, f"{rule.kind}:{rule.canonical} under {key}")
