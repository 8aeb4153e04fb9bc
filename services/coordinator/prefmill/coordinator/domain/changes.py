"""What differs between two recipes, a line each."""

from collections.abc import Iterator
from typing import Any, Final, cast

Record = dict[str, Any]

_MOST: Final = 60
_BEFORE: Final = 20
"""Characters that are shown before the first that differs."""


def changes(old: Any, new: Any, where: str = "") -> list[str]:
    """`judges.haiku: added`, `generate.params.temperature: 0.7 → 1.0`, …"""
    return list(_changes(old, new, where))


def _changes(old: Any, new: Any, where: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _within(cast("Record", old), cast("Record", new), where)
    elif old != new:
        before, after = repr(cast("Any", old)), repr(new)
        start = _alike(before, after)
        yield f"{where}: {_short(before, start)} → {_short(after, start)}"


def _within(old: Record, new: Record, where: str) -> Iterator[str]:
    for key in dict.fromkeys([*old, *new]):
        place = f"{where}.{key}" if where else key
        if key not in new:
            yield f"{place}: removed"
        elif key not in old:
            yield f"{place}: added"
        else:
            yield from _changes(old[key], new[key], place)


def _alike(before: str, after: str) -> int:
    """How many characters they have in common from the beginning on."""
    pairs = enumerate(zip(before, after, strict=False))
    return next((n for n, (old, new) in pairs if old != new), min(len(before), len(after)))


def _short(text: str, start: int) -> str:
    """At most 60 characters, among them those from `start` on."""
    if len(text) <= _MOST:
        return text
    first = max(0, start - _BEFORE) if start > _MOST // 2 else 0
    cut = text[first : first + _MOST - 2]
    return f"{'…' if first else ''}{cut}{'…' if first + len(cut) < len(text) else ''}"
