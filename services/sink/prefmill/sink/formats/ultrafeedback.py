"""`ultrafeedback`: the column layout of the released UltraFeedback data (arXiv 2310.01377).

Ratings are strings there. Of several judges the first of the recipe speaks, in each aspect.
"""

from collections.abc import Iterator
from typing import ClassVar, Final

from prefmill.contracts.reasons import NOT_APPLICABLE, RATED, TOO_FEW_GENERATIONS
from prefmill.contracts.results import Reading
from prefmill.contracts.rows import Generation, Prompt, Verdict
from prefmill.plugins.format import ScoredRow, Written
from prefmill.sink.domain.pooling import is_usable
from prefmill.sink.formats.columns import (
    SCORE,
    TEXT,
    TEXTS,
    ArrowType,
    Record,
    dropped,
    list_of,
    metadata_of,
    model_of,
    struct_of,
    unusable,
)
from prefmill.sink.formats.one import OneConfig
from prefmill.sink.pools.mean import mean

RATED_ASPECT: Final[ArrowType] = struct_of(Rating=TEXT, Rationale=TEXT)
TYPED_ASPECT: Final[ArrowType] = struct_of(
    **{"Type": TEXTS, "Rationale": TEXT, "Rating": TEXT, "Rationale For Rating": TEXT}
)
ASPECTS: Final[dict[str, ArrowType]] = {
    "instruction-following": RATED_ASPECT,
    "honesty": RATED_ASPECT,
    "truthfulness": TYPED_ASPECT,
    "helpfulness": TYPED_ASPECT,
}
CRITIQUE: Final = "critique"

ANNOTATIONS: Final[ArrowType] = struct_of(
    **{aspect.replace("-", "_"): columns for aspect, columns in ASPECTS.items()}
)
COMPLETION: Final[ArrowType] = struct_of(
    **{
        "model": TEXT,
        "principle": TEXT,
        "custom_system_prompt": TEXT,
        "response": TEXT,
        "annotations": ANNOTATIONS,
        "critique": TEXT,
        "overall_score": SCORE,
        "fine-grained_score": SCORE,
    }
)
COLUMNS: Final[dict[str, ArrowType]] = {
    "source": TEXT,
    "instruction": TEXT,
    "models": TEXTS,
    "correct_answers": TEXTS,
    "incorrect_answers": TEXTS,
    "completions": list_of(COMPLETION),
}


class UltrafeedbackFormat(OneConfig):
    """One record a prompt with one usable generation at least.

    An aspect nobody was asked about is null, and so are `critique` and `overall_score` without a
    critique. `fine-grained_score` is the mean of the four aspects' ratings, those that are not
    applicable left out.
    """

    training: ClassVar = False
    name: ClassVar = "ultrafeedback"
    columns: ClassVar = COLUMNS

    def written(self, row: ScoredRow) -> Written:
        """One record, or why there is none."""
        reason = unusable(row)
        if reason is None and all(given.text is None for given in row.row.generations):
            reason = TOO_FEW_GENERATIONS
        if reason is not None:
            return dropped(reason)
        return Written((_record(row, self._verdicts(row)),), "out")

    def _verdicts(self, row: ScoredRow) -> list[Verdict]:
        """The usable verdicts, those of the recipe's first judge first."""
        known = [verdict for verdict in row.row.verdicts if verdict.judge in self.context.judges]
        usable = [verdict for verdict in known if is_usable(verdict)]
        return sorted(usable, key=lambda verdict: self.context.judges.index(verdict.judge))


def _record(row: ScoredRow, verdicts: list[Verdict]) -> Record:
    prompt, reference = row.row.prompt, row.row.prompt.reference
    source = prompt.metadata.get("source")
    return {
        "id": prompt.id,
        "source": source if isinstance(source, str) else None,
        "instruction": prompt.instruction,
        "models": [model_of(generation) for generation in row.row.generations],
        "correct_answers": list(reference.correct) if reference else [],
        "incorrect_answers": list(reference.incorrect) if reference else [],
        "completions": [
            _completion(prompt, generation, dict(_readings(verdicts, place)))
            for place, generation in enumerate(row.row.generations)
        ],
        "metadata": metadata_of(prompt),
    }


def _readings(verdicts: list[Verdict], place: int) -> Iterator[tuple[str, Reading]]:
    """Aspect → what is said of one generation; of several verdicts on an aspect, the first."""
    for verdict in reversed(verdicts):
        aspect = CRITIQUE if verdict.rubric == CRITIQUE else verdict.aspect
        if place < len(verdict.readings) and verdict.readings[place].status in _SAID:
            yield aspect, verdict.readings[place]


_SAID: Final = (RATED, NOT_APPLICABLE)


def _completion(prompt: Prompt, generation: Generation, readings: dict[str, Reading]) -> Record:
    critique = readings.get(CRITIQUE)
    ratings = [r.rating for aspect in ASPECTS if (r := readings.get(aspect)) is not None]
    rated = [rating for rating in ratings if rating is not None]
    return {
        "model": model_of(generation),
        "principle": generation.principle,
        "custom_system_prompt": generation.system or _system(prompt),
        "response": generation.text,
        "annotations": {
            aspect.replace("-", "_"): _annotation(readings.get(aspect), typed is TYPED_ASPECT)
            for aspect, typed in ASPECTS.items()
        },
        "critique": critique.rationale if critique else None,
        "overall_score": critique.rating if critique else None,
        "fine-grained_score": mean(rated) if rated else None,
    }


def _annotation(reading: Reading | None, typed: bool) -> Record | None:
    if reading is None:
        return None
    record: Record = {"Rating": _rating(reading), "Rationale": reading.rationale}
    if not typed:
        return record
    types = list(reading.types) if reading.types else ["None"]
    return {"Type": types, **record, "Rationale For Rating": reading.rationale_for_rating}


def _rating(reading: Reading) -> str:
    return "N/A" if reading.rating is None else f"{reading.rating:g}"


def _system(prompt: Prompt) -> str | None:
    first = prompt.messages[0]
    return first.content if first.role == "system" and first.content else None
