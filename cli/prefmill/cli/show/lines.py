"""Progress in plain lines: where the output is no terminal, and for milestones."""

import re
from collections.abc import Iterator

from prefmill.cli.show.numbers import count, plural, rate, seconds
from prefmill.cli.show.pace import Pace, called, closed
from prefmill.contracts.api import ExportStatus, RunStatus, SlotStatus
from prefmill.contracts.money import dollars
from prefmill.contracts.standing import name_of, trouble

_STATES = {
    "loading": "loading prompts",
    "probing": "asking every model and judge for a sign of life",
    "running": "running",
    "paused": "paused; go on with: prefmill resume {name}",
    "finished": "all calls are done",
    "cancelled": "cancelled",
    "failed": "stopped",
}

_HELD = "; nothing else is called before it answers"
"""Said of what is waited for while all are asked for a sign of life."""

ACTIVE = ("loading", "probing", "running")


def progress(status: RunStatus, pace: Pace, elapsed: float) -> str:
    """One line that says how far a run is; `elapsed` in seconds."""
    slots = "  ".join(_slot(slot, trouble_of(slot, status)) for slot in called(status))
    rates = [pace.rate(slot) for slot in called(status)]
    speed = rate(sum(r or 0.0 for r in rates)) if any(r is not None for r in rates) else "–"
    left = pace.left_in_all(status)
    end = f"  about {seconds(left)} left" if left else ""
    return f"{seconds(elapsed):>7}  {slots}  {speed} calls/s  {dollars(status.cost_usd)}{end}"


def milestones(before: RunStatus | None, after: RunStatus) -> list[str]:
    """What happened between two looks that is worth a line of its own, in the order in which it
    does: prompts are loaded, calls begin, models are done, calls end, datasets are made."""
    prompts = list(_of_prompts(before, after))
    told = [*prompts, *_of_slots(before, after)]
    active = 0 if after.state == "loading" else len(prompts)
    at = active if after.state in ACTIVE else len(told)
    told[at:at] = _of_state(before, after)
    return [*told, *_of_exports(before, after)]


def prompts_of(status: RunStatus) -> str:
    """How many prompts are loaded, and how many of them are wanted."""
    so_far = "" if status.source_done else " so far"
    return f"{plural(status.rows, 'prompt')}{so_far}{_limit(status)}"


def with_reason(said: str, why: str) -> list[str]:
    """What is said of a run, and why: in the same line, or each cause in one of its own."""
    causes = why.splitlines()
    return [f"{said}: {why}"] if len(causes) < 2 else [f"{said}:", *(f"  {c}" for c in causes)]


def not_asked(slot: SlotStatus) -> str:
    """Why fewer verdicts are there than were expected; empty if all are."""
    if not slot.not_asked:
        return ""
    return f"{plural(slot.not_asked, 'verdict')} not asked for: too few usable answers"


def _limit(status: RunStatus) -> str:
    wanted = status.rows_wanted
    return "" if wanted is None else f", of which the recipe wants the first {wanted:,}"


def _slot(slot: SlotStatus, said: str) -> str:
    notes = [f"{slot.failed:,} failed"] if slot.failed else []
    notes += ["see above"] if said else []
    note = f" ({', '.join(notes)})" if notes else ""
    return f"{slot.alias} {closed(slot):,}/{max(slot.wanted, closed(slot)):,}{note}"


def _of_state(before: RunStatus | None, after: RunStatus) -> list[str]:
    if before is not None and before.state == after.state:
        return []
    return [_STATES[after.state].format(name=after.name)]


def _of_prompts(before: RunStatus | None, after: RunStatus) -> Iterator[str]:
    if after.source_done and not (before and before.source_done):
        bad = f", {after.rows_failed:,} of them unusable" if after.rows_failed else ""
        left_out = "".join(f", {n:,} left out {why}" for why, n in after.rows_left_out.items())
        yield f"{plural(after.rows, 'prompt')} loaded{bad}{left_out}{_limit(after)}"


def _of_slots(before: RunStatus | None, after: RunStatus) -> Iterator[str]:
    old = {(slot.kind, slot.alias): slot for slot in before.slots} if before else {}
    for slot in called(after):
        was = old.get((slot.kind, slot.alias))
        if _done(slot, after) and was and before and not _done(was, before):
            yield f"{name_of(slot)}: done, {_sums(slot)}"
        said = trouble_of(slot, after)
        known = trouble_of(was, before) if was and before else ""
        if said and _gist(said) != _gist(known):
            held = after.state == slot.health == "probing"
            yield f"{name_of(slot)}: {said}{_HELD if held else ''}"


def trouble_of(slot: SlotStatus, status: RunStatus) -> str:
    """Its trouble, where the run needs it now. While lanes are probed, one that cannot be used
    stops the run, which says so."""
    if status.state == "probing" and slot.health == "unusable":
        return ""
    return trouble(slot) if status.state in ("probing", "running") else ""


def _gist(said: str) -> str:
    """What is said, without the numbers that grow while it lasts."""
    return re.sub(r"\d+", "#", said)


def _done(slot: SlotStatus, status: RunStatus) -> bool:
    return status.source_done and slot.wanted > 0 and closed(slot) >= slot.wanted


def _sums(slot: SlotStatus) -> str:
    tokens = f"{count(slot.input_tokens)} tokens read, {count(slot.output_tokens)} written"
    reused = f", {slot.reused:,} reused" if slot.reused else ""
    failed = f", {slot.failed:,} failed" if slot.failed else ""
    fewer = f"; {said}" if (said := not_asked(slot)) else ""
    paid = f"{tokens}, {dollars(slot.cost_usd)}{fewer}"
    made = plural(slot.done, "verdict" if slot.kind == "judge" else "answer")
    return f"{made}{reused}{failed}, {paid}"


def _of_exports(before: RunStatus | None, after: RunStatus) -> Iterator[str]:
    old = {export.id: export.state for export in before.exports} if before else {}
    for export in reversed(after.exports):
        if before and old.get(export.id) != export.state and (said := _of_export(export)):
            yield said


def _of_export(export: ExportStatus) -> str:
    match export.so_far, export.state:
        case False, "writing":
            return " to ".join(filter(None, ("writing the dataset", export.directory)))
        case True, "written":
            told = filter(None, (export.directory, export.error))
            return f"the dataset so far is at {'; '.join(told)}"
        case True, "failed":
            return f"the dataset so far could not be shown: {export.error}"
        case _:
            return ""


def hint(name: str, api: str | None) -> str:
    """How to go on with a run that goes on by itself."""
    command = f"prefmill watch {name}"
    return (
        f"follow it with: {command} --api {api} --output out/{name}"
        if api
        else (f"follow it with: {command}")
    )


def done_to(action: str, before: RunStatus, after: RunStatus) -> str:
    """What pausing, resuming, cancelling or retrying a run did."""
    failed = sum(slot.failed for slot in called(before))
    waiting = sum(slot.waiting for slot in after.slots)
    flying = sum(slot.in_flight for slot in after.slots)
    match action:
        case "pause":
            return f"{after.name}: paused; {plural(flying, 'call')} in flight may still be stored"
        case "cancel":
            return f"{after.name}: cancelled; what is stored stays, and can be exported"
        case "retry" if failed:
            cells = plural(failed, "failed answer or verdict", "failed answers and verdicts")
            return f"{after.name}: {cells} will be tried again"
        case "retry":
            return f"{after.name}: no answer or verdict had failed; it is looked at once more"
        case _:
            cells = plural(waiting, "answer or verdict", "answers and verdicts")
            was = "was not stopped" if before.state in ACTIVE else f"was {before.state}"
            return f"{after.name}: {was}, goes on; {cells} known to be wanted"
