"""`ranking`: all scored answers of a prompt, best first."""

from typing import ClassVar, Final

from prefmill.contracts.reasons import IDENTICAL_TEXTS, TOO_FEW_SCORES
from prefmill.plugins.format import ScoredRow, Written
from prefmill.sink.domain.pairing import DIGITS
from prefmill.sink.formats.columns import (
    INTEGER,
    MESSAGES,
    SCORES,
    TEXTS,
    ArrowType,
    Record,
    conversation,
    dropped,
    list_of,
    metadata_of,
    model_of,
    unscored,
)
from prefmill.sink.formats.one import OneConfig

COLUMNS: Final[dict[str, ArrowType]] = {
    "prompt": MESSAGES,
    "responses": TEXTS,
    "models": TEXTS,
    "scores": SCORES,
    "ranks": list_of(INTEGER),
}


class RankingFormat(OneConfig):
    """One record a prompt with two different texts at least, of which not all score alike.

    `ranks` begin at 1; equal scores share a rank, and the next one counts those above it.
    """

    name: ClassVar = "ranking"
    columns: ClassVar = COLUMNS

    def written(self, row: ScoredRow) -> Written:
        """One record, or why there is none."""
        reason = unscored(row, self.context)
        if reason is not None:
            return dropped(reason)
        scores = _scores(row)
        if len(scores) < 2:
            return dropped(TOO_FEW_SCORES)
        if len({(row.row.generations[place].text or "").strip() for place in scores}) < 2:
            return dropped(IDENTICAL_TEXTS)
        if len(set(scores.values())) < 2:
            return Written((), "tie")
        return Written((_record(row, scores),), "out")


def _scores(row: ScoredRow) -> dict[int, float]:
    """Place of the generation → score, best first; of equally good ones the first."""
    scores = {
        place: round(score, DIGITS)
        for place, score in enumerate(row.scores)
        if score is not None and row.row.generations[place].text is not None
    }
    return dict(sorted(scores.items(), key=lambda item: -item[1]))


def _record(row: ScoredRow, scores: dict[int, float]) -> Record:
    prompt, ordered = row.row.prompt, list(scores.values())
    generations = [row.row.generations[place] for place in scores]
    return {
        "id": prompt.id,
        "prompt": conversation(prompt),
        "responses": [generation.text for generation in generations],
        "models": [model_of(generation) for generation in generations],
        "scores": [row.scores[place] for place in scores],
        "ranks": [1 + ordered.index(score) for score in ordered],
        "metadata": metadata_of(prompt),
    }
