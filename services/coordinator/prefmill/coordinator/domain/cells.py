"""Desired minus stored, for one row: which cells it lacks. Pure, and the only place that knows."""

import hashlib
from typing import NamedTuple

from prefmill.coordinator.domain.plan import Plan, PlanSlot
from prefmill.ledger.desired import Generation, answer_key
from prefmill.ledger.planning import CellKey, RowState


class Lacking(NamedTuple):
    """A cell that is wanted and not closed, with its next attempt."""

    slot: PlanSlot
    key: CellKey
    attempt: int
    last: bool
    digest: bytes
    order: tuple[int, ...] = ()

    @property
    def seed(self) -> int:
        """63 bits of the request digest."""
        return int.from_bytes(self.digest[:8], "big") >> 1


def usable(row: RowState, plan: Plan) -> list[tuple[Generation, bytes]]:
    """The row's usable generations in draw order, each with the SHA-256 of its text."""
    generations = plan.desired.generations(row.models, plan.given if row.given else None)
    return [(cell, row.answers[cell]) for _, cell in generations if cell in row.answers]


def lacking(row: RowState, plan: Plan) -> list[Lacking]:
    """The cells a row lacks now: answers first; verdicts once every answer is closed and enough
    of them are usable. Empty when the row is done."""
    return ([] if row.given else _lacking_answers(row, plan)) or _lacking_verdicts(row, plan)


def _lacking_answers(row: RowState, plan: Plan) -> list[Lacking]:
    cells = [cell for _, cell in plan.desired.generations(row.models, None)]
    keys = [answer_key(cell) for cell in cells if cell not in row.answers]
    return [_next(row, plan, key, row.content) for key in keys if key not in row.failures]


def _lacking_verdicts(row: RowState, plan: Plan) -> list[Lacking]:
    shown = usable(row, plan)
    content = row.content + b"".join([sha for _, sha in shown])
    return [
        _next(row, plan, key, content, len(shown))
        for _, key in plan.desired.verdicts(shown)
        if key not in row.verdicts and key not in row.failures
    ]


def _next(row: RowState, plan: Plan, key: CellKey, content: bytes, texts: int = 0) -> Lacking:
    slot = plan.slots[key.slot_id]
    made, counted = row.attempts.get(key, (0, 0))
    digest = first = request_digest(plan.seed, slot.model.key, key, 0, content)
    if made:
        digest = request_digest(plan.seed, slot.model.key, key, made, content)
    last = counted + 1 >= plan.attempts
    return Lacking(slot, key, made, last, digest, _order(first, made, texts) if texts else ())


def request_digest(seed: int, slot: bytes, key: CellKey, attempt: int, content: bytes) -> bytes:
    """SHA-256 of everything that determines an answer: the slot's key holds engine, model,
    parameters, rubric and templates; `content` what is asked, with the texts to be judged."""
    asked = f"{seed}|{key.aspect}|{key.sample}|{attempt}|".encode()
    return hashlib.sha256(asked + slot + content).digest()


def _order(first: bytes, attempt: int, texts: int) -> tuple[int, ...]:
    """A shuffle by the digest of the first attempt; each further one turns it, so that asking
    again is another request also for an engine without seeds."""
    if 4 * texts > len(first):
        first = hashlib.shake_128(first).digest(4 * texts)
    order = sorted(range(texts), key=lambda text: first[4 * text : 4 * text + 4])
    turn = attempt % texts
    return (*order[turn:], *order[:turn])
