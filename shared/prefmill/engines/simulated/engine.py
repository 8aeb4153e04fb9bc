"""The engine plugin: the simulation, without a network."""

import asyncio
from datetime import timedelta
from typing import ClassVar

from prefmill.contracts.chat import Params, Usage
from prefmill.contracts.reasons import EMPTY, REFUSED
from prefmill.engines.simulated.asked import asked_by
from prefmill.engines.simulated.options import SimulatedOptions
from prefmill.engines.simulated.simulation import Outcome, Simulation
from prefmill.plugins.engine import ChatRequest, Completion, EngineOptions
from prefmill.plugins.errors import Rejected, Transient


class SimulatedEngine:
    """Answers deterministically, at no cost. Raises what an HTTP engine would raise on the same
    fault: Transient for all that arrives broken, Rejected for empty answers and refusals."""

    Options: ClassVar[type[EngineOptions]] = SimulatedOptions

    def __init__(self, options: SimulatedOptions) -> None:
        self._options = options
        self._simulation = Simulation(options)

    @property
    def paid(self) -> bool:
        """Never."""
        return False

    def missing(self) -> str | None:
        """Nothing is ever missing."""
        return None

    async def start(self) -> None:
        """Nothing to open."""

    async def probe(self, params: Params) -> None:
        """Always right."""

    async def complete(self, request: ChatRequest) -> Completion:
        """Answer one request, after its latency."""
        outcome = self._simulation.meet(asked_by(request, self._options.model))
        await self._wait(outcome)
        self._raise_fault(outcome)
        return Completion(
            text=outcome.text,
            finish_reason=outcome.finish,
            model=self._options.model,
            usage=Usage(input_tokens=outcome.input_tokens, output_tokens=outcome.output_tokens),
        )

    async def stop(self) -> None:
        """Nothing to close."""

    async def _wait(self, outcome: Outcome) -> None:
        if outcome.fault == "hang":
            await asyncio.sleep(self._options.timeout_s)
        elif outcome.delay_s:
            await asyncio.sleep(outcome.delay_s)

    def _raise_fault(self, outcome: Outcome) -> None:
        if outcome.fault == "429":
            wait = timedelta(seconds=self._options.retry_after_s)
            raise Transient("simulated: 429, too many requests", wait, rate_limited=True)
        if outcome.fault in _TRANSIENT:
            broken = outcome.fault in ("html", "truncated")
            raise Transient(f"simulated: {_TRANSIENT[outcome.fault]}", broken=broken)
        if outcome.fault == "empty":
            raise Rejected(EMPTY, "simulated: the answer is empty")
        if outcome.finish == "content_filter":
            raise Rejected(REFUSED, "simulated: a content filter refused the prompt")


_TRANSIENT = {
    "500": "500, internal error",
    "503": "503, overloaded",
    "reset": "the connection was lost in the middle of the answer",
    "hang": "no answer in time",
    "html": "an HTML page in place of an answer",
    "truncated": "JSON that ends in the middle",
}
