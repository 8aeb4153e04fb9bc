"""The two sides: how each is started for so many rows."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.llm import FakeLLM
from benchmarks.prompts import write_prompts, write_recipe
from benchmarks.runs import Command

PREFMILL: Final = Path(sys.executable).with_name("prefmill")


@dataclass
class Workplace:
    """A temporary folder; each run gets a new one inside."""

    folder: Path
    llm: FakeLLM
    runs: int = 0

    def prompts(self, rows: int) -> Path:
        """A file of so many prompts, made once."""
        path = self.folder / f"prompts-{rows}.jsonl"
        return path if path.exists() else write_prompts(path, rows)

    def prefmill(self, rows: int, *, limit: int | None = None, home: Path | None = None) -> Command:
        """`prefmill run` of a new recipe; in a new home if none is given."""
        folder = self._next()
        recipe = folder / f"bench-{self.runs}.yaml"
        write_recipe(recipe, self.prompts(rows), self.llm.port, self.runs, limit=limit)
        home = home or folder / "home"
        places = ["--home", str(home), "--output", str(folder / "out")]
        arguments = [str(PREFMILL), "run", str(recipe), "--yes", *places]
        return Command(arguments, folder, folder / "log")

    def by_hand(self, rows: int, *, processes: int = 1, aiohttp: bool = False) -> Command:
        """The hand-written script."""
        folder = self._next()
        arguments = [
            *(sys.executable, "-m", "benchmarks.by_hand"),
            *(str(self.prompts(rows)), str(folder / "out")),
            *("--base-url", self.llm.base_url, "--processes", str(processes)),
            *(["--aiohttp"] if aiohttp else []),
        ]
        return Command(arguments, folder, folder / "log")

    def bare(self, rows: int) -> Command:
        """aiohttp alone, nothing kept."""
        folder = self._next()
        arguments = [
            *(sys.executable, "-m", "benchmarks.bare", str(self.prompts(rows))),
            *("--base-url", self.llm.base_url),
        ]
        return Command(arguments, folder, folder / "log")

    def _next(self) -> Path:
        self.runs += 1
        folder = self.folder / str(self.runs)
        folder.mkdir()
        return folder
