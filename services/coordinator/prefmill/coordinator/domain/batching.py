"""Cells become batches: bounded in rows when planned, in bytes when published."""

from binascii import hexlify
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

from pydantic_core import to_json

from prefmill.coordinator.domain.cells import Lacking, usable
from prefmill.coordinator.domain.plan import Carried, Plan, PlanSlot, conversation
from prefmill.ledger.row_states import RowState
from prefmill.ledger.rows import Asked
from prefmill.plugins.principles import Drawn

ROWS: Final = 32
"""Of a batch, unless its lane is so fast that it can be larger."""
BYTES: Final = 256 * 1024


def group(
    cells: Iterable[tuple[int, Lacking]],
    *,
    alone: frozenset[int] = frozenset(),
    most: Callable[[str], int] = lambda _: ROWS,
) -> list[tuple[int, str, dict[int, list[Lacking]]]]:
    """(slot, lane, row → cells) of the batches that carry these cells (position, cell), each of
    at most `most(lane)` rows; rows of a batch that died travel alone."""
    by_slot: defaultdict[tuple[int, str], defaultdict[int, list[Lacking]]]
    by_slot = defaultdict(lambda: defaultdict(list))
    for position, cell in cells:
        by_slot[cell.slot.id, cell.slot.lane][position].append(cell)
    batches: list[tuple[int, str, dict[int, list[Lacking]]]] = []
    for (slot, lane), rows in sorted(by_slot.items()):
        batches += [(slot, lane, {row: rows[row]}) for row in rows if row in alone]
        together = [row for row in rows if row not in alone]
        batches += [
            (slot, lane, {row: rows[row] for row in part}) for part in _parts(together, most(lane))
        ]
    return batches


def _parts(rows: Sequence[int], most: int) -> list[Sequence[int]]:
    """As few parts as can be, and as equal: a batch of two rows costs what a full one does."""
    count = -(-len(rows) // most)
    bounds = [len(rows) * part // max(1, count) for part in range(count + 1)]
    return [rows[start:end] for start, end in pairwise(bounds)]


def generate_rows(
    slot: PlanSlot, plan: Plan, carried: Carried, prompts: Mapping[int, Asked]
) -> list[bytes]:
    """Each row of a GenerateBatch as JSON of GenerateRow. Put together from what changes and what
    does not: with the models it would take half of the coordinator's time, as one document a
    quarter; the tests read every message with them."""
    if plan.desired.principles is None:
        return [
            _generate_row(slot, plan, prompts[row.position], row, cells) for row, cells in carried
        ]
    return [
        b",".join(
            [
                _generate_row(slot, plan, prompts[row.position], row, same, drawn)
                for drawn, same in _alike(plan, row, cells)
            ]
        )
        for row, cells in carried
    ]


def _alike(
    plan: Plan, row: RowState, cells: Sequence[Lacking]
) -> list[tuple[Drawn | None, Sequence[Lacking]]]:
    """The answers wanted of a row, by what they are told: those of one principle together."""
    by_drawn: defaultdict[Drawn | None, list[Lacking]] = defaultdict(list)
    for cell in cells:
        by_drawn[plan.drawn(row, (cell.slot.id, cell.key.sample))].append(cell)
    return list(by_drawn.items())


def _generate_row(
    slot: PlanSlot,
    plan: Plan,
    prompt: Asked,
    row: RowState,
    cells: Sequence[Lacking],
    drawn: Drawn | None = None,
) -> bytes:
    system = plan.resolved.recipe.generate.system
    told = b""
    if drawn:
        told = b',"principle":%b,"system":%b' % (to_json(drawn.principle), to_json(drawn.wording))
    messages = to_json(conversation(prompt.messages, slot.model, system, drawn))
    wanted = b",".join([b"{%b%b}" % (_cell(cell), told) for cell in cells])
    return b'{"row":%d,"messages":%b,"cells":[%b]}' % (row.position, messages, wanted)


def judge_rows(
    plan: Plan,
    carried: Carried,
    prompts: Mapping[int, Asked],
    texts: Mapping[int, Mapping[tuple[int, int], str]],
) -> list[bytes]:
    """Each row of a JudgeBatch as JSON of JudgeRow."""
    return [
        _judge_row(plan, row, cells, prompts[row.position], texts[row.position])
        for row, cells in carried
    ]


def _judge_row(
    plan: Plan,
    row: RowState,
    cells: list[Lacking],
    prompt: Asked,
    texts: Mapping[tuple[int, int], str],
) -> bytes:
    shown = [generation for generation, _ in usable(row, plan)]
    asked: dict[str, object] = {
        "row": row.position,
        "instruction": prompt.messages[-1]["content"],
        "history": prompt.messages[:-1],
        "reference": prompt.reference,
        "generations": [texts[generation] for generation in shown],
    }
    if plan.desired.principles is not None:
        told = [plan.drawn(row, generation) for generation in shown]
        asked["principles"] = [one and one.wording for one in told] if any(told) else ()
    wanted = b",".join([b"{%b%b}" % (_cell(cell), _about(cell)) for cell in cells])
    return b'%b,"cells":[%b]}' % (to_json(asked)[:-1], wanted)


def _cell(cell: Lacking) -> bytes:
    """The fields of a wanted cell, without the braces."""
    return b'"sample":%d,"attempt":%d,"last":%b,"seed":%d,"digest":"%b"' % (
        cell.key.sample,
        cell.attempt,
        b"true" if cell.last else b"false",
        cell.seed,
        hexlify(cell.digest),
    )


def _about(cell: Lacking) -> bytes:
    """What more there is to say of a verdict that is wanted."""
    order = b",".join([b"%d" % place for place in cell.order])
    aspect, target = _aspect(cell.key.aspect), hexlify(cell.key.target)
    return b',"aspect":%b,"target":"%b","order":[%b]' % (aspect, target, order)


@lru_cache(1024)
def _aspect(name: str) -> bytes:
    return to_json(name)


def message(batch_id: int, slot: PlanSlot, plan: Plan, rows: Sequence[bytes]) -> bytes:
    """The batch as it travels: JSON of GenerateBatch or JudgeBatch."""
    lane = slot.model.lane
    head: dict[str, object] = {
        "id": str(batch_id),
        "run": plan.run_id,
        "slot": slot.id,
        "lane": lane.slug,
        "lane_digest": lane.digest,
        "params": slot.model.params.model_dump(mode="json", exclude_defaults=True),
    }
    rubric = slot.model.rubric
    if rubric:
        head |= {"rubric": rubric.name, "rubric_options": rubric.options}
        head |= {"plugins": rubric.files} if rubric.files else {}
    return to_json(head)[:-1] + b',"rows":[' + b",".join(rows) + b"]}"


def fitting(rows: Sequence[bytes], limit: int = BYTES) -> int:
    """How many of the rows, at least one, make a message of about `limit` bytes."""
    total = 0
    for count, row in enumerate(rows):
        total += len(row)
        if total > limit:
            return max(1, count)
    return len(rows)
