"""The real command and the real simulated server, as processes, for tests of the whole line."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PREFMILL = str(Path(sys.executable).with_name("prefmill"))
KEYS = {"OPENAI_API_KEY": "test-key", "ANTHROPIC_API_KEY": "test-key"}


@dataclass(frozen=True)
class Simulator:
    """A running `prefmill simulate`."""

    url: str

    def calls(self) -> int:
        """Completions asked for, those answered with an error included."""
        return int(self.stats()["total"])

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/stats", timeout=10) as answer:
            return json.load(answer)

    def model(self, name: str, **more: Any) -> dict[str, Any]:
        return {"engine": "openai", "model": name, "base_url": f"{self.url}/v1", **more}

    def claude(self, name: str, **more: Any) -> dict[str, Any]:
        return {"engine": "anthropic", "model": name, "base_url": self.url, **more}


@contextmanager
def simulator(*options: str) -> Iterator[Simulator]:
    """`prefmill simulate` on a free port."""
    process = subprocess.Popen(
        [PREFMILL, "simulate", "--port", "0", *options], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://[\d.]+:\d+", line)
        assert found, f"no URL in {line!r}"
        yield Simulator(found[0])
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        process.stdout.close() if process.stdout else None


@dataclass(frozen=True)
class Folder:
    """A place to run the command in."""

    path: Path

    def recipe(self, name: str, recipe: dict[str, Any]) -> Path:
        file = self.path / name
        file.write_text(yaml.safe_dump(recipe, sort_keys=False))
        return file

    def start(self, *args: str | Path) -> subprocess.Popen[str]:
        """The command in a process group of its own."""
        return subprocess.Popen(
            [PREFMILL, *map(str, args)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.path,
            env=os.environ | KEYS,
            start_new_session=True,
        )

    def run(self, *args: str | Path, code: int = 0) -> str:
        """Its output; the exit code is what was expected."""
        process = self.start(*args)
        output, _ = process.communicate(timeout=110)
        assert process.returncode == code, output
        return output


def heard(process: subprocess.Popen[str], pattern: str, seconds: float = 60.0) -> str:
    """What a started command has said, up to the first line that has the pattern."""
    assert process.stdout
    said = ""
    with timer(seconds, process.kill):
        for line in process.stdout:
            said += line
            if re.search(pattern, line):
                return said
    raise AssertionError(f"it ended, or said no {pattern!r} within {seconds} s: {said}")


@contextmanager
def timer(seconds: float, then: Callable[[], None]) -> Iterator[None]:
    """Do something if the block takes longer."""
    alarm = threading.Timer(seconds, then)
    alarm.start()
    try:
        yield
    finally:
        alarm.cancel()


def until(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """Wait for a condition of another process."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(0.02)
    return value


def tables(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Config → all its records, in order."""
    import pyarrow.parquet as pq

    return {
        config.name: [
            row
            for file in sorted(config.glob("*.parquet"))
            for row in pq.read_table(file).to_pylist()
        ]
        for config in sorted(folder.iterdir())
        if config.is_dir() and not config.name.startswith(".")
    }


PROMPTS = [
    f"What should a beginner know about {topic}, point {n}?"
    for n in range(20)
    for topic in ("tides", "bread", "chess", "maps", "bees")
]


def line_recipe(server: Simulator, rows: int = 60) -> dict[str, Any]:
    """Three models of which two answer, two judges on two wires, two aspects."""
    return {
        "name": "line",
        "seed": 5,
        "source": {"inline": PROMPTS[:rows]},
        "models": {
            "one": server.model("sim-one"),
            "two": server.model("sim-two"),
            "three": server.claude("sim-three"),
        },
        "generate": {"sampler": {"sample": 2}, "params": {"max_tokens": 200}},
        "judges": {"oa": server.model("judge-oa"), "an": server.claude("judge-an")},
        "judge": {
            "rubric": {"ultrafeedback": ["honesty", "helpfulness"]},
            "params": {"max_tokens": 900, "temperature": 0.0},
        },
        "output": {"formats": ["preference", "trl", "kto", "sft", "distilabel", "raw"]},
        "limits": {"attempts": 6},
    }
