"""`sample`: a random share of the rows."""

from typing import ClassVar

from pydantic import Field

from prefmill.contracts.base import Strict
from prefmill.plugins.digest import seed_of
from prefmill.plugins.records import Record


class SampleOptions(Strict):
    """`{sample: 0.1}`."""

    share: float = Field(alias="sample", gt=0, le=1, description="Share of the rows that stay.")
    seed: int = Field(default=0, description="Another one draws other rows.")


class Sample:
    """A random share of the rows stays. Seed and id alone decide: the same rows whenever, and
    whatever else is in the data."""

    Options: ClassVar[type[Strict]] = SampleOptions

    def __init__(self, options: Strict) -> None:
        assert isinstance(options, SampleOptions)
        self._below = options.share * 2**63
        self._seed = options.seed

    def apply(self, row: Record) -> Record | None:
        """The row, or None."""
        return row if seed_of("sample", self._seed, row["id"]) < self._below else None
