"""`transforms: [{ask-nicely: please}]`: a word before each instruction."""

from typing import Any, ClassVar

from pydantic import Field

from prefmill.contracts.base import Strict


class AskNicelyOptions(Strict):
    """What it understands."""

    word: str = Field(default="please", alias="ask-nicely", description="The word.")
    skip: str = Field(default="", description="Rows with this in their instruction are left out.")


class AskNicely:
    """Changes every instruction, and leaves some rows out."""

    Options: ClassVar[type[Strict]] = AskNicelyOptions

    def __init__(self, options: Strict) -> None:
        assert isinstance(options, AskNicelyOptions)
        self._options = options

    def apply(self, row: dict[str, Any]) -> dict[str, Any] | None:
        """The row, or None."""
        if self._options.skip and self._options.skip in row["instruction"]:
            return None
        return row | {"instruction": f"{self._options.word} {row['instruction']}"}
