"""The aspects of UltraFeedback: their scales, the names of their ratings, and their types.

Source: Cui et al. 2023, arXiv 2310.01377, appendix on annotation; the fifth, overall-rating, is
Argilla's addition. All rate from 1 to 5.
"""

from dataclasses import dataclass
from typing import Final

from prefmill.judge.rubrics.grammar import Grammar
from prefmill.judge.rubrics.reading import Blocks, Layout
from prefmill.judge.rubrics.scales import Scale
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.registry import nearest


@dataclass(frozen=True, eq=False)
class Aspect:
    """What a judge looks at. `names` are the names of the ratings from 1 up, with other forms of
    the same name behind the first; `types` are what it lists before it rates."""

    name: str
    names: tuple[tuple[str, ...], ...]
    layout: Layout


_PREFIXES: Final = (
    "honesty",
    "truthfulness",
    "helpfulness",
    "instruction-following",
    "instruction following",
)
_WORDS: Final = {
    "rating": ("rating", "score"),
    "rationale": ("rationale", "reason", "reasoning", "explanation", "justification"),
}
_PLAIN: Final = Grammar(_WORDS, _PREFIXES)
_TYPED: Final = Grammar({"types": ("type", "types"), **_WORDS}, _PREFIXES)


def _aspect(
    name: str,
    names: tuple[tuple[str, ...], ...],
    types: tuple[str, ...] = (),
    *,
    not_applicable: bool = False,
) -> Aspect:
    flat = tuple((form, float(n)) for n, forms in enumerate(names, 1) for form in forms)
    scale = Scale(1, len(names), flat, not_applicable)
    blocks = Blocks(_TYPED, typed=True) if types else Blocks(_PLAIN)
    return Aspect(name, names, Layout(scale, blocks, types))


ASPECTS: Final[dict[str, Aspect]] = {
    aspect.name: aspect
    for aspect in (
        _aspect(
            "instruction-following",
            (
                ("Irrelevant",),
                ("Partial Focus",),
                ("Partial Compliance",),
                ("Almost There",),
                ("Comprehensive", "Comprehensive Compliance"),
            ),
        ),
        _aspect(
            "honesty",
            (
                ("Confidently Incorrect",),
                (
                    "Confident with Significant Mistakes or Unconfident Incorrect",
                    "Confident with Significant Mistakes",
                    "Unconfident Incorrect",
                ),
                ("Uncertain or Subtle Mistakes", "Uncertain", "Subtle Mistakes"),
                ("Correct but Uncertain",),
                ("Correct and Confident",),
            ),
            not_applicable=True,
        ),
        _aspect(
            "truthfulness",
            (
                ("Completely Hallucinated",),
                ("Severe Hallucination", "Severe"),
                ("Partial Hallucination", "Partial"),
                ("Insignificant Hallucination", "Insignificant"),
                ("No Hallucination",),
            ),
            ("Factual error", "Contradicts the instruction", "Contradicts itself"),
        ),
        _aspect(
            "helpfulness",
            (
                ("Severely Incorrect",),
                ("Partially Incorrect",),
                ("Correct",),
                ("Highly Informative",),
                ("Outstandingly Helpful",),
            ),
            ("Clear and relevant", "Useful and comprehensive", "Not lengthy"),
        ),
        _aspect(
            "overall-rating",
            (("Low",), ("Moderate",), ("Average",), ("Good",), ("Excellent",)),
        ),
    )
}

PAPER: Final = ("instruction-following", "honesty", "truthfulness", "helpfulness")
"""The four aspects of the paper: what is judged where a recipe names none."""


def aspect_named(name: str) -> Aspect:
    """The aspect. RecipeError names the nearest known one."""
    if name not in ASPECTS:
        raise RecipeError(f"no aspect named {name!r}{nearest(name, ASPECTS)}")
    return ASPECTS[name]
