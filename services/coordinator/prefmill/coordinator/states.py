"""The stored keys of rows, as the steps of the coordinator need them."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.coordinator.domain.plan import Plan
from prefmill.ledger import runs
from prefmill.ledger.row_states import RowState, row_states


async def states_of(
    connection: AsyncConnection, plan: Plan, positions: Sequence[int]
) -> list[RowState]:
    """What is stored for these rows. The plan then knows all who wrote responses that came with
    them: rows may have been loaded, and such slots stored, after it was made."""
    if not positions:
        return []
    principled = plan.desired.principles is not None
    states = await row_states(connection, plan.run_id, positions, sources=principled)
    if any(row.given and not plan.given.keys() >= set(row.models) for row in states):
        slots = await runs.slots_of(connection, plan.run_id)
        plan.given.update({slot.alias: slot.id for slot in slots if slot.kind == "given"})
    return states
