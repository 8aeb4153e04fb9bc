"""The cost cap: what is spent, what is out, and whether more may be asked."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.contracts.money import dollars
from prefmill.coordinator.domain.plan import Plan
from prefmill.coordinator.domain.prices import price_of
from prefmill.coordinator.domain.resolved import ResolvedModel
from prefmill.coordinator.status import asked_again, look, mean_cost, spent
from prefmill.ledger.planning import PUBLISHED
from prefmill.ledger.runs import Run

UNKNOWN_TOKENS: Final = 1024
"""Tokens of an answer whose length nothing limits."""


@dataclass(frozen=True)
class Verdict:
    """How many more calls may go out, None for any number; `reason` if the run must stop."""

    calls: int | None = None
    reason: str = ""


async def affordable(connection: AsyncConnection, run: Run, plan: Plan) -> Verdict:
    """How much more a run can afford. Calls that are out, and those that were when everything was
    killed, count with the mean cost of their model's calls so far, or with the estimate; while any
    are out, a run waits rather than stops."""
    cap = plan.resolved.recipe.limits.cost_usd
    if cap is None:
        return Verdict()
    sight = await look(connection, run, plan)
    left, out, dearest, lost = cap - spent(sight), 0, 0.0, asked_again(sight)
    for slot in plan.slots.values():
        calls = sight.rows.get((run.id, slot.lane, PUBLISHED), 0) * plan.calls_per_row(slot)
        each = mean_cost(sight, slot) or most_cost(slot.model)
        out += calls
        left -= (calls + lost.get(slot.id, 0)) * each
        dearest = max(dearest, each)
    if left > 0:
        return Verdict(max(1, int(left / dearest)) if dearest else None)
    if out:
        return Verdict(0)
    return Verdict(
        0,
        f"the cost cap is reached: {dollars(spent(sight))} of limits.cost_usd {cap:g} are spent"
        f"{_lost(sum(lost.values()))}; raise it and run the same command again to go on",
    )


def _lost(calls: int) -> str:
    return f", beside what up to {calls:,} calls may have cost that were killed" if calls else ""


def most_cost(model: ResolvedModel) -> float:
    """US dollars that one call may cost before any has been made: its `max_tokens` written, and
    as many read; 0 if no price is known."""
    price = price_of(model)
    tokens = model.params.max_tokens or UNKNOWN_TOKENS
    return tokens * (price.input + price.output) / 1e6 if price else 0.0
