"""Patterns of scopes: which scope one allows, and what several of them leave. Pure."""

from collections.abc import Iterable, Sequence


def scope_allowed(scope: str, pattern: str) -> bool:
    """Equal, or a `*` at the pattern's end stands for the rest of the scope, which may be nothing but for a lone `*`."""
    return scope.startswith(pattern[:-1]) if pattern.endswith("*") else scope == pattern


def common_patterns(entries: Sequence[Iterable[str]]) -> tuple[str, ...]:
    """Patterns that allow exactly what a pattern of every entry allows; sorted, none of them inside another."""
    first, *rest = entries
    left = set(first)
    for entry in rest:
        allowed = tuple(entry)
        left = {both for mine in left for theirs in allowed if (both := _common(mine, theirs)) is not None}
    return tuple(sorted(p for p in left if not any(p != other and _inside(p, other) for other in left)))


def _common(one: str, other: str) -> str | None:
    return one if _inside(one, other) else other if _inside(other, one) else None


def _inside(pattern: str, outer: str) -> bool:
    """Whether whatever the pattern allows the outer one allows, too."""
    return scope_allowed(pattern, outer) if outer.endswith("*") else pattern == outer
