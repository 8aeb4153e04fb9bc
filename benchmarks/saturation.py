"""`python -m benchmarks.saturation`: tokens/s of a generator ÷ those of the same vLLM offline.

One run, one machine, the same model, prompts, seeds and parameters: first vLLM's own `LLM.chat`
with all prompts at once, then a generator process that pulls them as batches from a real NATS and
replies to it. Prefix caching is on, and all prompts begin alike. Needs `make vllm`.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from prefmill.cli.embedded import Home, start_nats
from prefmill.contracts.chat import Message, Params
from prefmill.contracts.results import BatchGenerated
from prefmill.contracts.work import GenerateBatch, GenerateCell, GenerateRow
from prefmill.contracts.workers import LaneSpec, WorkerAnnounced
from prefmill.messaging.connection import connect, jetstream_of
from prefmill.messaging.topology import Topology, bootstrap, open_lane
from prefmill.messaging.work import publish_work

REQUIRED: Final = 0.95
ROWS: Final = 16
"""Of a batch."""
LENGTHS: Final = {"short": (32,), "mixed": (8, 16, 32, 64, 128, 256)}
"""Tokens of an answer: one kind for each batch, in turn."""
ENGINE: Final = {
    "enforce_eager": True,
    "max_model_len": 2048,
    "max_num_seqs": 64,
    "enable_prefix_caching": True,
    "enable_chunked_prefill": False,
    "max_num_batched_tokens": 8192,
}
_PREFIX: Final = "You are one of a panel. Read what follows with care, then answer. " * 12
_TOPOLOGY: Final = Topology(ack_wait_s=60.0)


def main() -> int:
    """Measure both, print the ratios; 1 if one is below what is required."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--requests", type=int, default=768, help="of each kind of lengths")
    arguments.add_argument("--offline", help=argparse.SUPPRESS)
    asked = arguments.parse_args()
    os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
    if asked.offline:
        print(json.dumps(_offline(asked.offline, asked.requests)))
        return 0
    with tempfile.TemporaryDirectory(prefix="prefmill-saturation-") as folder:
        return _compare(Path(folder), asked.requests)


def _compare(folder: Path, requests: int) -> int:
    from tests.vllm.tiny import make_model

    model = make_model(folder / "tiny")
    command = [sys.executable, "-m", "benchmarks.saturation", "--offline", str(model)]
    done = subprocess.run(
        [*command, "--requests", str(requests)], check=True, capture_output=True, text=True
    )
    offline: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    service = asyncio.run(_service(folder, model, requests))
    print("| lengths | offline tokens/s | service tokens/s | ratio |\n|---|---|---|---|")
    ratios = {name: service[name] / offline[name] for name in LENGTHS}
    for name, ratio in ratios.items():
        print(f"| {name} | {offline[name]:,.0f} | {service[name]:,.0f} | {ratio:.3f} |")
    return int(min(ratios.values()) < REQUIRED)


def _prompt(number: int) -> Message:
    return Message(role="user", content=f"{_PREFIX} Prompt {number}: the quick brown fox jumps?")


def _tokens(kind: str, number: int) -> int:
    """Of the answer to one prompt."""
    return LENGTHS[kind][number // ROWS % len(LENGTHS[kind])]


def _params(kind: str, number: int) -> Params:
    return Params(
        max_tokens=_tokens(kind, number), temperature=1.0, extra_body={"ignore_eos": True}
    )


def _offline(model: str, requests: int) -> dict[str, float]:
    """Tokens/s of all prompts at once, by kind."""
    from vllm import LLM, SamplingParams

    llm = LLM(model, **ENGINE)

    def once(kind: str, count: int) -> float:
        asked: Any = [[_prompt(n).model_dump()] for n in range(count)]
        params = [
            SamplingParams(max_tokens=_tokens(kind, n), temperature=1.0, seed=n, ignore_eos=True)
            for n in range(count)
        ]
        began = time.perf_counter()
        answers = llm.chat(asked, params, use_tqdm=False)
        spent = time.perf_counter() - began
        return sum(len(answer.outputs[0].token_ids) for answer in answers) / spent

    once("mixed", 64)
    return {kind: once(kind, requests) for kind in LENGTHS}


async def _service(folder: Path, model: Path, requests: int) -> dict[str, float]:
    """Tokens/s from the first batch published to the last reply, by kind."""
    with Home(folder / "home") as home:
        nats = start_nats(home)
        try:
            return await _measured(nats.url, model, requests)
        finally:
            nats.stop()


async def _measured(url: str, model: Path, requests: int) -> dict[str, float]:
    nc = await connect(url, "saturation")
    js = jetstream_of(nc)
    await bootstrap(js, _TOPOLOGY)
    await open_lane(js, "generate", "tiny", _TOPOLOGY)
    options = {"model": str(model), "gpus": 1, **ENGINE}
    lane = LaneSpec(
        kind="generate", slug="tiny", digest="d", engine="vllm", options=options, concurrency=64
    )
    replies: asyncio.Queue[bytes] = asyncio.Queue()
    announced: asyncio.Queue[bytes] = asyncio.Queue()
    for subject, kept in (("results.v1.generated", replies), ("workers.v1", announced)):
        await nc.subscribe(subject, cb=_keeper(kept))
    with _generator(url, lane):
        while WorkerAnnounced.model_validate_json(await announced.get()).lanes[0].health != "ready":
            pass
        await _once(js, replies, "mixed", 64)
        rates = {kind: await _once(js, replies, kind, requests) for kind in LENGTHS}
    await nc.close()
    return rates


def _keeper(kept: asyncio.Queue[bytes]) -> Any:
    async def keep(message: Any) -> None:
        kept.put_nowait(message.data)

    return keep


async def _once(js: Any, replies: asyncio.Queue[bytes], kind: str, requests: int) -> float:
    began = time.perf_counter()
    sent = [_batch(kind, first) for first in range(0, requests, ROWS)]
    await asyncio.gather(
        *(
            publish_work(js, "generate.v1.tiny", batch.model_dump_json().encode(), batch.id)
            for batch in sent
        )
    )
    tokens = answered = 0
    while answered < requests:
        reply = BatchGenerated.model_validate_json(await replies.get())
        answered += len(reply.cells)
        tokens += sum(cell.usage.output_tokens for cell in reply.cells)
    return tokens / (time.perf_counter() - began)


def _batch(kind: str, first: int) -> GenerateBatch:
    rows = tuple(
        GenerateRow(row=n, messages=(_prompt(n),), cells=(_cell(n),))
        for n in range(first, first + ROWS)
    )
    return GenerateBatch(
        id=f"{kind}-{first}-{time.time_ns()}",
        run=1,
        slot=1,
        lane="tiny",
        lane_digest="d",
        params=_params(kind, first),
        rows=rows,
    )


def _cell(number: int) -> GenerateCell:
    return GenerateCell(sample=0, attempt=0, last=True, seed=number, digest="d")


@contextmanager
def _generator(url: str, lane: LaneSpec) -> Iterator[None]:
    environment = {
        **os.environ,
        "PREFMILL_NATS_URL": url,
        "PREFMILL_LANES": json.dumps([lane.model_dump(mode="json")]),
        "PREFMILL_ANNOUNCE_S": "0.2",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "prefmill.generator.app"],
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(40)


if __name__ == "__main__":
    sys.exit(main())
