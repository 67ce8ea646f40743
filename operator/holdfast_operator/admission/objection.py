"""What is found against a change, certain or not, and what was looked at to find it. Values only."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from holdfast.api.v1alpha1.conditions import Reason
from holdfast_operator.reconcile.conditions import presentable
from holdfast_operator.reconcile.ports import Key, Kind

ALL_POLICIES = Key(Kind.MTLS_POLICY, "", "")
"""Stands for every MTLSPolicy: one that is not there may matter, too."""


@dataclass(frozen=True, slots=True)
class Objection:
    """A certain no. `message`: names the field, what was expected and what was found, as the object's condition would.

    `rests_on`: other objects, as they are now, that it follows from; empty: the object alone shows it.
    `may_come`: what is missing may be part of the same apply, which a rehearsal of the apply cannot see.
    """

    reason: Reason
    message: str
    rests_on: frozenset[Key] = frozenset()
    may_come: bool = False


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something that people should know, and that may be refused later."""

    message: str


Found = Iterator[Objection | Doubt]


@dataclass(frozen=True, slots=True)
class Judgement:
    """Everything that was found of one object."""

    objections: tuple[Objection, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def denials(self) -> tuple[str, ...]:
        """The objections, as people read them."""
        return tuple(objection.message for objection in self.objections)


def judgement(found: Iterable[Objection | Doubt]) -> Judgement:
    """In the order in which it was found, nothing twice, and no private key that somebody put into a wrong field."""
    unique = dict.fromkeys(replace(f, message=presentable(f.message)) for f in found)
    return Judgement(
        tuple(f for f in unique if isinstance(f, Objection)), tuple(f.message for f in unique if isinstance(f, Doubt))
    )
