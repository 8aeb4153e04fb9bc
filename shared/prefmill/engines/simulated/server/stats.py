"""Counts of what a simulated server was asked."""

from collections import Counter
from typing import Any

from prefmill.engines.simulated.simulation import Outcome


class Stats:
    """Counted since the start or the last reset. A request counts when it has been understood
    and its fate is known, before its latency."""

    def __init__(self) -> None:
        self._now = 0
        self.reset()

    def reset(self) -> None:
        """Start from nothing; requests seen before count as distinct again. What is in flight
        stays in flight."""
        self._models: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._wires: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._seen: set[int] = set()
        self._input = 0
        self._output = 0
        self._most = self._now

    def refused(self, wire: str, status: int, model: str = "") -> None:
        """A request that never got to a model: bad JSON, a wrong key, an unknown model."""
        self._wires[wire] += 1
        self._statuses[str(status)] += 1
        if model:
            self._models[model] += 1

    def met(self, wire: str, model: str, status: str, outcome: Outcome) -> None:
        """A request that got to a model."""
        self._wires[wire] += 1
        self._statuses[status] += 1
        self._models[model] += 1
        self._kinds[outcome.kind] += 1
        self._seen.add(outcome.key)
        if outcome.fault:
            self._faults[outcome.fault] += 1
        if status == "200":
            self._input += outcome.input_tokens
            self._output += outcome.output_tokens

    def begins(self) -> None:
        """One more request in flight."""
        self._now += 1
        self._most = max(self._most, self._now)

    def ends(self) -> None:
        """One less."""
        self._now -= 1

    def document(self) -> dict[str, Any]:
        """What `GET /stats` says."""
        return {
            "total": self._statuses.total(),
            "distinct": len(self._seen),
            "by_model": dict(self._models),
            "by_status": dict(self._statuses),
            "by_kind": dict(self._kinds),
            "by_wire": dict(self._wires),
            "by_fault": dict(self._faults),
            "tokens": {"input": self._input, "output": self._output},
            "in_flight": {"now": self._now, "most": self._most},
        }
