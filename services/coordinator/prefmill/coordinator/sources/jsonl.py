"""`{jsonl: prompts.jsonl}`: one JSON object per line, plain or gzipped."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, cast

from pydantic import Field
from pydantic_core import from_json

from prefmill.coordinator.sources.files import (
    Paths,
    countable,
    files_of,
    fingerprint_of,
    lines_of,
    place_of,
)
from prefmill.coordinator.sources.mapping import Record, Unreadable
from prefmill.coordinator.sources.reading import RecordSource
from prefmill.plugins.source import SourceOptions


class JsonlOptions(SourceOptions):
    """What `jsonl` understands."""

    jsonl: Paths = Field(description="A file, a pattern such as `data/*.jsonl.gz`, or several.")


class JsonlSource(RecordSource):
    """The objects of JSON Lines files, in the order of the files. Blank lines are no rows."""

    Options = JsonlOptions

    def __init__(self, options: SourceOptions) -> None:
        super().__init__(options)
        assert isinstance(options, JsonlOptions)
        self._paths = options.jsonl

    def records(self, skip: int) -> Iterator[Record | Unreadable]:
        """The objects; a line that is none is unreadable. Lines skipped are not parsed."""
        for name, line in islice(self._lines(), skip, None):
            if isinstance(line, Unreadable):
                yield line
                continue
            number, text = line
            try:
                value = from_json(text)
            except ValueError:
                value = _parsed(text, f"{name} line {number}")
            if isinstance(value, (dict, Unreadable)):
                yield cast("dict[str, Any] | Unreadable", value)
            else:
                yield Unreadable(f"{name} line {number}: {type(value).__name__}, not a JSON object")

    def _lines(self) -> Iterator[tuple[str, tuple[int, bytes] | Unreadable]]:
        for file in self._files():
            for line in lines_of(file):
                if isinstance(line, Unreadable) or not line[1].isspace():
                    yield file.name, line

    def _files(self) -> list[Path]:
        return files_of(self._paths, "jsonl")

    def place(self) -> str:
        """The files."""
        return place_of(self._files())

    def fingerprint(self) -> str:
        """Of the files' names, sizes and times."""
        return fingerprint_of(self._files())

    def count(self, limit: int | None) -> int | None:
        """Lines that are not blank."""
        if limit is None and not countable(self._files()):
            return None
        return sum(1 for _ in islice(self._lines(), limit))


def _parsed(line: bytes, where: str) -> Any:
    """What the fast parser refused: lone surrogates are read, all else is explained."""
    try:
        return json.loads(line.decode())
    except UnicodeDecodeError as error:
        byte = line[error.start]
        return Unreadable(f"{where}, byte {error.start + 1}: not UTF-8 (0x{byte:02x})")
    except (ValueError, RecursionError) as error:
        return Unreadable(f"{where}: {_why(line)}: {error}")


def _why(line: bytes) -> str:
    if line.lstrip().startswith(b"["):
        return "no JSON object; a JSON array must be rewritten with one object per line"
    if not line.endswith(b"\n"):
        return "no valid JSON; the file ends in the middle of the line"
    return "no valid JSON"
