"""The yardstick: the same calls over aiohttp alone, in one process, with nothing kept.

For each row two completions at once, then one judge call with both texts; at most LIMIT calls in
flight. Answers are parsed and thrown away, but for their count. It is about the least that Python
code on aiohttp can spend, and so tells how fast the machine is at the moment.
"""

import argparse
import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.prompts import JUDGE_SYSTEM, LIMIT, judge_prompt


@dataclass
class Bare:
    """One session, and what is free of its limit."""

    url: str
    session: aiohttp.ClientSession
    free: asyncio.Semaphore

    async def ask(self, model: str, messages: list[dict[str, str]], **params: Any) -> str:
        """One call: the text of its answer."""
        body = json.dumps({"model": model, "messages": messages, **params}).encode()
        headers = {"content-type": "application/json"}
        async with self.free, self.session.post(self.url, data=body, headers=headers) as answer:
            answer.raise_for_status()
            made = json.loads(await answer.read())
        return made["choices"][0]["message"]["content"]

    async def row(self, prompt: str) -> None:
        """Two answers and a verdict."""
        asked = [{"role": "user", "content": prompt}]
        params = {"max_tokens": 512, "temperature": 0.7}
        texts = await asyncio.gather(*(self.ask(m, asked, **params) for m in ("m-a", "m-b")))
        question = [
            {"role": "system", "content": JUDGE_SYSTEM},
            {"role": "user", "content": judge_prompt(prompt, list(texts))},
        ]
        await self.ask("m-judge", question, max_tokens=1024, temperature=0.0)


async def work(url: str, lines: list[str]) -> None:
    """All rows, so many at once that the limit is always reached."""
    prompts = iter([json.loads(line)["prompt"] for line in lines])
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        bare = Bare(f"{url}/chat/completions", session, asyncio.Semaphore(LIMIT))

        async def worker() -> None:
            for prompt in prompts:
                await bare.row(prompt)

        await asyncio.gather(*(worker() for _ in range(LIMIT)))


def main() -> None:
    """Ask for every prompt of a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompts", type=Path)
    parser.add_argument("--base-url", required=True)
    options = parser.parse_args()
    asyncio.run(work(options.base_url, options.prompts.read_text().splitlines()))


if __name__ == "__main__":
    main()
