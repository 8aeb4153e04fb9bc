"""Cells become batches: bounded in rows when planned, in bytes when published."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from prefmill.contracts.rows import Prompt
from prefmill.contracts.work import (
    GenerateBatch,
    GenerateCell,
    GenerateRow,
    JudgeBatch,
    JudgeCell,
    JudgeRow,
)
from prefmill.coordinator.domain.cells import Lacking, usable
from prefmill.coordinator.domain.plan import Plan, PlanSlot, conversation
from prefmill.ledger.desired import target_of
from prefmill.ledger.planning import RowState

ROWS: Final = 32
BYTES: Final = 256 * 1024


def group(
    cells: Iterable[tuple[int, Lacking]], *, alone: frozenset[int] = frozenset()
) -> list[tuple[int, str, list[int]]]:
    """(slot, lane, rows) of the batches that carry these cells (position, cell); rows of a batch
    that died travel alone."""
    by_slot: defaultdict[tuple[int, str], dict[int, None]] = defaultdict(dict)
    for position, cell in cells:
        by_slot[cell.slot.id, cell.slot.lane][position] = None
    batches: list[tuple[int, str, list[int]]] = []
    for (slot, lane), rows in sorted(by_slot.items()):
        batches += [(slot, lane, [row]) for row in rows if row in alone]
        together = [row for row in rows if row not in alone]
        batches += [
            (slot, lane, together[start : start + ROWS]) for start in range(0, len(together), ROWS)
        ]
    return batches


def generate_rows(
    slot: PlanSlot,
    plan: Plan,
    rows: Sequence[tuple[RowState, list[Lacking]]],
    prompts: Mapping[int, Prompt],
) -> list[GenerateRow]:
    """The rows of a GenerateBatch; rows that lack nothing of this slot are left out."""
    system = plan.resolved.recipe.generate.system
    fold = slot.model.spec.system == "fold"
    return [
        GenerateRow.model_construct(
            row=row.position,
            messages=conversation(prompts[row.position], system, fold=fold),
            cells=tuple(_generate_cell(cell) for cell in cells),
        )
        for row, cells in rows
        if cells
    ]


def _generate_cell(cell: Lacking) -> GenerateCell:
    return GenerateCell.model_construct(
        sample=cell.key.sample,
        attempt=cell.attempt,
        last=cell.last,
        seed=cell.seed,
        digest=cell.digest.hex(),
    )


def judge_rows(
    plan: Plan,
    rows: Sequence[tuple[RowState, list[Lacking]]],
    prompts: Mapping[int, Prompt],
    texts: Mapping[int, Mapping[tuple[int, int], str]],
) -> list[JudgeRow]:
    """The rows of a JudgeBatch; rows that lack nothing of this slot are left out."""
    return [
        _judge_row(plan, row, cells, prompts[row.position], texts[row.position])
        for row, cells in rows
        if cells
    ]


def _judge_row(
    plan: Plan,
    row: RowState,
    cells: list[Lacking],
    prompt: Prompt,
    texts: Mapping[tuple[int, int], str],
) -> JudgeRow:
    shown = usable(row, plan)
    return JudgeRow.model_construct(
        row=row.position,
        instruction=prompt.instruction,
        history=prompt.messages[:-1],
        reference=prompt.reference,
        generations=tuple(texts[generation] for generation, _ in shown),
        target=target_of(shown).hex(),
        cells=tuple(_judge_cell(cell) for cell in cells),
    )


def _judge_cell(cell: Lacking) -> JudgeCell:
    return JudgeCell.model_construct(
        aspect=cell.key.aspect,
        sample=cell.key.sample,
        attempt=cell.attempt,
        last=cell.last,
        seed=cell.seed,
        order=cell.order,
        digest=cell.digest.hex(),
    )


def message(
    batch_id: int, slot: PlanSlot, plan: Plan, rows: Sequence[GenerateRow] | Sequence[JudgeRow]
) -> GenerateBatch | JudgeBatch:
    """The batch as it travels."""
    lane = slot.model.lane
    if slot.model.kind == "generate":
        return GenerateBatch.model_construct(
            id=str(batch_id),
            run=plan.run_id,
            slot=slot.id,
            lane=lane.slug,
            lane_digest=lane.digest,
            params=slot.model.params,
            rows=tuple(rows),
        )
    rubric = plan.resolved.rubric
    assert rubric is not None
    return JudgeBatch.model_construct(
        id=str(batch_id),
        run=plan.run_id,
        slot=slot.id,
        lane=lane.slug,
        lane_digest=lane.digest,
        params=slot.model.params,
        rubric=rubric.name,
        rubric_options=rubric.options,
        rows=tuple(rows),
    )


def fitting(rows: Sequence[GenerateRow | JudgeRow], limit: int = BYTES) -> int:
    """How many of the rows, at least one, make a message of at most `limit` bytes."""
    total = 0
    for count, row in enumerate(rows):
        total += _size(row)
        if total > limit:
            return max(1, count)
    return len(rows)


def _size(row: GenerateRow | JudgeRow) -> int:
    overhead = 256 * (1 + len(row.cells))
    if isinstance(row, GenerateRow):
        return overhead + sum(_bytes(message.content) for message in row.messages)
    texts = (row.instruction, *row.generations, *(message.content for message in row.history))
    return overhead + sum(_bytes(text) for text in texts)


def _bytes(text: str) -> int:
    """An upper bound of the text's size as JSON, cheap where it is plain ASCII."""
    return len(text) + 64 if text.isascii() else 4 * len(text)
