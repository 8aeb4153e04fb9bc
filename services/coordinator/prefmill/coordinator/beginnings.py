"""Whether a run may begin. Comes in: what workers say of its lanes. Goes out: that all are ready,
or each that is known to be unusable. Never: a call."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from prefmill.coordinator.domain.plan import Plan
from prefmill.coordinator.fleet import Fleet

OTHERS_S: Final = 2.0
"""Once a lane is known to be unusable, the others have so long to be named with it."""


class Beginning(NamedTuple):
    """Whether the run may begin; or why it never will, a line for each lane that is unusable.
    While neither is known, it waits."""

    ready: bool = False
    wrong: str = ""


@dataclass
class Beginnings:
    """What the probes say of each run."""

    fleet: Fleet
    _since: dict[int, float] = field(default_factory=dict[int, float])
    """Run → when one of its lanes was first known to be unusable."""

    def look(self, plan: Plan, needed: Collection[str], spared: Collection[str]) -> Beginning:
        """How the lanes stand that a run will call; it goes on without those of `spared` that are
        unusable. A lane that no worker has served for a while is ready: work for it starts one."""
        lanes = [slug for slug in plan.lanes if slug in needed]
        wrong = {slug: why for slug in lanes if (why := self._trouble(plan, slug))}
        waits = any(slug not in wrong and self._is_open(plan, slug) for slug in lanes)
        lines = [f"{who(plan, slug)}: {why}" for slug, why in wrong.items() if slug not in spared]
        if lines and waits:
            now = self.fleet.clock()
            waits = now - self._since.setdefault(plan.run_id, now) < OTHERS_S
        if waits:
            return Beginning()
        self._since.pop(plan.run_id, None)
        return Beginning(not lines, "\n".join(lines))

    def _trouble(self, plan: Plan, slug: str) -> str:
        return self.fleet.trouble(slug, plan.lanes[slug].digest)

    def _is_open(self, plan: Plan, slug: str) -> bool:
        digest = plan.lanes[slug].digest
        ready = self.fleet.health(slug, digest)[0] == "ready"
        return not ready and not self.fleet.deserted(slug, digest)


def who(plan: Plan, slug: str) -> str:
    """The models and judges of a lane, as the recipe names them."""
    kinds = {"generate": "models", "judge": "judges"}
    named = [
        f"{kinds[slot.model.kind]}.{slot.model.alias}"
        for slot in plan.slots.values()
        if slot.lane == slug
    ]
    return " and ".join(dict.fromkeys(named))
