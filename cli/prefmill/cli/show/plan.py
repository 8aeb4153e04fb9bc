"""What a run would call, as a small table."""

from prefmill.cli.show.numbers import count, plural, table
from prefmill.contracts.api import RunPlan, SlotPlan
from prefmill.contracts.money import dollars


def plan_lines(plan: RunPlan) -> list[str]:
    """The plan: changes, a line per model and judge, sums, warnings; of one that calls nothing,
    only the changes and that."""
    lines = ["the recipe has changed:", *(f"  {change}" for change in plan.changes)]
    lines = lines if plan.changes else []
    if plan.slots and not any(slot.calls for slot in plan.slots):
        return [*lines, "nothing is to be called: every answer and verdict is stored"]
    rows = "an unknown number of prompts" if plan.rows is None else plural(plan.rows, "prompt")
    lines.append(f"{rows}; about:")
    if plan.slots:
        lines += [f"  {line}" for line in _table(plan)]
    return lines + [
        f"  ! {_name(slot)}: {warning}" for slot in plan.slots for warning in slot.warnings
    ]


def paid_calls(plan: RunPlan) -> int:
    """Calls that may cost money."""
    return sum(slot.calls for slot in plan.slots if slot.paid)


def cost_of(plan: RunPlan) -> str:
    """`about $1.20`, and whether all of it is known."""
    known = sum(slot.cost_usd or 0.0 for slot in plan.slots)
    unknown = [slot.alias for slot in plan.slots if slot.calls and slot.cost_usd is None]
    rest = f", the unknown price of {' and '.join(unknown)} aside" if unknown else ""
    return f"about {dollars(known)}{rest}"


def beyond_cap(plan: RunPlan, cap: float | None, spent: float = 0.0) -> list[str]:
    """What is told where the run will cost more than its cap, with the `spent` of it."""
    cost = sum(slot.cost_usd or 0.0 for slot in plan.slots)
    if cap is None or not cost or spent + cost <= cap:
        return []
    share = max(0.0, cap - spent) / cost
    beside = f" (beside {dollars(spent)} that are spent)" if spent else ""
    said = (
        f"limits.cost_usd: the estimate, {dollars(cost)}{beside}, exceeds the cap of "
        f"{dollars(cap)}: the run stops there, after about {share:.0%} of these calls if they are "
        "as dear as they can be; raise the cap, or take fewer rows"
    )
    return [said]


def _table(plan: RunPlan) -> list[str]:
    """With what is stored only where something is: `check` does not look."""
    rows = [_HEADERS, *map(_cells, plan.slots), _sum(plan)]
    if not any(slot.stored for slot in plan.slots):
        at = _HEADERS.index("stored")
        rows = [[*row[:at], *row[at + 1 :]] for row in rows]
    return table(rows[0], rows[1:], 3)


_HEADERS = ("", "", "model", "calls", "stored", "tokens read", "written", "cost")


def _cells(slot: SlotPlan) -> list[str]:
    return [
        "model" if slot.kind == "generate" else "judge",
        slot.alias,
        slot.model,
        f"{slot.calls:,}",
        f"{slot.stored:,}" if slot.stored else "",
        count(slot.input_tokens),
        f"≤ {count(slot.output_tokens)}",
        dollars(slot.cost_usd) if slot.paid else "free",
    ]


def _sum(plan: RunPlan) -> list[str]:
    stored = sum(slot.stored for slot in plan.slots)
    return [
        "in all",
        "",
        "",
        f"{sum(slot.calls for slot in plan.slots):,}",
        f"{stored:,}" if stored else "",
        count(sum(slot.input_tokens for slot in plan.slots)),
        f"≤ {count(sum(slot.output_tokens for slot in plan.slots))}",
        dollars(sum(slot.cost_usd or 0.0 for slot in plan.slots)),
    ]


def _name(slot: SlotPlan) -> str:
    return f"{'models' if slot.kind == 'generate' else 'judges'}.{slot.alias}"
