"""The peer: what somebody writes in an afternoon with asyncio and the openai SDK.

For each row two completions at once, then one judge call with both texts; at most LIMIT calls in
flight; everything is kept in memory and written as JSONL at the end. Nothing is durable, retried or
checked. With two processes each takes half of the rows and half of the limit.
"""

import argparse
import asyncio
import json
import multiprocessing
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from openai import AsyncOpenAI, DefaultAioHttpClient
from openai.types.chat import ChatCompletion

from benchmarks.prompts import JUDGE_SYSTEM, LIMIT, judge_prompt

_RATING: Final = re.compile(r"#### Output for Text \d+\s+Rating: (\d)")


@dataclass(frozen=True)
class Share:
    """What one process does."""

    base_url: str
    lines: list[str]
    output: Path
    limit: int


async def row(client: AsyncOpenAI, free: asyncio.Semaphore, prompt: str) -> dict[str, Any]:
    """Two answers and a verdict."""

    async def ask(model: str, system: str | None, text: str, **params: Any) -> str:
        messages: list[Any] = [{"role": "user", "content": text}]
        if system is not None:
            messages.insert(0, {"role": "system", "content": system})
        async with free:
            made: ChatCompletion = await client.chat.completions.create(
                model=model, messages=messages, **params
            )
        return made.choices[0].message.content or ""

    models = ("m-a", "m-b")
    texts = await asyncio.gather(
        *(ask(model, None, prompt, max_tokens=512, temperature=0.7) for model in models)
    )
    question = judge_prompt(prompt, list(texts))
    verdict = await ask("m-judge", JUDGE_SYSTEM, question, max_tokens=1024, temperature=0.0)
    ratings = [int(rating) for rating in _RATING.findall(verdict)]
    return {"prompt": prompt, "generations": texts, "ratings": ratings, "verdict": verdict}


async def work(share: Share, *, aiohttp: bool) -> None:
    """All rows of a share, so many at once that the limit is always reached; then the file."""
    free = asyncio.Semaphore(share.limit)
    http = DefaultAioHttpClient() if aiohttp else None
    client = AsyncOpenAI(base_url=share.base_url, timeout=600, http_client=http)
    prompts = iter([json.loads(line)["prompt"] for line in share.lines])
    rows: list[dict[str, Any]] = []

    async def worker() -> None:
        for prompt in prompts:
            rows.append(await row(client, free, prompt))  # noqa: PERF401

    async with client:
        await asyncio.gather(*(worker() for _ in range(share.limit)))
    with share.output.open("w") as file:
        file.writelines(json.dumps(done) + "\n" for done in rows)


def run(share: Share, *, aiohttp: bool) -> None:
    """The whole of one process."""
    asyncio.run(work(share, aiohttp=aiohttp))


def main() -> None:
    """Split the rows over the processes and wait for them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompts", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--aiohttp", action="store_true", help="the SDK's aiohttp transport")
    options = parser.parse_args()
    lines, count = options.prompts.read_text().splitlines(), options.processes
    shares = [
        Share(options.base_url, lines[n::count], Path(f"{options.output}.{n}"), LIMIT // count)
        for n in range(count)
    ]
    others = [
        multiprocessing.Process(target=run, args=(share,), kwargs={"aiohttp": options.aiohttp})
        for share in shares[1:]
    ]
    for process in others:
        process.start()
    run(shares[0], aiohttp=options.aiohttp)
    for process in others:
        process.join()


if __name__ == "__main__":
    main()
