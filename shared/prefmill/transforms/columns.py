"""`keep` and `rename`: which columns of the source go along as metadata, and how named."""

from typing import ClassVar

from pydantic import Field

from prefmill.contracts.base import Strict
from prefmill.plugins.records import Record


class KeepOptions(Strict):
    """`{keep: [source, topic]}`."""

    columns: tuple[str, ...] = Field(alias="keep", description="Columns to keep; [] for none.")


class Keep:
    """Drops all columns of the source that are not named."""

    Options: ClassVar[type[Strict]] = KeepOptions

    def __init__(self, options: Strict) -> None:
        assert isinstance(options, KeepOptions)
        self._columns = options.columns

    def apply(self, row: Record) -> Record:
        """The row with those columns, in the order named."""
        metadata = row["metadata"]
        return row | {"metadata": {k: metadata[k] for k in self._columns if k in metadata}}


class RenameOptions(Strict):
    """`{rename: {topic: subject}}`."""

    names: dict[str, str] = Field(alias="rename", description="Old name → new name.")


class Rename:
    """Gives columns of the source other names. One that is taken already makes the row fail."""

    Options: ClassVar[type[Strict]] = RenameOptions

    def __init__(self, options: Strict) -> None:
        assert isinstance(options, RenameOptions)
        self._names = options.names

    def apply(self, row: Record) -> Record:
        """The row with its columns renamed, in their order; ValueError for two of one name."""
        renamed = {self._names.get(name, name): value for name, value in row["metadata"].items()}
        if len(renamed) < len(row["metadata"]):
            raise ValueError("two columns would have the same name; drop one with `keep` before")
        return row | {"metadata": renamed}
