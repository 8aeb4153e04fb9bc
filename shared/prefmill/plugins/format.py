"""Formats: finished rows become training data."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from prefmill.contracts.base import Strict
from prefmill.contracts.chat import Failure
from prefmill.contracts.recipe import Pairing
from prefmill.contracts.rows import FinishedRow


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """A finished row with its pooled scores, one per generation.

    `judges` are the aliases of the recipe's judges; `aspects` those of its rubric.
    `scores_by_aspect` pools over judges only. `dropped` is why the row makes no judged data;
    `left_out` why it makes none at all: a transform took it out, or failed on it, and no format
    is shown it.
    """

    row: FinishedRow
    scores: tuple[float | None, ...]
    scores_by_aspect: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    dropped: str | None = None
    left_out: Failure | None = None


@dataclass(frozen=True, slots=True)
class FormatContext:
    """What a format may know of the run."""

    judges: tuple[str, ...]
    aspects: tuple[str, ...]
    pairing: Pairing
    seed: int
    test: float = 0.0
    """The share of prompts that are kept for a test."""


@dataclass(frozen=True, slots=True)
class Written:
    """What one prompt became: records, and exactly one outcome. `reason` with `dropped`."""

    records: tuple[dict[str, Any], ...]
    outcome: Literal["out", "tie", "dropped"]
    reason: str = ""


class Format(Protocol):
    """Writes rows. `configs` names the dataset configs it makes with an explicit Arrow schema
    each: one, or one per aspect."""

    Options: ClassVar[type[Strict]]
    training: ClassVar[bool]
    """Whether trainers read it as it is; the first such one opens by default."""

    def __init__(self, options: Strict, context: FormatContext) -> None: ...

    def configs(self) -> dict[str, Any]:
        """Config name → pyarrow.Schema, or a function that makes it: pyarrow is heavy."""
        ...

    def write(self, row: ScoredRow) -> dict[str, Written]:
        """What the row becomes in each config."""
        ...


def names(specs: Iterable[dict[str, Any]]) -> Sequence[str]:
    """The plugin names of a list of specs."""
    return [next(iter(spec)) for spec in specs]


def arrow_schema(schema: Any) -> Any:
    """The pyarrow.Schema of a config, made now if `configs` gave a function that makes it."""
    return schema() if callable(schema) else schema
