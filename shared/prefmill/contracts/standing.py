"""Why a run does not go on, in the words that the API and the terminal share."""

from collections.abc import Iterable

from prefmill.contracts.api import SlotStatus


def trouble(slot: SlotStatus) -> str:
    """Why a lane stands still, and how many rows wait for it, or is slow; empty if all is well, or
    if its first worker may still come."""
    waiting = slot.waiting
    if not waiting:
        return ""
    wait = f"{waiting:,} {'row waits' if waiting == 1 else 'rows wait'} for it"
    if slot.health is None:
        return f"{slot.detail}; {wait}" if slot.detail else ""
    if slot.health == "unusable":
        return f"unusable: {slot.detail or 'no reason given'}; {wait}"
    return slot.detail


def name_of(slot: SlotStatus) -> str:
    """`models.zephyr`, as a recipe says it."""
    return f"{'judges' if slot.kind == 'judge' else 'models'}.{slot.alias}"


def standing(slots: Iterable[SlotStatus]) -> str:
    """What stands still: a line for each model or judge, which begins with its name."""
    told = ((name_of(slot), trouble(slot)) for slot in slots if slot.health != "ready")
    return "\n".join(f"{name}: {said}" for name, said in told if said)
