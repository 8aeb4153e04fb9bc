"""What one revision of a run wants, with the ledger's keys for it."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final

from pydantic_core import PydanticSerializationError, to_json

from prefmill.contracts.chat import Turn
from prefmill.contracts.rows import Prompt
from prefmill.contracts.workers import LaneSpec
from prefmill.coordinator.domain.resolved import Resolved, ResolvedModel
from prefmill.ledger.desired import Desired, Generation, subsets
from prefmill.ledger.row_states import RowState
from prefmill.plugins.digest import digest_of
from prefmill.plugins.principles import Drawn

if TYPE_CHECKING:
    from prefmill.coordinator.domain.cells import Lacking

REMEMBERED: Final = 256
"""Batches whose cells are kept, planned ones and those out; of others they are derived again."""

Carried = list[tuple[RowState, "list[Lacking]"]]
"""Rows with the cells that one batch asks of them."""


@dataclass(frozen=True)
class PlanSlot:
    """A model or judge with its slot in the ledger."""

    id: int
    model: ResolvedModel

    @property
    def lane(self) -> str:
        """Slug of its lane."""
        return self.model.lane.slug


@dataclass(frozen=True)
class Plan:
    """A revision, ready to say which cells a row lacks."""

    run_id: int
    revision: int
    resolved: Resolved
    desired: Desired
    given: dict[str, int]
    """Slots of those who wrote the responses that came with the data, by name; grows."""
    reuse: bool
    """Whether the ledger may hold equal answers of other runs or revisions."""
    carried: dict[int, "Carried"] = field(default_factory=dict[int, "Carried"])
    """What planned batches carry, until they are published: saves deriving it again."""
    judging: dict[int, "Carried"] = field(default_factory=dict[int, "Carried"])
    """What batches of verdicts carry that are out."""
    submitted: Mapping[str, str] = field(default_factory=dict[str, str])
    """Trace context of the submission, where it was traced by this process."""
    traces: dict[int, Mapping[str, str]] = field(default_factory=dict[int, Mapping[str, str]])
    """Those of planned batches, until they are published."""

    @cached_property
    def seed(self) -> int:
        """The recipe's seed."""
        return self.resolved.recipe.seed

    @cached_property
    def attempts(self) -> int:
        """Counted attempts a cell may take."""
        return self.resolved.recipe.limits.attempts

    @cached_property
    def slots(self) -> dict[int, PlanSlot]:
        """All slots of models and judges, by id; models first."""
        judges = (slot for rubric in self.desired.rubrics for slot in rubric.judges.values())
        ids = (*self.desired.models.values(), *judges)
        models = (*self.resolved.models, *self.resolved.judges)
        return {slot: PlanSlot(slot, model) for slot, model in zip(ids, models, strict=True)}

    def generations(self, row: RowState) -> Sequence[Generation]:
        """The cells of a row's answers in draw order, be they stored or not."""
        if row.given:
            return [cell for _, cell in self.desired.generations(row.models, self.given)]
        return self._generations(row.models)

    @cached_property
    def _generations(self) -> Callable[[tuple[str, ...]], Sequence[Generation]]:
        """By the models drawn: many rows have the same."""

        @lru_cache(4096)
        def cells(drawn: tuple[str, ...]) -> Sequence[Generation]:
            return [cell for _, cell in self.desired.generations(drawn, None)]

        return cells

    @cached_property
    def generating(self) -> frozenset[int]:
        """The slots of the models."""
        return frozenset(self.desired.models.values())

    @property
    def models(self) -> list[PlanSlot]:
        """The slots of the models."""
        return [self.slots[slot] for slot in self.desired.models.values()]

    @property
    def judges(self) -> list[PlanSlot]:
        """The slots of the judges, with one rubric each."""
        return [slot for slot in self.slots.values() if slot.model.kind == "judge"]

    @cached_property
    def texts_per_row(self) -> int:
        """Generations of a row, going by the first; two where they come with the data."""
        sampler = self.resolved.sampler
        return len(self.desired.generations(sampler.draw(0), None)) if sampler else 2

    def calls_per_row(self, slot: PlanSlot) -> int:
        """Calls that one row means on a slot, about."""
        if slot.model.rubric is None:
            return self.desired.samples.get(slot.model.alias, 1)
        rubric = slot.model.rubric
        verdicts = len(rubric.rubric.aspects) * len(subsets(rubric.shows, self.texts_per_row))
        return verdicts * self.desired.judge_samples.get(slot.model.alias, 1)

    @cached_property
    def calls_by_lane(self) -> dict[str, int]:
        """Most calls that one row of a batch means on each lane, about."""
        calls = dict.fromkeys(self.lanes, 1)
        for slot in self.slots.values():
            calls[slot.lane] = max(calls[slot.lane], self.calls_per_row(slot))
        return calls

    def drawn(self, row: RowState, generation: Generation) -> Drawn | None:
        """The principle of one answer; None where none was drawn. The row's source is known only
        where the revision has principles."""
        principles = self.desired.principles
        if principles is None or row.given:
            return None
        slot, sample = generation
        return principles.draw(row.content, row.source, self.slots[slot].model.alias, sample)

    @cached_property
    def lanes(self) -> dict[str, LaneSpec]:
        """All lanes this revision uses, by slug."""
        return {slot.lane: slot.model.lane for slot in self.slots.values()}


def content_of(prompt: Prompt) -> bytes:
    """SHA-256 of what a row asks: its conversation, its reference and its given responses."""
    turns = [(message.role, message.content) for message in prompt.messages]
    responses = [(given.model, given.text) for given in prompt.responses]
    if prompt.reference:
        return digest_of(turns, prompt.reference.plain(), responses)
    try:
        # The same bytes for a third of the time: there are no keys to be sorted.
        return hashlib.sha256(to_json((turns, None, responses))).digest()
    except PydanticSerializationError:  # a lone surrogate
        return digest_of(turns, None, responses)


def source_digest(resolved: Resolved) -> bytes:
    """SHA-256 of what a recipe says of its source and of what is done to its rows, the number of
    rows aside."""
    source = {key: value for key, value in resolved.recipe.source.items() if key != "rows"}
    return digest_of(source, *(chosen.identity() for chosen in resolved.transforms))


def conversation(
    messages: Sequence[Turn], model: ResolvedModel, system: str | None, drawn: Drawn | None = None
) -> Sequence[Turn]:
    """The messages a model is sent: with the recipe's system prompt where the row has none, the
    principle drawn for the answer after it, and all that folded into the first user turn for
    models that refuse system prompts."""
    if messages[0]["role"] == "system":
        system, messages = messages[0]["content"], messages[1:]
    if drawn:
        system = f"{system}\n\n{drawn.wording}" if system else drawn.wording
    if not system:
        return messages
    if model.spec.system != "fold":
        return ({"role": "system", "content": system}, *messages)
    first = {**messages[0], "content": f"{system}\n\n{messages[0]['content']}"}
    return (first, *messages[1:])
