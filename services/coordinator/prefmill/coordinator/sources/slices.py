"""Parts of a split: `train`, `train[:1000]`, `train[10%:20%]`, `train[-50:]+test`."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prefmill.plugins.errors import RecipeError

PART: Final = re.compile(r"\s*([\w.-]+)(?:\[\s*(-?\d+%?)?\s*:\s*(-?\d+%?)?\s*\])?\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows of one split. Bounds are row numbers or percentages as written; None is the end."""

    split: str
    start: str | None = None
    stop: str | None = None

    def rows(self, size: Callable[[], int]) -> tuple[int, int | None]:
        """First row and the one after the last; None if it goes to the end.

        `size` is asked only where it is needed: percentages (rounded to the nearest row) and
        negative numbers.
        """
        start = _row(self.start, size) if self.start else 0
        stop = _row(self.stop, size) if self.stop else None
        return start, None if stop is None else max(start, stop)


def parse_split(text: str) -> tuple[Slice, ...]:
    """The slices that `text` names, joined by `+`. RecipeError if it cannot be read."""
    return tuple(_slice(part, text) for part in text.split("+"))


def _slice(part: str, text: str) -> Slice:
    match = PART.fullmatch(part)
    if match is None:
        raise RecipeError(
            f"source.split: cannot read {text!r}; write train, train[:1000], train[10%:20%] or "
            "train+test[-50:]"
        )
    if any(bound and _percent(bound) > 100 for bound in match.groups()[1:]):
        raise RecipeError(f"source.split: {text!r} has more than 100 %")
    return Slice(*match.groups())


def _percent(bound: str) -> int:
    return abs(int(bound[:-1])) if bound.endswith("%") else 0


def _row(bound: str, size: Callable[[], int]) -> int:
    if bound.endswith("%"):
        rows = size()
        row = round(int(bound[:-1]) * rows / 100)
        return row if row >= 0 else rows + row
    row = int(bound)
    return row if row >= 0 else max(0, size() + row)
