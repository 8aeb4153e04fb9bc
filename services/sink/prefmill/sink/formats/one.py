"""What the formats of one dataset config share."""

from abc import ABC, abstractmethod
from typing import ClassVar

from prefmill.contracts.base import Strict
from prefmill.plugins.format import FormatContext, ScoredRow, Written
from prefmill.sink.formats.columns import ArrowType, NoOptions, Schema, schema_of


class OneConfig(ABC):
    """One config, of the format's own name; a format adds its columns, and what a row becomes."""

    Options: ClassVar[type[Strict]] = NoOptions
    training: ClassVar[bool] = True
    name: ClassVar[str]
    columns: ClassVar[dict[str, ArrowType]]
    """Those between `id` and `metadata`, in order."""

    def __init__(self, options: Strict, context: FormatContext) -> None:
        self.options = options
        self.context = context

    def configs(self) -> dict[str, Schema]:
        """One, of the format's own name."""
        return {self.name: schema_of(**self.columns)}

    def write(self, row: ScoredRow) -> dict[str, Written]:
        """What the row becomes in it."""
        return {self.name: self.written(row)}

    @abstractmethod
    def written(self, row: ScoredRow) -> Written:
        """The row's records, or why there are none."""
