"""The simulated engine: answers and verdicts without a model, for tests, demos and load.

Comes in: chat requests. Goes out: pseudo-prose whose quality can be read off it (`quality_of`);
for a judge's prompt, verdicts that rate each shown text by that quality; and, on request, latency,
refusals and every fault that a real server or judge has shown. The same request with the same seed
always gets the same answer. Never does: call a network or a model. `server` serves the same over
HTTP, in the OpenAI and the Anthropic wire format.
"""

from prefmill.engines.simulated.engine import SimulatedEngine
from prefmill.engines.simulated.options import SimulatedOptions
from prefmill.engines.simulated.quality import quality_of

__all__ = ["SimulatedEngine", "SimulatedOptions", "quality_of"]
