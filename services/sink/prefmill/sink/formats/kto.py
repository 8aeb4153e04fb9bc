"""`kto`: single answers, labelled good or bad by a threshold on their score."""

from typing import ClassVar, Final

from pydantic import Field

from prefmill.contracts.base import Strict
from prefmill.contracts.reasons import TOO_FEW_GENERATIONS, TOO_FEW_SCORES
from prefmill.plugins.format import FormatContext, ScoredRow, Written
from prefmill.sink.domain.pairing import DIGITS
from prefmill.sink.formats.columns import (
    BOOLEAN,
    MESSAGES,
    ArrowType,
    Record,
    assistant,
    conversation,
    dropped,
    metadata_of,
    unscored,
)
from prefmill.sink.formats.one import OneConfig

COLUMNS: Final[dict[str, ArrowType]] = {
    "prompt": MESSAGES,
    "completion": MESSAGES,
    "label": BOOLEAN,
}


class KtoOptions(Strict):
    """`kto`, or `{kto: 4.0}`."""

    threshold: float = Field(
        default=3.0,
        alias="kto",
        allow_inf_nan=False,
        description="Scores above it are good, below it bad; at it, no record. The default is the "
        "middle of a scale from 1 to 5: set it for any other.",
    )


class KtoFormat(OneConfig):
    """One record for each scored answer that is not exactly at the threshold.

    A row whose scores are all at the threshold is a tie. One usable generation is enough.
    """

    Options: ClassVar = KtoOptions
    name: ClassVar = "kto"
    columns: ClassVar = COLUMNS

    def __init__(self, options: KtoOptions, context: FormatContext) -> None:
        super().__init__(options, context)
        self.threshold = options.threshold

    def written(self, row: ScoredRow) -> Written:
        """The row's labelled answers."""
        scored = _scored(row)
        reason = unscored(row, self.context)
        if reason is not None and not (reason == TOO_FEW_GENERATIONS and scored):
            return dropped(reason)
        if not scored:
            return dropped(TOO_FEW_SCORES)
        records = self._records(row, scored)
        return Written(records, "out") if records else Written((), "tie")

    def _records(self, row: ScoredRow, scored: list[tuple[str, float]]) -> tuple[Record, ...]:
        prompt = row.row.prompt
        shared = {
            "id": prompt.id,
            "prompt": conversation(prompt),
            "metadata": metadata_of(prompt),
        }
        return tuple(
            shared | {"completion": [assistant(text)], "label": score > self.threshold}
            for text, score in scored
            if score != self.threshold
        )


def _scored(row: ScoredRow) -> list[tuple[str, float]]:
    return [
        (generation.text, round(score, DIGITS))
        for generation, score in zip(row.row.generations, row.scores, strict=True)
        if generation.text is not None and score is not None
    ]
