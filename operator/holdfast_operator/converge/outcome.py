"""How a pass ends, and what a sweep found."""

from dataclasses import dataclass

from holdfast_operator.reconcile.ports import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`requeue_after`: seconds until the key is to be looked at again; None: at the next resync.

    `retry`: something could not be reached; the key's back-off grows, `requeue_after` is then its least. `gone`: the
    object does not exist any more, nobody has to come back. `wrote`: whether anything at all was written.
    """

    requeue_after: float | None = None
    retry: bool = False
    gone: bool = False
    wrote: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """`deleted`: client ids of orphans that were deleted. `look_at`: keys that may differ, oldest object first."""

    deleted: tuple[str, ...]
    look_at: tuple[Key, ...]
