"""The layouts in which judges are asked to answer, recognised in the prompt, and filled.

Known: one block per text (UltraFeedback's), `Overall Score: [1 to 10]`, tags such as
`<correctness>[0 to 4]</correctness>`, `[RESULT] (…)` as Prometheus has
it, `Verdict: [A, B or tie]`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from prefmill.engines.simulated.quality import BEST
from prefmill.engines.simulated.verdicts import Verdict

_NUMBER: Final = r"(-?\d+(?:\.\d+)?)"
_RANGE: Final = rf"\[{_NUMBER} to {_NUMBER}\b[^\]]*\]"
_BLOCKS: Final = re.compile(rf"Rating: {_RANGE}")
_SCORE: Final = re.compile(rf"^(Overall Score: ){_RANGE}", re.MULTILINE)
_RESULT: Final = re.compile(
    rf"(\[RESULT\] )\((?:a whole number from {_NUMBER} to {_NUMBER}|A or B)\)"
)
_VERDICT: Final = re.compile(r"^(Verdict: )\[A(?:, B)? or (?:B|tie)\]", re.MULTILINE)
_TAG: Final = re.compile(r"<([A-Za-z][\w-]*)>\s*\[([^\[\]<>]*)\]\s*</\1>")
_IN_TAG: Final = re.compile(rf"{_NUMBER} to {_NUMBER}\b")
_NUMBERED: Final = re.compile(r"_(\d+)$")

Scale = tuple[float, float]
USUAL: Final[Scale] = (1, BEST)
"""UltraFeedback's."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What follows the rationale: a label and a value, or tags: name → range, or what it
    holds."""

    label: str = ""
    scale: Scale | None = USUAL
    tags: tuple[tuple[str, Scale | str], ...] = ()


def layout_in(frame: str) -> Layout | None:
    """The layout that a prompt without its texts asks for; None for blocks."""
    if found := _RESULT.search(frame) or _SCORE.search(frame) or _VERDICT.search(frame):
        ends = found.groups()[1:]
        return Layout(found[1], (float(ends[0]), float(ends[1])) if ends and ends[0] else None)
    tags = tuple((tag[1], _scale(tag[2])) for tag in _TAG.finditer(frame))
    return Layout(tags=tags) if tags else None


def blocks_scale(frame: str) -> Scale:
    """From and to which number the blocks' ratings go."""
    found = _BLOCKS.search(frame)
    return (float(found[1]), float(found[2])) if found else USUAL


def _scale(said: str) -> Scale | str:
    found = _IN_TAG.match(said)
    if found:
        return (float(found[1]), float(found[2]))
    return "choice" if said.startswith(("A, B", "A or B")) else "prose"


def scaled(quality: int, scale: Scale) -> float:
    """A quality of 1 to 5 as a whole number of another scale, its ends on the ends."""
    low, high = scale
    return float(int(low + (quality - 1) * (high - low) / (BEST - 1) - low + 0.5) + low)


def choice_of(verdicts: Sequence[Verdict]) -> str:
    """Which of the first two texts is better: A, B or tie."""
    first, second = verdicts[0].quality, verdicts[-1].quality
    return "tie" if first == second else "A" if first > second else "B"


Say = Callable[[str], str]
"""Writes the whole answer with this in place of each value."""


def filled(layout: Layout, verdicts: Sequence[Verdict]) -> tuple[Say, Say]:
    """Two ways to write the answer: as the judge means it, where "" stands for its own values,
    and with the opposite values, for drafts and contradictions."""
    if layout.tags:
        return (
            lambda value: _tagged(layout, verdicts, value, worse=False),
            lambda value: _tagged(layout, verdicts, value, worse=True),
        )
    return (
        lambda value: _labelled(layout, verdicts, value or _value(layout.scale, verdicts, False)),
        lambda value: _labelled(layout, verdicts, value or _value(layout.scale, verdicts, True)),
    )


def _value(scale: Scale | None, verdicts: Sequence[Verdict], worse: bool) -> str:
    if scale is None:
        choice = choice_of(verdicts)
        return ("B" if choice == "A" else "A") if worse else choice
    quality = verdicts[0].quality
    return f"{scaled(quality % BEST + 1 if worse else quality, scale):g}"


def _labelled(layout: Layout, verdicts: Sequence[Verdict], value: str) -> str:
    why = verdicts[0].rationale
    if layout.label.startswith("["):
        return f"Feedback: {why} {layout.label}{value}"
    return f"{why}\n\n{layout.label}{value}"


def _tagged(layout: Layout, verdicts: Sequence[Verdict], value: str, *, worse: bool) -> str:
    by_number = {str(verdict.number): verdict for verdict in verdicts}
    lines: list[str] = []
    for name, holds in layout.tags:
        numbered = _NUMBERED.search(name)
        verdict = by_number.get(numbered[1] if numbered else "1", verdicts[0])
        said = verdict.rationale
        if holds == "choice":
            said = value or _value(None, verdicts, worse)
        elif not isinstance(holds, str):
            said = value or _value(holds, [verdict], worse)
        lines.append(f"<{name}>{said}</{name}>")
    return "\n".join(lines)
