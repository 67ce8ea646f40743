"""One step's answer: how a condition stands, why, and what has to happen next."""

from dataclasses import dataclass

from holdfast.api.v1alpha1.conditions import Reason


@dataclass(frozen=True, slots=True)
class Finding:
    """`holds`: the condition is True, False, or (None) could not be judged.

    `stalled`, where it does not hold: only a human can change it; else time will. `summary`, where it holds with a
    reservation: what Ready says for it.
    """

    holds: bool | None
    reason: Reason
    message: str
    stalled: bool = False
    summary: str = ""


def fine(reason: Reason, message: str = "") -> Finding:
    """It is as it should be."""
    return Finding(True, reason, message)


def waiting(reason: Reason, message: str) -> Finding:
    """Not yet; nobody has to do anything."""
    return Finding(False, reason, message)


def stalled(reason: Reason, message: str) -> Finding:
    """Not, until somebody changes what the message names."""
    return Finding(False, reason, message, stalled=True)


def unjudged(reason: Reason, message: str) -> Finding:
    """Nobody can say while something else is in the way."""
    return Finding(None, reason, message)
