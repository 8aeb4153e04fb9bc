"""The workers of models that run on this machine: each has a process and devices of its own.

Comes in: what the coordinator says of the lanes that want devices. Goes out: orders to the
nursery, and a line for each model that is started. Never does: decide which is next; that is
`assignment`, a plain function.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from prefmill.cli.stack.assignment import Need, moves
from prefmill.cli.stack.devices import Devices, find_devices
from prefmill.cli.stack.nest import Nest

if TYPE_CHECKING:
    from prefmill.cli.client import Client
    from prefmill.contracts.api import LaneDemand

Say = Callable[[str], None]

LOOK_EVERY_S: Final = 1.0
RETRY_S: Final = 60.0
"""A model that cannot be loaded is tried again so often: somebody may have put it right."""

_SERVICE: Final = {"generate": "generator", "judge": "judge"}


class LocalModels:
    """Starts and ends the workers, as often as `tend` is called."""

    def __init__(
        self,
        nest: Nest,
        log: Callable[[str], Path],
        settings: dict[str, Any],
        drain_s: float,
        devices: Callable[[], Devices] = find_devices,
    ) -> None:
        self._nest = nest
        self._log = log
        self._settings = settings
        self._drain_s = drain_s
        self._find = devices
        self._devices: Devices | None = None
        self._held: dict[str, tuple[str, ...]] = {}
        self._names: dict[str, str] = {}
        self._resting: dict[str, float] = {}
        self._due = 0.0

    @property
    def workers(self) -> tuple[str, ...]:
        """The names of the workers that live."""
        return tuple(self._names)

    def tend(self, client: "Client", say: Say) -> None:
        """Ask the coordinator now and then, and do what is to be done."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + LOOK_EVERY_S
        demands = client.lanes()
        if not demands and not self._held:
            return
        self._devices = self._devices or self._find()
        needs = list(self._needs(demands, self._devices, now))
        made = moves(needs, self._held, self._devices.ids)
        for slug in made.stop | self._to_try_again(demands, now):
            self._end(slug)
        kinds = {demand.slug: demand for demand in demands}
        for slug, own in made.start.items():
            self._start(kinds[slug], own, self._devices, say)

    def heard(self, event: dict[str, Any], say: Say) -> bool:
        """Take an event of the nursery; False if it is of none of these workers."""
        slug = self._names.get(str(event.get("name")))
        if slug is None:
            return False
        if event["event"] == "gone":
            self._forget(slug)
        elif event["event"] == "ended" and not event["again"]:
            say(f"the worker of {slug} ends again and again; it rests for {RETRY_S:g} s")
            self._resting[slug] = time.monotonic() + RETRY_S
            self._forget(slug)
        else:
            return event["event"] != "ended"
        return True

    def _needs(
        self, demands: Sequence["LaneDemand"], devices: Devices, now: float
    ) -> Iterator[Need]:
        """A lane that rests is not asked for, unless its worker lives."""
        for demand in demands:
            rests = self._resting.get(demand.slug, now) > now and demand.slug not in self._held
            yield Need(
                demand.slug,
                demand.kind,
                devices.wanted(demand.gpus),
                0 if rests else demand.open,
                demand.in_flight,
                broken=demand.health == "unusable",
            )

    def _to_try_again(self, demands: Sequence["LaneDemand"], now: float) -> set[str]:
        """Workers that could not load their model, and have told so for long enough."""
        broken = {d.slug for d in demands if d.health == "unusable" and d.slug in self._held}
        for slug in broken - self._resting.keys():
            self._resting[slug] = now + RETRY_S
        for slug in self._held.keys() - broken:
            self._resting.pop(slug, None)
        return {slug for slug in broken if self._resting[slug] <= now}

    def _start(self, demand: "LaneDemand", own: tuple[str, ...], on: Devices, say: Say) -> None:
        name = f"{_SERVICE[demand.kind]}-{demand.slug}"
        where = f"{on.kind} {', '.join(own)}" if on.kind == "GPU" else "the CPU"
        say(f"{demand.model} is being loaded on {where}; log: {self._log(name)}")
        self._held[demand.slug], self._names[name] = own, demand.slug
        self._nest.start(
            name,
            self._log(name),
            {**self._settings, "host_lanes": [demand.slug]},
            service=_SERVICE[demand.kind],
            environment=on.environment(own),
        )

    def _end(self, slug: str) -> None:
        name = next(name for name, served in self._names.items() if served == slug)
        self._nest.end(name, self._drain_s)

    def _forget(self, slug: str) -> None:
        self._held.pop(slug, None)
        self._names = {name: served for name, served in self._names.items() if served != slug}
        self._due = 0.0
