"""Which model runs on which devices of this machine: a plain function, asked again and again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

Held = Mapping[str, tuple[str, ...]]
"""Lane → the devices that its worker has. A worker that ends has them until it is gone."""

_ORDER: Final = {"generate": 0, "judge": 1}


@dataclass(frozen=True)
class Need:
    """A lane whose worker needs devices. `open` cells are yet to be answered, `out` rows are with
    its worker or on their way; `broken`: its worker cannot load the model."""

    slug: str
    kind: Literal["generate", "judge"]
    gpus: int
    open: int
    out: int = 0
    broken: bool = False


@dataclass(frozen=True)
class Moves:
    """Workers to be started, with their devices, and to be ended, before others can be started
    in their place."""

    start: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    stop: frozenset[str] = frozenset()


def moves(needs: Sequence[Need], held: Held, devices: Sequence[str]) -> Moves:
    """What is to be done now. Models come before judges, each in the order given; the first that
    finds no room has the next devices that come free, so that none waits for ever. A worker with
    nothing left to do ends only when its devices are wanted: its model may be wanted again.

    `devices` are all there are, `held` names those taken; a lane that wants more than there are is
    never started.
    """
    by_slug = {need.slug: need for need in needs}
    hungry = [n for n in needs if n.open and n.slug not in held and n.gpus <= len(devices)]
    hungry.sort(key=lambda need: _ORDER[need.kind])
    taken = {device for own in held.values() for device in own}
    free = [device for device in devices if device not in taken]
    start: dict[str, tuple[str, ...]] = {}
    for need in hungry:
        if need.gpus > len(free):
            return Moves(start, _evicted(need, by_slug, held, need.gpus - len(free)))
        start[need.slug] = tuple(free[: need.gpus])
        del free[: need.gpus]
    return Moves(start)


def _evicted(need: Need, needs: Mapping[str, Need], held: Held, lacking: int) -> frozenset[str]:
    """The workers that make room for `need`: none if all of them together do not."""
    chosen: list[str] = []
    for slug in sorted(held, key=lambda slug: _rank(needs.get(slug))):
        if lacking > 0 and _may_go(needs.get(slug), need):
            chosen.append(slug)
            lacking -= len(held[slug])
    return frozenset(chosen if lacking <= 0 else ())


def _may_go(holder: Need | None, need: Need) -> bool:
    """Whether a worker is of no use now. A judge with nothing in hand waits for answers, perhaps
    of the very model that wants its devices."""
    if holder is None or not holder.open or holder.broken:
        return True
    return holder.kind == "judge" and need.kind == "generate" and not holder.out


def _rank(holder: Need | None) -> int:
    """Who goes first: those that nobody asks, those that are done, those that are broken."""
    if holder is None:
        return 0
    return 1 if not holder.open else 2 if holder.broken else 3
