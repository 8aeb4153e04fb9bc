"""`helpsteer`: one record a response, with the five attributes as columns (arXiv 2311.09528)."""

from collections.abc import Iterator
from typing import ClassVar, Final

from pydantic import Field

from prefmill.contracts.base import Strict
from prefmill.contracts.reasons import NOT_JUDGED, TOO_FEW_GENERATIONS, TOO_FEW_VERDICTS
from prefmill.contracts.rows import FinishedRow, Verdict
from prefmill.plugins.format import FormatContext, ScoredRow, Written
from prefmill.sink.domain.merging import merged
from prefmill.sink.domain.pooling import is_usable
from prefmill.sink.formats.columns import (
    INTEGER,
    TEXT,
    ArrowType,
    Record,
    dropped,
    metadata_of,
    model_of,
    unusable,
)
from prefmill.sink.formats.one import OneConfig

ATTRIBUTES: Final = ("correctness", "coherence", "complexity", "verbosity", "helpfulness")
COLUMNS: Final[dict[str, ArrowType]] = {
    "prompt": TEXT,
    "response": TEXT,
    **dict.fromkeys(ATTRIBUTES, INTEGER),
    "response_model": TEXT,
    "judge_model": TEXT,
}


class HelpSteerFormatOptions(Strict):
    """What a recipe may say of the format."""

    helpsteer: None = Field(default=None, description="Nothing: `helpsteer: null`, or the name.")
    shift: int = Field(
        default=0, description="Added to every rating: 1 for tools whose scales begin at 1."
    )


class HelpSteerFormat(OneConfig):
    """One record for each response that a judge gave all five attributes; of several judges the
    recipe's first that did speaks. Made from verdicts of the rubric `helpsteer`."""

    Options: ClassVar = HelpSteerFormatOptions
    training: ClassVar = False
    name: ClassVar = "helpsteer"
    columns: ClassVar = COLUMNS

    def __init__(self, options: HelpSteerFormatOptions, context: FormatContext) -> None:
        super().__init__(options, context)
        self.shift = options.shift

    def written(self, row: ScoredRow) -> Written:
        """The labelled responses, or why there is none."""
        reason = unusable(row)
        if reason is not None:
            return dropped(reason)
        if all(generation.text is None for generation in row.row.generations):
            return dropped(TOO_FEW_GENERATIONS)
        verdicts = self._verdicts(row.row)
        records = tuple(self._records(row.row, verdicts))
        return Written(records, "out") if records else dropped(_why(verdicts))

    def _records(self, row: FinishedRow, verdicts: list[Verdict]) -> Iterator[Record]:
        for place, generation in enumerate(row.generations):
            found = _labels(verdicts, place)
            if found is not None and generation.text is not None:
                labels, verdict = found
                yield {
                    "id": row.prompt.id,
                    "prompt": row.prompt.instruction,
                    "response": generation.text,
                    **{name: round(labels[name]) + self.shift for name in ATTRIBUTES},
                    "response_model": model_of(generation),
                    "judge_model": verdict.judge_model or verdict.judge,
                    "metadata": metadata_of(row.prompt),
                }

    def _verdicts(self, row: FinishedRow) -> list[Verdict]:
        """Those of the recipe's judges, the first one's first."""
        judges = self.context.judges
        known = [verdict for verdict in merged(row.verdicts) if verdict.judge in judges]
        return sorted(known, key=lambda verdict: judges.index(verdict.judge))


def _why(verdicts: list[Verdict]) -> str:
    """Why there are no labels. A usable verdict without any attribute is another rubric's."""
    own = (
        not is_usable(verdict) or any(reading.attributes for reading in verdict.readings)
        for verdict in verdicts
    )
    return TOO_FEW_VERDICTS if any(own) else NOT_JUDGED


def _labels(verdicts: list[Verdict], place: int) -> tuple[dict[str, float], Verdict] | None:
    """The first five attributes given to one generation, and who gave them."""
    for verdict in verdicts:
        labels = verdict.readings[place].attributes if place < len(verdict.readings) else None
        if labels is not None and all(name in labels for name in ATTRIBUTES):
            return labels, verdict
    return None
