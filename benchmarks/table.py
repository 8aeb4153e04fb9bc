"""The table: what was measured, beside what must be reached."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import ge, le

from benchmarks.profile import Profile
from benchmarks.runs import Measured


@dataclass(frozen=True)
class Figure:
    """One line: prefmill's figure, the script's with one process and with two, and the goals."""

    name: str
    prefmill: float | None
    by_hand: float | None = None
    by_hand_2: float | None = None
    must: float | None = None
    aim: float | None = None
    more_is_better: bool = False
    places: int = 0
    bare: float | None = None
    """aiohttp alone, nothing kept: the mean of right before and right after."""
    must_to_bare: float | None = None
    """What must be reached ÷ aiohttp alone, on the machine the goals were set on; for comparison
    only, no verdict comes of it."""

    def reached(self, goal: float | None) -> str:
        """`yes`, `no`, or nothing where there is no goal or no figure."""
        if goal is None or self.prefmill is None:
            return ""
        return "yes" if (ge if self.more_is_better else le)(self.prefmill, goal) else "no"

    @property
    def missed(self) -> bool:
        """Whether what is required was not reached."""
        return self.reached(self.must) == "no"

    def cells(self) -> list[str]:
        """The line as texts."""
        return [
            self.name,
            *(self._number(n) for n in (self.prefmill, self.by_hand, self.by_hand_2)),
            *(self._ratio(n) for n in (self.by_hand, self.by_hand_2)),
            self._number(self.bare),
            self._to_bare(),
            *(self._goal(n) for n in (self.must, self.aim)),
            self.reached(self.must),
            self.reached(self.aim),
        ]

    def _number(self, value: float | None) -> str:
        return "–" if value is None else f"{value:,.{self.places}f}"

    def _ratio(self, other: float | None) -> str:
        if not other or not self.prefmill:
            return "–"
        return f"{self.prefmill / other:.2f}"

    def _to_bare(self) -> str:
        goal = "" if self.must_to_bare is None else f" (goal's {self.must_to_bare:.2f})"
        return f"{self._ratio(self.bare)}{goal}"

    def _goal(self, value: float | None) -> str:
        sign = "≥" if self.more_is_better else "≤"
        return "" if value is None else f"{sign} {self._number(value)}"


HEADS = (
    *("", "prefmill", "by hand", "by hand ×2", "÷ by hand", "÷ ×2", "aiohttp alone", "÷ aiohttp"),
    *("must reach", "aim", "must", "aim?"),
)


def table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table, aligned to be read as it is."""
    rows = [list(heads), *map(list, lines)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(heads))]
    shown = [
        "| " + " | ".join(_fit(n, cell, widths[n]) for n, cell in enumerate(row)) + " |"
        for row in rows
    ]
    rule = (
        "|"
        + "|".join("-" * (width + 1) + ("-" if n == 0 else ":") for n, width in enumerate(widths))
        + "|"
    )
    return "\n".join([shown[0], rule, *shown[1:]])


def figures(lines: Sequence[Figure]) -> str:
    """The main table."""
    return table(HEADS, [line.cells() for line in lines])


def cpu(measured: Measured) -> str:
    """CPU between first call and last verdict, by process."""
    total = sum(measured.cpu.values())
    by_use = sorted(measured.cpu.items(), key=lambda item: -item[1])
    lines = [
        [role, f"{1000 * spent / measured.rows:.3f}", f"{100 * spent / total:.0f} %"]
        for role, spent in by_use
        if spent > 0.005 * total
    ]
    return table(
        ("process", "CPU ms a row", "share"),
        [*lines, ["all", f"{measured.cpu_ms_per_row:.3f}", ""]],
    )


def memory(measured: Measured) -> str:
    """PSS by process at the moment of the peak."""
    by_use = sorted(measured.memory.peak_by_role.items(), key=lambda item: -item[1])
    return ", ".join(f"{role} {used:.0f}" for role, used in by_use if used >= 1)


def profile(found: Profile, most: int = 12) -> str:
    """The hottest packages and functions of one process."""
    parts = (
        ("packages, by what ran", found.owners),
        ("functions, by what ran", found.leaves),
        ("functions of prefmill, with all they call", found.within),
    )
    lines = [f"{found.role}: {found.cores:.0%} of a core, {found.samples} samples"]
    for title, counts in parts:
        lines.append(f"  {title}")
        share = 100 / max(found.samples, 1)
        lines += [f"    {n * share:5.1f} %  {name}" for name, n in counts.most_common(most)]
    return "\n".join(lines)


def _fit(column: int, cell: str, width: int) -> str:
    return cell.ljust(width) if column == 0 else cell.rjust(width)
