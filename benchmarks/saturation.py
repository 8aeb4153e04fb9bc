"""`python -m benchmarks.saturation`: tokens/s of a generator ÷ those of the same vLLM offline.

The same model, prompts, seeds and parameters on both sides: vLLM's own `LLM.chat` with all prompts
at once, and a generator process that pulls them as batches from a real NATS and replies to it.
Prefix caching is on, and all prompts begin alike. Both are loaded once, and then measured in turn,
each while the other is stopped: a machine that gets slower does so for both. Needs `make vllm`.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.vllm_sides import LENGTHS, offline_side, requests_of, service_side

REQUIRED: Final = 0.95


@dataclass(frozen=True)
class Round:
    """Tokens/s of both sides, measured one right after the other."""

    kind: str
    number: int
    offline: float
    service: float

    @property
    def ratio(self) -> float:
        """What the service reaches of vLLM alone."""
        return self.service / self.offline


def main() -> int:
    """Measure both, print the ratios; 1 if one is below what is required."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tokens", type=int, default=32_768, help="of each measurement")
    arguments.add_argument("--rounds", type=int, default=5, help="each measures both sides")
    asked = arguments.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
    with tempfile.TemporaryDirectory(prefix="prefmill-saturation-") as folder:
        rounds = asyncio.run(_compare(Path(folder), asked.tokens, asked.rounds))
    return _tell(rounds)


def _tell(rounds: list[Round]) -> int:
    print(
        "| lengths | round | offline tokens/s | service tokens/s | ratio |\n|---|---|---|---|---|"
    )
    for one in rounds:
        rates = f"{one.offline:,.0f} | {one.service:,.0f}"
        print(f"| {one.kind} | {one.number} | {rates} | {one.ratio:.3f} |")
    medians = {kind: median(r.ratio for r in rounds if r.kind == kind) for kind in LENGTHS}
    for kind, ratio in medians.items():
        print(f"| {kind} | median | | | **{ratio:.3f}** |")
    return int(min(medians.values()) < REQUIRED)


async def _compare(folder: Path, tokens: int, rounds: int) -> list[Round]:
    """Each kind of lengths in each round, the sides in turn: one begins, then the other."""
    from tests.vllm.tiny import make_model

    model = make_model(folder / "tiny")
    async with offline_side(model) as offline, service_side(folder, model) as service:
        measured: list[Round] = []
        for number in range(1, rounds + 1):
            for kind in LENGTHS:
                rates: dict[str, float] = {}
                for side in (offline, service) if number % 2 else (service, offline):
                    with side.awake():
                        await side.measure("mixed", 64)
                        rates[side.name] = await side.measure(kind, requests_of(kind, tokens))
                measured.append(Round(kind, number, rates["offline"], rates["service"]))
        return measured


if __name__ == "__main__":
    sys.exit(main())
