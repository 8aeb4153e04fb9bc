"""`truncate`: long instructions are cut off."""

from typing import ClassVar

from pydantic import Field

from prefmill.contracts.base import Strict
from prefmill.plugins.records import Record


class TruncateOptions(Strict):
    """`{truncate: 4000}`."""

    chars: int = Field(alias="truncate", ge=1, description="Most characters of an instruction.")


class Truncate:
    """Cuts long instructions off: their beginning stays."""

    Options: ClassVar[type[Strict]] = TruncateOptions

    def __init__(self, options: Strict) -> None:
        assert isinstance(options, TruncateOptions)
        self._chars = options.chars

    def apply(self, row: Record) -> Record:
        """The row with its instruction cut."""
        return row | {"instruction": row["instruction"][: self._chars]}
