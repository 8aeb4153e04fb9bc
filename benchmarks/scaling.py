"""`python -m benchmarks.scaling`: more workers, more answers; measured as processes of their own.

An engine that needs a fixed time for an answer, whatever else it does, stands for a GPU or an API:
each worker holds 64 calls, so one worker makes 64 ÷ latency calls a second and n of them n times
that. What the line costs shows as the share that is missing. Real NATS, real Postgres, services
started as containers start them; nothing is left behind.
"""

import argparse
import json
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, Final

from benchmarks.containers import free_port, services
from benchmarks.llm import FakeLLM
from benchmarks.scaling_sink import LOADS, measure_sinks
from prefmill.cli.embedded import Home
from prefmill.cli.embedded.stack import start_all

SLOTS: Final = 64
LATENCY_S: Final = 2.0
SECONDS: Final = 24
"""Of full work, for each worker."""

Side = str


def _ask(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def _until_up(api: str, workers: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if len(_ask(f"{api}/v1/workers")) >= workers:
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, "the services are not up"
        time.sleep(0.2)


def _recipe(side: Side, workers: int, llm: FakeLLM) -> dict[str, Any]:
    """Answers to be made, or given answers to be judged: one call a row either way."""
    rows = int(workers * SLOTS / LATENCY_S * SECONDS)
    served = {"engine": "openai", "base_url": llm.base_url, "concurrency": SLOTS}
    recipe: dict[str, Any] = {"name": f"{side}-{workers}", "output": {"formats": ["raw"]}}
    prompts = [f"{side} {workers}: what of number {n}?" for n in range(rows)]
    if side == "generator":
        return recipe | {"source": {"inline": prompts}, "models": {"a": served | {"model": "m-a"}}}
    given = [{"prompt": prompt, "responses": {"x": "One.", "y": "Two."}} for prompt in prompts]
    return recipe | {
        "source": {"inline": given},
        "judges": {"j": served | {"model": "m-judge"}},
        "judge": {"rubric": {"ultrafeedback": ["honesty"]}},
    }


def measure(side: Side, workers: int, llm: FakeLLM, folder: Path) -> float:
    """Calls a second, from the first to the last, of so many workers; replies, of sinks."""
    if side in LOADS:
        return measure_sinks(workers, LOADS[side], folder)
    llm.reset(LATENCY_S)
    with start_all(Home(folder / f"{side}-{workers}")) as servers:
        port = free_port()
        env = {
            "PREFMILL_NATS_URL": servers.nats.url,
            "PREFMILL_DATABASE_URL": servers.postgres.dsn,
            "PREFMILL_PORT": str(port),
            "PREFMILL_HOST_ANY": "true",
            "PREFMILL_EXPORTS_DIR": str(folder / "exports"),
            "OPENAI_API_KEY": "none",
            "PREFMILL_LOG_LEVEL": "ERROR",
        }
        api = f"http://127.0.0.1:{port}"
        with services((name, env) for name in ("coordinator", "sink", *[side] * workers)):
            _until_up(api, workers)
            recipe = _recipe(side, workers, llm)
            rows = len(recipe["source"]["inline"])
            _ask(f"{api}/v1/runs", {"recipe": recipe})
            before = llm.wait("calls", 1).first_call
            llm.wait("calls", rows)
            return rows / (time.monotonic() - before)


def main() -> int:
    """Print the curve; 0 if every point has 90 % of linear or more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--sides", nargs="+", default=["generator", "judge", "sink"])
    arguments = parser.parse_args()
    print("| service | workers | calls/s, replies/s | of what is possible | ÷ linear |")
    print("|---|---:|---:|---:|---:|")
    worst = 1.0
    with FakeLLM() as llm, tempfile.TemporaryDirectory() as folder:
        for side in arguments.sides:
            one = 0.0
            for workers in arguments.workers:
                rate = measure(side, workers, llm, Path(folder))
                one = one or rate / workers
                share = rate / (workers * one)
                worst = min(worst, share)
                one_could = LOADS[side].possible if side in LOADS else SLOTS / LATENCY_S
                possible = rate / workers / one_could
                print(
                    f"| {side} | {workers} | {rate:.0f} | {possible:.1%} | {share:.1%} |",
                    flush=True,
                )
    return 0 if worst >= 0.9 else 1


if __name__ == "__main__":
    sys.exit(main())
