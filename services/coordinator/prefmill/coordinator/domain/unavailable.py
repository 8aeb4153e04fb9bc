"""Which cells a model that cannot be had leaves open, and who is drawn in its place. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from prefmill.coordinator.domain.plan import Plan, PlanSlot
from prefmill.ledger.desired import answer_key
from prefmill.ledger.row_states import RowState
from prefmill.ledger.unavailable import Lost
from prefmill.plugins.digest import digest_of


def gone_slots(plan: Plan, gone: Mapping[str, str]) -> dict[int, PlanSlot]:
    """The models on lanes that are `gone` (slug → why), if the recipe goes on without them and
    some model is left."""
    lost = {slot.id: slot for slot in plan.models if slot.lane in gone}
    waits = plan.resolved.recipe.generate.on_unavailable == "wait"
    return {} if waits or len(lost) == len(plan.models) else lost


def lost_cells(
    plan: Plan, rows: Iterable[tuple[RowState, PlanSlot]], gone: Mapping[str, str]
) -> Iterator[Lost]:
    """The open answers among rows with a model of theirs that is gone; each with the model drawn
    instead, if the recipe wants that and the pool has one the row was never drawn. Which one is
    a matter of the recipe's seed, the row's position and who is left."""
    redraws = plan.resolved.recipe.generate.on_unavailable == "redraw"
    drawn: dict[int, list[str]] = {}
    for row, slot in rows:
        alias, why = slot.model.alias, gone[slot.lane]
        samples = range(plan.desired.samples.get(alias, 1))
        mute = [sample for sample in samples if (slot.id, sample) not in row.answers]
        models = drawn.setdefault(row.position, list(row.models))
        whole = redraws and len(mute) == len(samples)
        instead = _instead(plan, row, slot, models, gone) if whole else None
        if instead:
            models.append(instead)
            why = f"{instead} was drawn in its place: {why}"
        for sample in mute:
            if answer_key((slot.id, sample)) not in row.failures:
                yield Lost(row.position, slot.id, sample, alias, why, instead)


def _instead(
    plan: Plan, row: RowState, slot: PlanSlot, drawn: Sequence[str], gone: Mapping[str, str]
) -> str | None:
    left = [
        other.model.alias
        for other in plan.models
        if other.lane not in gone
        and other.model.alias not in drawn
        and answer_key((other.id, 0)) not in row.failures
    ]
    if not left:
        return None
    chance = digest_of("redraw", plan.seed, row.position, slot.model.alias)
    return left[int.from_bytes(chance[:8], "big") % len(left)]
