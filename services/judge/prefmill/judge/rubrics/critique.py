"""Critique: feedback on one text, and an overall score from 1 to 10 (arXiv 2310.01377).

The released data of UltraFeedback holds 10 for 2,628 texts that were given 1; here a score is read
as a whole number or fraction, and `10` is only what says 10.
"""

from typing import ClassVar, Final

from pydantic import Field

from prefmill.contracts.base import Strict
from prefmill.contracts.work import Shows
from prefmill.judge.rubrics.marked import Marked, marks
from prefmill.judge.rubrics.prompted import Part, Prompted, built_in
from prefmill.judge.rubrics.reading import Layout
from prefmill.judge.rubrics.scales import Scale

ASPECT: Final = "overall-score"
_MARK: Final = marks("overall score", "overall rating", "final score")
LAYOUT: Final = Layout(Scale(1, 10), Marked(_MARK), alone=("feedback", "overall_score"))


class CritiqueOptions(Strict):
    """What a recipe may say of the rubric."""

    critique: None = Field(default=None, description="Nothing: `critique: null`, or the bare name.")
    reference: bool = Field(default=False, description="Tell the judge the row's reference.")


class Critique(Prompted):
    """Feedback as the rationale, the overall score as the rating; one call per text."""

    Options: ClassVar[type[Strict]] = CritiqueOptions
    shows: Shows = "each"
    tokens_per_text = 300

    def __init__(self, options: Strict) -> None:
        assert isinstance(options, CritiqueOptions)
        pair = built_in("critique")
        self._make(Part(ASPECT, pair, LAYOUT, told=options.reference, mark=_MARK))
