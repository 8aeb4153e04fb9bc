"""Tables of a card, and the numbers in them."""

from collections.abc import Mapping, Sequence


def table(head: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> str:
    """A Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def whole(sums: Mapping[str, float], key: str) -> str:
    """A count; 0 where nothing was counted."""
    return str(int(sums.get(key, 0)))


def ratio(part: float | None, of: float | None) -> str:
    """A share; a dash of nothing."""
    return number((part or 0) / of if of else None)


def number(value: float | None) -> str:
    """Two decimal places; a dash where there is no figure."""
    return "–" if value is None else f"{value:.2f}"


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
