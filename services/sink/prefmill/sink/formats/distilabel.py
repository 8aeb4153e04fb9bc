"""`distilabel`: the columns that code written for distilabel's UltraFeedback task reads.

One judge: `ratings`, `rationales`, `ultrafeedback_model`; a jury: `poll_ratings` and its kin. With
several aspects, whose columns would collide, one config each: `distilabel-<aspect>`.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Final

from prefmill.contracts.reasons import TOO_FEW_GENERATIONS, TOO_FEW_VERDICTS
from prefmill.contracts.results import Reading
from prefmill.contracts.rows import Prompt, Verdict
from prefmill.plugins.format import FormatContext, ScoredRow, Written
from prefmill.sink.domain.merging import merged
from prefmill.sink.domain.pooling import is_usable
from prefmill.sink.formats.columns import (
    INTEGER,
    SCORES,
    TEXT,
    TEXTS,
    ArrowType,
    NoOptions,
    Record,
    Schema,
    dropped,
    list_of,
    metadata_of,
    model_of,
    schema_of,
    unusable,
)
from prefmill.sink.pools.columns import by_column
from prefmill.sink.pools.mean import mean

TYPED: Final = frozenset({"helpfulness", "truthfulness"})
"""Aspects that list types first (UltraFeedback, appendix on annotation templates)."""

TASK: Final[dict[str, ArrowType]] = {
    "instruction": TEXT,
    "system_prompt": TEXT,
    "generations": TEXTS,
    "generation_models": TEXTS,
}
SINGLE: Final[dict[str, ArrowType]] = {"ratings": SCORES, "rationales": TEXTS}
SINGLE_TYPED: Final[dict[str, ArrowType]] = {
    "types": list_of(TEXTS),
    "rationales": TEXTS,
    "ratings": SCORES,
    "rationales-for-ratings": TEXTS,
}
JURY: Final[dict[str, ArrowType]] = {
    "poll_ratings": list_of(SCORES),
    "poll_rationales": list_of(TEXTS),
    "poll_models": TEXTS,
    "avg_poll_ratings": SCORES,
    "poll_counts": list_of(INTEGER),
}
JURY_TYPED: Final[dict[str, ArrowType]] = {
    "poll_types": list_of(list_of(TEXTS)),
    "poll_rationales-for-ratings": list_of(TEXTS),
}


class DistilabelFormat:
    """One record for each prompt whose aspect got a usable verdict; failed generations stay
    null, and so do their ratings. One usable generation is enough."""

    Options: ClassVar = NoOptions
    training: ClassVar = False

    def __init__(self, options: NoOptions, context: FormatContext) -> None:
        self.options = options
        self.context = context

    def configs(self) -> dict[str, Schema]:
        """`distilabel`, or one `distilabel-<aspect>` for each of several aspects."""
        return {name: self._schema(aspect) for name, aspect in self._aspects().items()}

    def write(self, row: ScoredRow) -> dict[str, Written]:
        """One record in each config."""
        return {name: self._written(row, aspect) for name, aspect in self._aspects().items()}

    def _aspects(self) -> dict[str, str]:
        """Config name → aspect; no aspect where the recipe has no judge."""
        aspects = self.context.aspects if self.context.judges else ()
        if len(aspects) < 2:
            return {"distilabel": "".join(aspects)}
        return {f"distilabel-{aspect}": aspect for aspect in aspects}

    def _schema(self, aspect: str) -> Schema:
        if not aspect:
            return schema_of(**TASK)
        if len(self.context.judges) == 1:
            columns = SINGLE_TYPED if aspect in TYPED else SINGLE
            return schema_of(**TASK, **columns, ultrafeedback_model=TEXT)
        return schema_of(**TASK, **JURY, **(JURY_TYPED if aspect in TYPED else {}))

    def _written(self, row: ScoredRow, aspect: str) -> Written:
        verdicts = self._verdicts(row, aspect)
        reason = unusable(row) or _unjudged(row, aspect, list(verdicts.values()))
        if reason is not None:
            return dropped(reason)
        return Written((_task(row) | self._judged(row, aspect, verdicts),), "out")

    def _verdicts(self, row: ScoredRow, aspect: str) -> dict[str, Verdict]:
        """Judge → its first sample for the aspect."""
        verdicts: dict[str, Verdict] = {}
        mine = [verdict for verdict in row.row.verdicts if verdict.aspect == aspect]
        for verdict in merged(mine):
            if verdict.judge in self.context.judges:
                verdicts.setdefault(verdict.judge, verdict)
        return verdicts

    def _judged(self, row: ScoredRow, aspect: str, verdicts: dict[str, Verdict]) -> Record:
        if not aspect:
            return {}
        if len(self.context.judges) == 1:
            return _single(row, verdicts[self.context.judges[0]], aspect)
        return _jury(row, [(judge, verdicts.get(judge)) for judge in self.context.judges], aspect)


def _unjudged(row: ScoredRow, aspect: str, verdicts: list[Verdict]) -> str | None:
    if all(generation.text is None for generation in row.row.generations):
        return TOO_FEW_GENERATIONS
    if row.dropped not in (None, TOO_FEW_GENERATIONS):
        return row.dropped
    return TOO_FEW_VERDICTS if aspect and not any(map(is_usable, verdicts)) else None


def _task(row: ScoredRow) -> Record:
    prompt, generations = row.row.prompt, row.row.generations
    return {
        "id": prompt.id,
        "instruction": prompt.instruction,
        "system_prompt": _system(prompt),
        "generations": [generation.text for generation in generations],
        "generation_models": [model_of(generation) for generation in generations],
        "metadata": metadata_of(prompt),
    }


def _system(prompt: Prompt) -> str | None:
    first = prompt.messages[0]
    return first.content if first.role == "system" else None


def _single(row: ScoredRow, verdict: Verdict, aspect: str) -> Record:
    record: Record = {
        "ratings": _each(row, verdict, _rating),
        "rationales": _each(row, verdict, _rationale),
        "ultrafeedback_model": verdict.judge_model or verdict.judge,
    }
    if aspect in TYPED:
        record["types"] = _each(row, verdict, _types)
        record["rationales-for-ratings"] = _each(row, verdict, _rationale_for_rating)
    return record


def _jury(row: ScoredRow, verdicts: list[tuple[str, Verdict | None]], aspect: str) -> Record:
    given = [verdict for _, verdict in verdicts]
    ratings = [_each(row, verdict, _rating) for verdict in given]
    record: Record = {
        "poll_ratings": ratings,
        "poll_rationales": [_each(row, verdict, _rationale) for verdict in given],
        "poll_models": [(v.judge_model if v else "") or judge for judge, v in verdicts],
        "avg_poll_ratings": by_column(ratings, mean),
        "poll_counts": [len(ratings) - column.count(None) for column in zip(*ratings, strict=True)],
    }
    if aspect in TYPED:
        record["poll_types"] = [_each(row, verdict, _types) for verdict in given]
        record["poll_rationales-for-ratings"] = [
            _each(row, verdict, _rationale_for_rating) for verdict in given
        ]
    return record


def _each(row: ScoredRow, verdict: Verdict | None, part: Callable[[Reading], Any]) -> list[Any]:
    """`part` of each generation's reading; None where there is no reading."""
    readings = verdict.readings if verdict else ()
    missing = len(row.row.generations) - len(readings)
    return [part(reading) for reading in readings] + [None] * missing


def _rating(reading: Reading) -> float | None:
    return reading.rating


def _rationale(reading: Reading) -> str | None:
    return reading.rationale


def _types(reading: Reading) -> tuple[str, ...] | None:
    return reading.types


def _rationale_for_rating(reading: Reading) -> str | None:
    return reading.rationale_for_rating
