"""A stored row becomes a finished one: its generations in draw order, its verdicts by judge."""

from collections.abc import Mapping, Sequence
from typing import Final

from prefmill.contracts.reasons import MISSING_GENERATION, NOT_FINISHED, NOT_SHOWN
from prefmill.contracts.results import Reading
from prefmill.contracts.rows import FinishedRow, Generation, Verdict
from prefmill.ledger.desired import Desired, WantedVerdict, answer_key
from prefmill.ledger.finished import StoredRow
from prefmill.plugins.principles import Principles, source_of
from prefmill.sink.domain.shown import name_of


def finished(row: StoredRow, desired: Desired, given: Mapping[str, int]) -> FinishedRow:
    """The row as a revision wants it. Verdicts on another set of generations than the row now
    has are left out; cells that are wanted and not closed are counted."""
    if row.prompt.failure is not None:
        return FinishedRow(position=row.position, prompt=row.prompt)
    cells = desired.generations(row.models, given if row.given else None)
    principles = None if row.given else desired.principles
    generations = [_generation(row, alias, cell, principles) for alias, cell in cells]
    open_answers = 0 if row.given else sum(_is_open(generation) for generation in generations)
    usable = [i for i, generation in enumerate(generations) if generation.text is not None]
    shown = [(cells[i][1], row.answers[cells[i][1]].text_sha) for i in usable]
    wanted = list(desired.verdicts(shown)) if not open_answers else []
    verdicts = [_verdict(row, cell, usable, len(cells)) for cell in wanted]
    return FinishedRow(
        position=row.position,
        prompt=row.prompt,
        generations=tuple(generations),
        verdicts=tuple(verdict for verdict in verdicts if verdict is not None),
        open_cells=open_answers + sum(verdict is None for verdict in verdicts),
    )


def _is_open(generation: Generation) -> bool:
    return generation.text is None and generation.failure is None


def _generation(
    row: StoredRow, alias: str, cell: tuple[int, int], principles: Principles | None
) -> Generation:
    drawn = principles and principles.draw(row.content, source_of(row.prompt), alias, cell[1])
    answer = row.answers.get(cell)
    key = answer_key(cell)
    failure = row.failures.get((key.slot_id, key.aspect, key.sample, key.target))
    return Generation(
        model=alias,
        model_id=name_of(answer.model) if answer else "",
        sample=cell[1],
        text=answer.text if answer else None,
        failure=None if answer else failure,
        principle=drawn.principle if drawn else None,
        system=drawn.wording if drawn else None,
    )


def _verdict(
    row: StoredRow, wanted: WantedVerdict, usable: list[int], texts: int
) -> Verdict | None:
    """The verdict with readings for all generations of the row; None while its cell is open."""
    rubric = wanted.rubric
    stored, failure = row.verdicts.get(wanted.key), row.failures.get(wanted.key)
    if stored is None and failure is None:
        return None
    shown = [usable[index] for index in sorted(wanted.shown)]
    unread = Reading(status=failure.reason if failure else NOT_FINISHED)
    return Verdict(
        judge=wanted.judge,
        judge_model=name_of(stored.model) if stored else "",
        rubric=rubric.label,
        shows=rubric.shows,
        aspect=rubric.name_of(wanted.key.aspect),
        sample=wanted.key.sample,
        order=tuple(shown[place] for place in stored.order) if stored else (),
        readings=_placed(
            stored.readings if stored else [unread] * len(shown), shown, usable, texts
        ),
        raw=stored.raw if stored else None,
    )


def _placed(
    given: Sequence[Reading], shown: Sequence[int], usable: Sequence[int], texts: int
) -> tuple[Reading, ...]:
    """Readings of the generations shown, among those of the whole row."""
    readings = [_MISSING] * texts
    for index in usable if len(shown) < len(usable) else ():
        readings[index] = _NOT_SHOWN
    for index, reading in zip(shown, given, strict=True):
        readings[index] = reading
    return tuple(readings)


_MISSING: Final = Reading(status=MISSING_GENERATION)
_NOT_SHOWN: Final = Reading(status=NOT_SHOWN)
