"""`filter`: only rows of which an expression is true stay."""

from typing import Any, ClassVar

from pydantic import Field, field_validator

from prefmill.contracts.base import Strict
from prefmill.plugins.records import Record
from prefmill.transforms.expression import Expression


class FilterOptions(Strict):
    """`{filter: "instruction|length < 2000"}`."""

    expression: str = Field(
        alias="filter", min_length=1, description="In Jinja's syntax, over the fields of a row."
    )

    @field_validator("expression")
    @classmethod
    def _compiles(cls, value: Any) -> Any:
        Expression(value)
        return value


class Filter:
    """Only rows of which an expression is true stay. A row of which it cannot be told fails."""

    Options: ClassVar[type[Strict]] = FilterOptions

    def __init__(self, options: Strict) -> None:
        assert isinstance(options, FilterOptions)
        self._expression = Expression(options.expression)
        self.fields = self._expression.names

    def apply(self, row: Record) -> Record | None:
        """The row, or None."""
        return row if self._expression.holds(row) else None
