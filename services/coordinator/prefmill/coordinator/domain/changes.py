"""What differs between two recipes, a line each."""

from collections.abc import Iterator
from typing import Any, cast

Record = dict[str, Any]


def changes(old: Any, new: Any, where: str = "") -> list[str]:
    """`judges.haiku: added`, `generate.params.temperature: 0.7 → 1.0`, …"""
    return list(_changes(old, new, where))


def _changes(old: Any, new: Any, where: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _within(cast("Record", old), cast("Record", new), where)
    elif old != new:
        yield f"{where}: {_short(old)} → {_short(new)}"


def _within(old: Record, new: Record, where: str) -> Iterator[str]:
    for key in dict.fromkeys([*old, *new]):
        place = f"{where}.{key}" if where else key
        if key not in new:
            yield f"{place}: removed"
        elif key not in old:
            yield f"{place}: added"
        else:
            yield from _changes(old[key], new[key], place)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
