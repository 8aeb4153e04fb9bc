"""Prometheus: a user's own criterion, absolute from 1 to 5 or relative between A and B.

Source: Kim et al. 2023 and 2024, arXiv 2310.08491 and 2405.01535. Judges trained for it answer
`Feedback: … [RESULT] n`; others are asked to do the same.
"""

import re
from typing import ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from prefmill.contracts.base import Strict
from prefmill.contracts.work import Shows
from prefmill.judge.rubrics.choices import Choice, PairLayout
from prefmill.judge.rubrics.marked import Marked
from prefmill.judge.rubrics.people import seen
from prefmill.judge.rubrics.prompted import Part, Prompted, built_in
from prefmill.judge.rubrics.reading import Layout
from prefmill.judge.rubrics.scales import Scale
from prefmill.plugins.annotation import GENERATIONS, INSTRUCTION, ShownField

_MARK: Final = re.compile(
    r"(?<![\"'“‘«`])[\[(]\s*result\s*[\])]|^[\s#*_\-]{0,8}result(?:\s*\*\*)?\s*[:：]",
    re.IGNORECASE | re.MULTILINE,
)
_NAMES: Final = ("feedback", "result")
ABSOLUTE: Final = Layout(Scale(1, 5, whole=True), Marked(_MARK), alone=_NAMES)
RELATIVE: Final = PairLayout(Choice(ties=False), Marked(_MARK), alone=_NAMES)


class Criterion(Strict):
    """What is assessed, and what each score stands for."""

    criterion: str = Field(min_length=1, description="What is looked at, as a question.")
    scores: tuple[str, ...] = Field(
        default=(), description="What a score of 1, 2, 3, 4 and 5 stands for, in this order."
    )

    def shown(self, name: str) -> ShownField:
        """It as people see it, who have one for each criterion."""
        scores = (f"{n}. {score}" for n, score in enumerate(self.scores, 1))
        text = "\n".join((self.criterion, *(("", *scores) if self.scores else ())))
        return ShownField(name="rubric", title=f"Rubric: {name}", text=text)


class PrometheusOptions(Strict):
    """What a recipe may say of the rubric."""

    prometheus: Literal["absolute", "relative"] = Field(
        default="absolute",
        description="`absolute` scores each text from 1 to 5; `relative` compares two at a time.",
    )
    criteria: dict[str, Criterion] = Field(
        min_length=1, description="Name → criterion and five score descriptions; one call each."
    )
    reference: bool = Field(default=True, description="Tell the judge the row's reference.")

    @model_validator(mode="after")
    def _described(self) -> Self:
        for name, each in self.criteria.items():
            if self.prometheus == "absolute" and len(each.scores) != 5:
                raise ValueError(
                    f"criteria.{name}.scores: {len(each.scores)} descriptions; absolute scores "
                    "need five, from 1 to 5"
                )
        return self


class Prometheus(Prompted):
    """An aspect per criterion."""

    Options: ClassVar[type[Strict]] = PrometheusOptions
    tokens_per_text = 200

    def __init__(self, options: Strict) -> None:
        assert isinstance(options, PrometheusOptions)
        absolute = options.prometheus == "absolute"
        self.shows: Shows = "each" if absolute else "pairs"
        pair = built_in("prometheus", options.prometheus)
        reader = ABSOLUTE if absolute else RELATIVE
        self._make(
            *(
                Part(
                    name,
                    pair,
                    reader,
                    options.reference,
                    each.model_dump(mode="json"),
                    _MARK,
                    people=seen(options.reference, INSTRUCTION, GENERATIONS, each.shown(name)),
                )
                for name, each in options.criteria.items()
            )
        )
