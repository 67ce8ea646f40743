"""Figures as values, as a table, and as the page that keeps the last of them.

Owns what a figure says beside its target. Must not know how it was measured.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks import toolchain
from benchmarks.measure import Measurement, median, ratio

Measured = Mapping[str, Sequence[Measurement]]
_PAGE = Path(__file__).parent / "RESULTS.md"
_LIBRARIES = ("uvicorn", "uvloop", "httptools", "cryptography", "pyopenssl", "starlette")


@dataclass(frozen=True)
class Figure:
    """`detail`: the measured values behind it. `less_is_better`: which side of `must` is the good one."""

    name: str
    value: float
    unit: str
    must: float
    aim: float
    detail: str = ""
    less_is_better: bool = False

    @property
    def holds(self) -> bool:
        return self._reaches(self.must)

    @property
    def verdict(self) -> str:
        return "aim" if self._reaches(self.aim) else "must" if self.holds else "MISSED"

    def _reaches(self, target: float) -> bool:
        return self.value <= target if self.less_is_better else self.value >= target


def times_peer(name: str, measured: Measured, *, must: float, aim: float) -> Figure:
    """How many requests the product answers for the processor time of one of the peer's."""
    ours, peer = _ours(measured), measured["peer"]
    return Figure(name, ratio(ours, peer), "x peer", must, aim, _microseconds(measured))


def share_of_floor(name: str, measured: Measured, *, must: float, aim: float) -> Figure:
    ours = _ours(measured)
    return Figure(name, ratio(ours, measured["floor"]), "of the floor", must, aim, _microseconds(measured))


def tail(name: str, measured: Measured, *, must: float, aim: float) -> Figure:
    """The product's p99 against the peer's."""
    value = 1 / ratio(_ours(measured), measured["peer"], lambda m: m.p99)
    detail = ", ".join(f"{server} {median(seen, lambda m: m.p99):.1f} ms" for server, seen in measured.items())
    return Figure(name, value, "of the peer's", must, aim, detail, less_is_better=True)


def at_most(name: str, value: float, unit: str, *, must: float, aim: float) -> Figure:
    return Figure(name, value, unit, must, aim, less_is_better=True)


def _ours(measured: Measured) -> Sequence[Measurement]:
    return next(seen for name, seen in measured.items() if name.startswith("holdfast"))


def _microseconds(measured: Measured) -> str:
    return ", ".join(f"{name} {median(seen, lambda m: m.cpu_microseconds):.0f} us" for name, seen in measured.items())


def table(figures: Sequence[Figure]) -> str:
    """Markdown."""
    lines = ["| figure | measured | must | aim | reached | behind it |", "| --- | --- | --- | --- | --- | --- |"]
    lines += [
        f"| {f.name} | {f.value:.2f} {f.unit} | {f.must:.2f} | {f.aim:.2f} | {f.verdict} | {f.detail} |" for f in figures
    ]
    return "\n".join(lines)


def write(figures: Sequence[Figure], machine: str) -> None:
    """Replace the table of RESULTS.md, which stands between its two marks."""
    before, _, rest = _PAGE.read_text().partition("<!-- table -->\n")
    after = rest.partition("<!-- end of table -->")[2]
    versions = {name: version(name) for name in _LIBRARIES} | toolchain.versions()
    known = ", ".join(f"{name} {number}" for name, number in versions.items())
    when = datetime.now(UTC).date()
    text = f"{when}, {os.cpu_count()} cores, {machine}; {known}.\n\n{table(figures)}\n"
    _PAGE.write_text(f"{before}<!-- table -->\n{text}<!-- end of table -->{after}")
