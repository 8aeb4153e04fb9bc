"""`raw`: everything, one row a prompt. All other formats are views of it."""

from typing import ClassVar, Final

from prefmill.contracts.results import Reading
from prefmill.contracts.rows import Verdict
from prefmill.plugins.format import ScoredRow, Written
from prefmill.sink.formats.columns import (
    INTEGER,
    MESSAGES,
    SCORE,
    SCORES,
    TEXT,
    TEXTS,
    ArrowType,
    Record,
    dropped,
    list_of,
    messages_of,
    metadata_of,
    model_of,
    struct_of,
    unusable,
)
from prefmill.sink.formats.one import OneConfig

ATTRIBUTES: Final[ArrowType] = list_of(struct_of(name=TEXT, rating=SCORE))
"""Of one generation: ratings by attribute, where one answer gives several."""

REFERENCE: Final[ArrowType] = struct_of(correct=TEXTS, incorrect=TEXTS, note=TEXT)
"""Null where nothing is known about the right answer."""

VERDICT: Final[ArrowType] = struct_of(
    judge=TEXT,
    rubric=TEXT,
    aspect=TEXT,
    sample=INTEGER,
    order=list_of(INTEGER),
    ratings=SCORES,
    rationales=TEXTS,
    types=list_of(TEXTS),
    rationales_for_ratings=TEXTS,
    attributes=list_of(ATTRIBUTES),
    statuses=TEXTS,
    raw=TEXT,
)

NO_READING: Final = (None, None, None, None, None, None)

COLUMNS: Final[dict[str, ArrowType]] = {
    "instruction": TEXT,
    "messages": MESSAGES,
    "reference": REFERENCE,
    "generations": TEXTS,
    "generation_models": TEXTS,
    "principles": TEXTS,
    "principle_prompts": TEXTS,
    "scores": SCORES,
    "verdicts": list_of(VERDICT),
}


class RawFormat(OneConfig):
    """Rows that pairs cannot be made of are out as well: failed generations and verdicts stay,
    as nulls with their status. Only what was not loaded or is not finished is dropped."""

    training: ClassVar = False
    name: ClassVar = "raw"
    columns: ClassVar = COLUMNS

    def written(self, row: ScoredRow) -> Written:
        """One record."""
        reason = unusable(row)
        return dropped(reason) if reason else Written((record_of(row),), "out")


def record_of(scored: ScoredRow) -> Record:
    """The record of one row."""
    prompt, generations = scored.row.prompt, scored.row.generations
    return {
        "id": prompt.id,
        "instruction": prompt.instruction,
        "messages": messages_of(prompt.messages),
        "reference": prompt.reference and prompt.reference.plain(),
        "generations": [generation.text for generation in generations],
        "generation_models": [model_of(generation) for generation in generations],
        "principles": [generation.principle for generation in generations],
        "principle_prompts": [generation.system for generation in generations],
        "scores": scored.scores,
        "verdicts": [_verdict(verdict, len(generations)) for verdict in scored.row.verdicts],
        "metadata": metadata_of(prompt),
    }


def _verdict(verdict: Verdict, generations: int) -> Record:
    """Every inner list in the order of the generations; nulls where a failed verdict has none."""
    given = [
        (r.rating, r.rationale, r.types, r.rationale_for_rating, _attributes(r), r.status)
        for r in verdict.readings
    ]
    given += [NO_READING] * (generations - len(given))
    columns = zip(*given, strict=True) if given else ((),) * len(NO_READING)
    ratings, rationales, types, rationales_for_ratings, attributes, statuses = columns
    return {
        "judge": verdict.judge,
        "rubric": verdict.rubric,
        "aspect": verdict.aspect,
        "sample": verdict.sample,
        "order": verdict.order,
        "ratings": ratings,
        "rationales": rationales,
        "types": types,
        "rationales_for_ratings": rationales_for_ratings,
        "attributes": attributes,
        "statuses": statuses,
        "raw": verdict.raw,
    }


def _attributes(reading: Reading) -> list[Record] | None:
    if reading.attributes is None:
        return None
    return [{"name": name, "rating": rating} for name, rating in reading.attributes.items()]
