"""Desired minus stored, for one row: which cells it lacks. Pure, and the only place that knows."""

import hashlib
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from prefmill.coordinator.domain.plan import Plan, PlanSlot
from prefmill.ledger.desired import Generation, Shown, WantedVerdict, answer_key
from prefmill.ledger.row_states import CellKey, RowState

ANY_SLOT: Final = 0
"""The slot of rows to be looked at whatever is stored for them."""

EVERY: Final = frozenset({ANY_SLOT})


class Lacking(NamedTuple):
    """A cell that is wanted and not closed, with its next attempt. All attempts have the digest of
    the first: whichever of them was answered, here or elsewhere, has closed the cell."""

    slot: PlanSlot
    key: CellKey
    attempt: int
    last: bool
    digest: bytes
    chance: bytes
    """Another for each attempt."""
    order: tuple[int, ...] = ()

    @property
    def seed(self) -> int:
        """63 bits, of the attempt."""
        return int.from_bytes(self.chance[:8], "big") >> 1


def usable(row: RowState, plan: Plan) -> list[tuple[Generation, bytes]]:
    """The row's usable generations in draw order, each with the SHA-256 of its text."""
    return [(cell, row.answers[cell]) for cell in plan.generations(row) if cell in row.answers]


def lacking(row: RowState, plan: Plan, closed: Collection[int] = EVERY) -> list[Lacking]:
    """The cells a row lacks now: answers first; verdicts once every answer is closed and enough
    of them are usable. Empty when the row is done.

    Given the slots of the batches that just `closed` for the row, only the cells that are wanted
    because of it: a cell of another slot is carried by a live batch of that slot; verdicts become
    wanted when the last answer closes."""
    keys = [] if row.given else _open_answers(row, plan)
    if keys:
        every = ANY_SLOT in closed
        return [
            _next(row, plan, key, row.content + _told(row, plan, [(key.slot_id, key.sample)]))
            for key in keys
            if every or key.slot_id in closed
        ]
    return _lacking_verdicts(row, plan, closed)


def _open_answers(row: RowState, plan: Plan) -> list[CellKey]:
    keys = [answer_key(cell) for cell in plan.generations(row) if cell not in row.answers]
    return [key for key in keys if key not in row.failures] if row.failures else keys


def _lacking_verdicts(row: RowState, plan: Plan, closed: Collection[int]) -> list[Lacking]:
    shown = usable(row, plan)
    every = ANY_SLOT in closed or not plan.generating.isdisjoint(closed)
    texts: dict[Shown, bytes] = {}
    found: list[Lacking] = []
    for wanted in plan.desired.verdicts(shown):
        key = wanted.key
        if key in row.verdicts or key in row.failures or not (every or key.slot_id in closed):
            continue
        if wanted.shown not in texts:
            texts[wanted.shown] = _texts(
                row, plan, [shown[index] for index in sorted(wanted.shown)]
            )
        content = row.content + _question(wanted) + texts[wanted.shown] + _turned(wanted)
        found.append(_next(row, plan, key, content, wanted))
    return found


def _question(wanted: WantedVerdict) -> bytes:
    return bytes.fromhex(wanted.rubric.aspects[wanted.key.aspect])


def _texts(row: RowState, plan: Plan, shown: Sequence[tuple[Generation, bytes]]) -> bytes:
    """The texts a judge is shown, in the row's order, and what their writers had been told."""
    return b"".join([text for _, text in shown]) + _told(row, plan, [cell for cell, _ in shown])


def _turned(wanted: WantedVerdict) -> bytes:
    """A pair shown the other way round is another question."""
    pair = wanted.rubric.shows == "pairs"
    return b"turned" if pair and wanted.shown[0] > wanted.shown[1] else b""


def _told(row: RowState, plan: Plan, answers: Sequence[Generation]) -> bytes:
    """The principles that these answers were told to live up to: empty without any."""
    if plan.desired.principles is None:
        return b""
    drawn = [plan.drawn(row, answer) for answer in answers]
    return b"".join([b"\0" + one.wording.encode() if one else b"\0" for one in drawn])


def _next(
    row: RowState, plan: Plan, key: CellKey, content: bytes, wanted: WantedVerdict | None = None
) -> Lacking:
    slot = plan.slots[key.slot_id]
    made, counted = row.attempts.get(key, (0, 0)) if row.attempts else (0, 0)
    digest = chance = request_digest(plan.seed, slot.model.answers, key, 0, content)
    if made:
        chance = request_digest(plan.seed, slot.model.answers, key, made, content)
    last = counted + 1 >= plan.attempts
    order: tuple[int, ...] = ()
    if wanted:
        shuffled = wanted.rubric.shows == "all"
        order = _order(digest, made, len(wanted.shown)) if shuffled else wanted.shown
    return Lacking(slot, key, made, last, digest, chance, order)


def request_digest(seed: int, model: bytes, key: CellKey, attempt: int, content: bytes) -> bytes:
    """SHA-256 of everything that determines an answer: `model` stands for engine, model,
    parameters and rubric; `content` for what is asked: the row, the principle that is told, the
    templates, and the texts to be judged."""
    asked = f"{seed}|{key.aspect}|{key.sample}|{attempt}|".encode()
    return hashlib.sha256(asked + model + content).digest()


def _order(first: bytes, attempt: int, texts: int) -> tuple[int, ...]:
    """A shuffle by the digest of the first attempt; each further one turns it, so that asking
    again is another request also for an engine without seeds."""
    if 4 * texts > len(first):
        first = hashlib.shake_128(first).digest(4 * texts)
    order = sorted(
        range(texts), key=[first[at : at + 4] for at in range(0, 4 * texts, 4)].__getitem__
    )
    turn = attempt % texts
    return (*order[turn:], *order[:turn])
