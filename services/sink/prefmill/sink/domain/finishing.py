"""A stored row becomes a finished one: its generations in draw order, its verdicts by judge."""

from collections.abc import Iterable, Mapping

from prefmill.contracts.reasons import MISSING_GENERATION, NOT_FINISHED
from prefmill.contracts.results import Reading
from prefmill.contracts.rows import FinishedRow, Generation, Verdict
from prefmill.ledger.desired import Desired, answer_key
from prefmill.ledger.finished import StoredRow, StoredVerdict
from prefmill.ledger.planning import CellKey


def finished(row: StoredRow, desired: Desired, given: Mapping[str, int]) -> FinishedRow:
    """The row as a revision wants it. Verdicts on another set of generations than the row now
    has are left out; cells that are wanted and not closed are counted."""
    if row.prompt.failure is not None:
        return FinishedRow(position=row.position, prompt=row.prompt)
    cells = desired.generations(row.models, given if row.given else None)
    generations = [_generation(row, alias, cell) for alias, cell in cells]
    open_answers = 0 if row.given else sum(_is_open(generation) for generation in generations)
    usable = [i for i, generation in enumerate(generations) if generation.text is not None]
    shown = [(cells[i][1], row.answers[cells[i][1]].text_sha) for i in usable]
    wanted = list(desired.verdicts(shown)) if not open_answers else []
    verdicts = [_verdict(row, desired, alias, key, usable, len(cells)) for alias, key in wanted]
    return FinishedRow(
        position=row.position,
        prompt=row.prompt,
        generations=tuple(generations),
        verdicts=tuple(verdict for verdict in verdicts if verdict is not None),
        open_cells=open_answers + sum(verdict is None for verdict in verdicts),
    )


def _is_open(generation: Generation) -> bool:
    return generation.text is None and generation.failure is None


def _generation(row: StoredRow, alias: str, cell: tuple[int, int]) -> Generation:
    answer = row.answers.get(cell)
    key = answer_key(cell)
    failure = row.failures.get((key.slot_id, key.aspect, key.sample, key.target))
    return Generation(
        model=alias,
        model_id=answer.model if answer else "",
        sample=cell[1],
        text=answer.text if answer else None,
        failure=None if answer else failure,
    )


def _verdict(
    row: StoredRow, desired: Desired, alias: str, key: CellKey, usable: list[int], texts: int
) -> Verdict | None:
    """The verdict with readings for all generations of the row; None while its cell is open."""
    stored = row.verdicts.get((key.slot_id, key.aspect, key.sample, key.target))
    failure = row.failures.get((key.slot_id, key.aspect, key.sample, key.target))
    if stored is None and failure is None:
        return None
    reason = failure.reason if failure else NOT_FINISHED
    missing = Reading(status=MISSING_GENERATION)
    unread = Reading(status=reason)
    readings = [missing] * texts
    for index, reading in zip(usable, _readings(stored, unread, len(usable)), strict=True):
        readings[index] = reading
    return Verdict(
        judge=alias,
        judge_model=stored.model if stored else "",
        rubric=desired.rubric,
        aspect=key.aspect,
        sample=key.sample,
        order=tuple(usable[i] for i in stored.order) if stored else (),
        readings=tuple(readings),
        raw=stored.raw if stored else None,
    )


def _readings(stored: StoredVerdict | None, unread: Reading, texts: int) -> Iterable[Reading]:
    return stored.readings if stored else [unread] * texts
