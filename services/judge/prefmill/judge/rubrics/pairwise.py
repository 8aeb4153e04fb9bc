"""Pairwise: which of two texts is better, asked in both orders.

Source: Zheng et al. 2023, arXiv 2306.05685, on position bias.
"""

from typing import ClassVar, Final

from pydantic import Field

from prefmill.contracts.base import Strict
from prefmill.contracts.work import Shows
from prefmill.judge.rubrics.choices import Choice, PairLayout
from prefmill.judge.rubrics.marked import Marked, marks
from prefmill.judge.rubrics.people import seen
from prefmill.judge.rubrics.prompted import Part, Prompted, built_in
from prefmill.plugins.annotation import INSTRUCTION, ShownField

ASPECT: Final = "preference"
_TEXTS: Final = ShownField(name="text", of="generations")
_MARK: Final = marks("final verdict", "verdict")


class PairwiseOptions(Strict):
    """What a recipe may say of the rubric."""

    pairwise: str | None = Field(
        default=None, description="The criterion; none: overall quality for the one who asked."
    )
    ties: bool = Field(default=True, description="Whether the judge may call it a tie.")
    reference: bool = Field(default=False, description="Tell the judge the row's reference.")


class Pairwise(Prompted):
    """Ratings 1 and 0, or 0.5 each for a tie."""

    Options: ClassVar[type[Strict]] = PairwiseOptions
    shows: Shows = "pairs"
    tokens_per_text = 80

    def __init__(self, options: Strict) -> None:
        assert isinstance(options, PairwiseOptions)
        reader = PairLayout(Choice(options.ties), Marked(_MARK), alone=("rationale", "verdict"))
        values = {"criterion": options.pairwise, "ties": options.ties}
        pair, told = built_in("pairwise"), options.reference
        people = seen(told, INSTRUCTION, _TEXTS)
        self._make(Part(ASPECT, pair, reader, told, values, _MARK, people=people))
