"""`{csv: prompts.csv}`: comma-separated values with a header, plain or gzipped."""

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pydantic import Field

from prefmill.coordinator.sources.files import (
    LONGEST,
    Paths,
    countable,
    files_of,
    fingerprint_of,
    lines_of,
    place_of,
)
from prefmill.coordinator.sources.mapping import Record, Unreadable
from prefmill.coordinator.sources.reading import RecordSource
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.source import SourceOptions


class CsvOptions(SourceOptions):
    """What `csv` understands."""

    csv: Paths = Field(description="A file, a pattern such as `data/*.csv.gz`, or several.")
    delimiter: str | None = Field(
        default=None,
        min_length=1,
        max_length=1,
        description="Between fields; a comma, or a tab in a `.tsv` file, if none is given.",
    )


class CsvSource(RecordSource):
    """The rows of CSV files with a header each, as texts. Blank lines are no rows."""

    Options = CsvOptions

    def __init__(self, options: SourceOptions) -> None:
        super().__init__(options)
        assert isinstance(options, CsvOptions)
        self._paths = options.csv
        self._delimiter = options.delimiter

    def records(self, skip: int) -> Iterator[Record | Unreadable]:
        """The rows by the names in the header; one that does not fit it is unreadable."""
        return islice(self._all(), skip, None)

    def _all(self) -> Iterator[Record | Unreadable]:
        csv.field_size_limit(LONGEST)
        for file in self._files():
            tab = file.name.removesuffix(".gz").endswith(".tsv")
            yield from _Table(file, self._delimiter or ("\t" if tab else ",")).rows()

    def _files(self) -> list[Path]:
        return files_of(self._paths, "csv")

    def place(self) -> str:
        """The files."""
        return place_of(self._files())

    def fingerprint(self) -> str:
        """Of the files' names, sizes and times."""
        return fingerprint_of(self._files())

    def count(self, limit: int | None) -> int | None:
        """Rows without the headers."""
        if limit is None and not countable(self._files()):
            return None
        return sum(1 for _ in islice(self._all(), limit))


class _Table:
    """One file. What a line has that no CSV reader understands is noted for the row it is in."""

    def __init__(self, file: Path, delimiter: str) -> None:
        self._file = file
        self._reader = csv.reader(self._texts(), delimiter=delimiter, strict=True)
        self._fault = ""
        self._broken: list[Unreadable] = []

    def _texts(self) -> Iterator[str]:
        for line in lines_of(self._file):
            if isinstance(line, Unreadable):
                self._broken.append(line)
                continue
            number, data = line
            try:
                yield data.decode()
            except UnicodeDecodeError as error:
                byte = f"0x{data[error.start]:02x}"
                self._fault = f"line {number}, byte {error.start + 1}: not UTF-8 ({byte})"
                yield data.decode(errors="replace")

    def rows(self) -> Iterator[Record | Unreadable]:
        header = self._header()
        if header is None:
            return
        while (row := self._next()) is not None:
            if isinstance(row, Unreadable):
                yield row
            elif len(row) != len(header):
                fields = f"{len(row)} fields, the header has {len(header)}"
                yield Unreadable(f"{self._file.name} line {self._reader.line_num}: {fields}")
            else:
                yield dict(zip(header, row, strict=True))
        yield from self._broken

    def _header(self) -> list[str] | None:
        header = self._next()
        if isinstance(header, Unreadable):
            raise RecipeError(f"{self._file}: its header cannot be read: {header.detail}")
        twice = {name for name in header or () if (header or []).count(name) > 1}
        if twice:
            raise RecipeError(f"{self._file}: several columns are named {', '.join(sorted(twice))}")
        return header

    def _next(self) -> list[str] | Unreadable | None:
        """The next row that is not blank; None at the end."""
        start, self._fault = self._reader.line_num + 1, ""
        try:
            row = next((row for row in self._reader if row), None)
        except csv.Error as error:
            return Unreadable(f"{self._file.name} line {start}: {error}")
        return Unreadable(f"{self._file.name} {self._fault}") if self._fault else row
