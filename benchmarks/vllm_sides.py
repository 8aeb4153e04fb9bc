"""The two sides of `benchmarks.saturation`: each a process with the model, asked the same."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue

from prefmill.cli.embedded import Home, start_nats
from prefmill.contracts.chat import Message, Params
from prefmill.contracts.results import BatchGenerated
from prefmill.contracts.work import GenerateBatch, GenerateCell, GenerateRow
from prefmill.contracts.workers import LaneSpec, WorkerAnnounced
from prefmill.messaging.connection import connect, jetstream_of
from prefmill.messaging.topology import Topology, bootstrap, open_lane
from prefmill.messaging.work import publish_work

ROWS: Final = 16
"""Of a batch."""
VOCABULARY: Final = 512
"""Tokens of the model. Its weights are random, so each of them is about as likely as the others."""


@dataclass(frozen=True)
class Lengths:
    """How answers end: by themselves, at one of so many tokens, as answers do; or at the limit."""

    stops: int
    most: int

    @property
    def mean(self) -> float:
        """Tokens of an answer."""
        odds = self.stops / VOCABULARY
        return (1 - (1 - odds) ** self.most) / odds

    @property
    def stop_token_ids(self) -> list[int]:
        """The last of the vocabulary."""
        return list(range(VOCABULARY - self.stops, VOCABULARY))


LENGTHS: Final = {"short": Lengths(stops=16, most=64), "mixed": Lengths(stops=4, most=256)}
ENGINE: Final = {
    "enforce_eager": True,
    "max_model_len": 2048,
    "max_num_seqs": 64,
    "enable_prefix_caching": True,
    "enable_chunked_prefill": False,
    "max_num_batched_tokens": 8192,
}
_PREFIX: Final = "You are one of a panel. Read what follows with care, then answer. " * 12
_REST_S: Final = 0.5
"""For the last acknowledgements, before a side is stopped."""
_MARK: Final = "saturation:"
"""Lines of the offline process that are not vLLM's."""
_TOPOLOGY: Final = Topology(ack_wait_s=60.0)


@dataclass(frozen=True)
class Side:
    """A process with a model. `measure(kind, count)` gives its tokens/s."""

    name: str
    group: int
    measure: Callable[[str, int], Awaitable[float]]

    @contextmanager
    def awake(self) -> Generator[None]:
        """It has the machine to itself: the other side is stopped."""
        os.killpg(self.group, signal.SIGCONT)
        try:
            yield
        finally:
            time.sleep(_REST_S)
            os.killpg(self.group, signal.SIGSTOP)


@contextmanager
def _ended(process: subprocess.Popen[Any]) -> Generator[None]:
    """In the end neither the process nor an engine that it started is left."""
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGCONT)
        process.terminate()
        process.wait(40)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _prompt(number: int) -> Message:
    return Message(role="user", content=f"{_PREFIX} Prompt {number}: the quick brown fox jumps?")


def requests_of(kind: str, tokens: int) -> int:
    """How many make about so many tokens: whole batches."""
    return ROWS * max(1, round(tokens / (ROWS * LENGTHS[kind].mean)))


def _offline(model: str) -> None:
    """The process of the offline side: a line `KIND COUNT` in, a line with the tokens/s out."""
    from vllm import LLM, SamplingParams

    llm = LLM(model, **ENGINE, disable_log_stats=False)  # a service exports vLLM's metrics

    def once(kind: str, count: int) -> float:
        asked: Any = [[_prompt(n).plain()] for n in range(count)]
        wanted: Any = {"max_tokens": LENGTHS[kind].most, "temperature": 1.0}
        wanted["stop_token_ids"] = LENGTHS[kind].stop_token_ids
        params = [SamplingParams(**wanted, seed=n) for n in range(count)]
        began = time.perf_counter()
        answers = llm.chat(asked, params, use_tqdm=False)
        spent = time.perf_counter() - began
        return sum(len(answer.outputs[0].token_ids) for answer in answers) / spent

    print(_MARK, "loaded", flush=True)
    for line in sys.stdin:
        kind, count = line.split()
        print(_MARK, once(kind, int(count)), flush=True)


@asynccontextmanager
async def offline_side(model: Path) -> AsyncGenerator[Side]:
    """vLLM's own `LLM` in a process of its own."""
    process = _start_offline(model)
    asking, told = process.stdin, process.stdout
    assert asking is not None
    assert told is not None

    async def answer() -> str:
        while not (line := await asyncio.to_thread(told.readline)).startswith(_MARK):
            assert line, "vLLM has ended"
        return line.removeprefix(_MARK)

    async def measure(kind: str, count: int) -> float:
        print(kind, count, file=asking, flush=True)
        return float(await answer())

    with _ended(process):
        await answer()
        os.killpg(process.pid, signal.SIGSTOP)
        yield Side("offline", process.pid, measure)


def _start_offline(model: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.vllm_sides", str(model)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


@asynccontextmanager
async def service_side(folder: Path, model: Path) -> AsyncGenerator[Side]:
    """A generator on a NATS of its own; measured from the first batch published to the last
    reply."""
    with Home(folder / "home") as home:
        nats = start_nats(home)
        try:
            async with _generator(nats.url, model) as side:
                yield side
        finally:
            nats.stop()


@asynccontextmanager
async def _generator(url: str, model: Path) -> AsyncGenerator[Side]:
    nc = await connect(url, "saturation")
    js = jetstream_of(nc)
    await bootstrap(js, _TOPOLOGY)
    await open_lane(js, "generate", "tiny", _TOPOLOGY)
    replies: asyncio.Queue[bytes] = asyncio.Queue()
    announced: asyncio.Queue[bytes] = asyncio.Queue()
    for subject, kept in (("results.v1.generated", replies), ("workers.v1", announced)):
        await nc.subscribe(subject, cb=_keeper(kept))

    async def measure(kind: str, count: int) -> float:
        return await _once(js, replies, kind, count)

    process = _start(url, model)
    with _ended(process):
        while WorkerAnnounced.model_validate_json(await announced.get()).lanes[0].health != "ready":
            pass
        os.killpg(process.pid, signal.SIGSTOP)
        yield Side("service", process.pid, measure)
        await nc.close()


def _start(url: str, model: Path) -> subprocess.Popen[Any]:
    options = {"model": str(model), "gpus": 1, **ENGINE}
    lane = LaneSpec(
        kind="generate", slug="tiny", digest="d", engine="vllm", options=options, concurrency=64
    )
    environment = {
        **os.environ,
        "PREFMILL_NATS_URL": url,
        "PREFMILL_LANES": json.dumps([lane.model_dump(mode="json")]),
        "PREFMILL_ANNOUNCE_S": "0.2",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "prefmill.generator.app"],
        env=environment,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def _keeper(kept: asyncio.Queue[bytes]) -> Any:
    async def keep(message: Any) -> None:
        kept.put_nowait(message.data)

    return keep


async def _once(js: Any, replies: asyncio.Queue[bytes], kind: str, requests: int) -> float:
    began = time.perf_counter()
    sent = [_batch(kind, first) for first in range(0, requests, ROWS)]
    await asyncio.gather(
        *(publish_work(js, "generate.v1.tiny", batch.json(), batch.id) for batch in sent)
    )
    waiting, tokens = {batch.id for batch in sent}, 0
    while waiting:
        reply = BatchGenerated.read(await replies.get())
        if reply.batch in waiting:  # a reply may come twice, if its sender was stopped meanwhile
            waiting.discard(reply.batch)
            tokens += sum(cell.usage.output_tokens for cell in reply.cells)
    return tokens / (time.perf_counter() - began)


def _batch(kind: str, first: int) -> GenerateBatch:
    rows = tuple(
        GenerateRow(row=n, messages=(_prompt(n),), cells=(_cell(n),))
        for n in range(first, first + ROWS)
    )
    limits = LENGTHS[kind]
    further: dict[str, JsonValue] = {"stop_token_ids": [*limits.stop_token_ids]}
    return GenerateBatch(
        id=f"{kind}-{first}-{time.time_ns()}",
        run=1,
        slot=1,
        lane="tiny",
        lane_digest="d",
        params=Params(max_tokens=limits.most, temperature=1.0, extra_body=further),
        rows=rows,
    )


def _cell(number: int) -> GenerateCell:
    return GenerateCell(sample=0, attempt=0, last=True, seed=number, digest="d")


if __name__ == "__main__":
    _offline(sys.argv[1])
