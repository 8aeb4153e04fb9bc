"""What a marked function becomes: a plugin like any other, of the protocol of its group.

Its keyword-only parameters are its options, checked by their annotations; the first one is the main
option, which may stand behind the plugin's name.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final, cast

from pydantic import Field, create_model
from pydantic_core import to_json

from prefmill.contracts.base import Strict
from prefmill.contracts.reasons import (
    LEFT_OUT_BY,
    MISSING_RATING,
    NOT_FINISHED,
    OUT_OF_RANGE,
    RATED,
)
from prefmill.contracts.results import Reading
from prefmill.contracts.work import JudgeRow, Shows
from prefmill.plugins import registry
from prefmill.plugins.annotation import Annotation
from prefmill.plugins.digest import digest_of
from prefmill.plugins.errors import RecipeError, line_in
from prefmill.plugins.format import FormatContext, ScoredRow, Written
from prefmill.plugins.marks import Mark
from prefmill.plugins.records import Record, scored_record, scores_in
from prefmill.plugins.rubric import Question, Rubric, annotation_of, fingerprint_of

PAIRS: Final = {"a": (1.0, 0.0), "b": (0.0, 1.0), "tie": (0.5, 0.5)}


class OfFunction:
    """What all of them share. `place` is where the function stands, `digest` the hash of its code,
    `file` its file with the hash of that."""

    Options: ClassVar[type[Strict]]
    mark: ClassVar[Mark]
    function: ClassVar[Callable[..., Any]]
    place: ClassVar[str]
    digest: ClassVar[str]
    file: ClassVar[tuple[str, str]]

    def __init__(self, options: Strict) -> None:
        self._values = options.model_dump()

    def call(self, value: Any) -> Any:
        """The function with its options."""
        return type(self).function(value, **self._values)

    def failed(self, error: Exception) -> RecipeError:
        """What is told when it raises, or returns what is of no use."""
        said = " ".join(str(error).split())
        line = line_in(error, self.file[0])
        place = f"{self.file[0]}:{line}" if line else self.place
        return RecipeError(f"{place}: {self.mark.name}: {type(error).__name__}: {said}")


class FunctionPool(OfFunction):
    """Scores by the function."""

    def __init__(self, options: Strict, raters: Sequence[str] = ()) -> None:
        super().__init__(options)
        self.raters = tuple(raters)

    def fit(self, rows: Iterable[Any]) -> None:
        """Nothing to learn."""

    def score(self, ratings: Sequence[Sequence[float | None]]) -> tuple[float | None, ...]:
        """One per generation. RecipeError if the function fails: it would for every row."""
        try:
            found = self.call([list(row) for row in ratings])
            return scores_in(list(found), len(ratings[0]))
        except Exception as error:
            raise self.failed(error) from error


class FunctionTransform(OfFunction):
    """Changes a row, or leaves it out, by the function."""

    def apply(self, row: Record) -> Record | None:
        """True and a mapping let the row go on; False and None leave it out."""
        found = self.call(dict(row))
        if found is None or found is False:
            return None
        if found is True:
            return row
        if not isinstance(found, dict):
            raise TypeError(f"{self.place}: gave {type(found).__name__}, no row and no truth value")
        return row | cast("Record", found)


class FunctionFormat(OfFunction):
    """One config, of the function's name."""

    training: bool = True

    def __init__(self, options: Strict, context: FormatContext) -> None:
        super().__init__(options)
        self.context = context
        self.training = bool(self.mark.settings["training"])

    def configs(self) -> dict[str, Any]:
        """One."""
        columns = {"id": str, **self.mark.settings["columns"], "metadata": str}
        return {self.mark.name: lambda: _schema(columns)}

    def write(self, row: ScoredRow) -> dict[str, Written]:
        """What the function makes of a row that has made judged data."""
        return {self.mark.name: self._written(row)}

    def _written(self, row: ScoredRow) -> Written:
        failure = row.row.prompt.failure
        reason = failure.reason if failure else NOT_FINISHED if row.row.open_cells else row.dropped
        if reason is not None:
            return Written((), "dropped", reason)
        try:
            return self._records(row, self.call(scored_record(row)))
        except Exception as error:
            raise self.failed(error) from error

    def _records(self, row: ScoredRow, found: Any) -> Written:
        if found == "tie":
            return Written((), "tie")
        made: list[Any] = [found] if isinstance(found, dict) else list(found or ())
        if not made:
            return Written((), "dropped", f"{LEFT_OUT_BY}{self.mark.name}")
        prompt, columns = row.row.prompt, self.mark.settings["columns"].keys()
        for record in made:
            if not isinstance(record, dict) or record.keys() != columns:
                raise ValueError(f"{record!r} has not the columns {', '.join(columns)}")
        ends = prompt.id, to_json(prompt.metadata).decode()
        records = ({"id": ends[0], **record, "metadata": ends[1]} for record in made)
        return Written(tuple(records), "out")


class FunctionRubric(OfFunction):
    """Asks as the rubric `template` does, and reads answers by the function."""

    def __init__(self, options: Strict) -> None:
        super().__init__(options)
        template = registry.load("rubrics", "template")
        spec = {"template": self.mark.settings["template"]}
        self._asks: Rubric = template(registry.options_of(template, spec, self.place))
        self.shows: Shows = spec["template"]["shows"]

    @property
    def aspects(self) -> tuple[str, ...]:
        """What is judged, one call each."""
        return self._asks.aspects

    @property
    def tokens_per_text(self) -> int:
        """As its decorator says."""
        return self._asks.tokens_per_text

    def fingerprint(self) -> str:
        """Of templates, options and code."""
        return digest_of(self._asks.fingerprint(), self._values, self.digest).hex()

    def fingerprint_of(self, aspect: str) -> str:
        """Of one aspect alone."""
        return digest_of(fingerprint_of(self._asks, aspect), self._values, self.digest).hex()

    def ask(self, row: JudgeRow, aspect: str, order: tuple[int, ...]) -> Question:
        """The question. No schema: the function reads text as the judge wrote it."""
        return replace(self._asks.ask(row, aspect, order), schema=None)

    def annotation(self, aspect: str) -> Annotation:
        """How people check an aspect."""
        return annotation_of(self._asks, aspect)

    def read(self, aspect: str, answer: str, texts: int) -> tuple[Reading, ...]:
        """What the function finds. Raises what it raises: the caller takes that for unreadable."""
        found = self.call(answer)
        if self.shows == "pairs":
            return _pair(found)
        given: list[Any] = [found] if self.shows == "each" else list(found or ())
        if len(given) != texts:
            raise ValueError(f"{self.mark.name}: {len(given)} ratings for {texts} texts")
        return tuple(map(self._reading, given))

    def _reading(self, found: Any) -> Reading:
        said = cast("tuple[Any, Any]", found if isinstance(found, tuple) else (found, None))
        rating, rationale = said
        if rating is None:
            return Reading(status=MISSING_RATING, rationale=rationale)
        scale = self.mark.settings["template"]["scale"]
        if not math.isfinite(rating) or not scale["min"] <= rating <= scale["max"]:
            return Reading(status=OUT_OF_RANGE, rationale=rationale)
        return Reading(rating=rating, status=RATED, rationale=rationale)


def _pair(found: Any) -> tuple[Reading, ...]:
    if found is None:
        return (Reading(status=MISSING_RATING),) * 2
    ratings = PAIRS[str(found).lower()]
    return tuple(Reading(rating=rating, status=RATED) for rating in ratings)


KINDS: Final[dict[str, type[OfFunction]]] = {
    "pools": FunctionPool,
    "transforms": FunctionTransform,
    "formats": FunctionFormat,
    "rubrics": FunctionRubric,
}


def plugin_of(mark: Mark, function: Callable[..., Any], **known: Any) -> Any:
    """The plugin class of a marked function; `known` are its place, digest and file."""
    members = {
        "Options": _options(mark, function),
        "mark": mark,
        "function": staticmethod(function),
        "__doc__": function.__doc__ or f"`{function.__name__}` of {known['place']}.",
        **known,
    }
    return type(function.__name__, (KINDS[mark.group],), members)


def _options(mark: Mark, function: Callable[..., Any]) -> type[Strict]:
    parameters = inspect.signature(function, eval_str=True).parameters.values()
    fields: dict[str, Any] = {}
    for option in (p for p in parameters if p.kind is p.KEYWORD_ONLY):
        kind = Any if option.annotation is option.empty else option.annotation
        alias = None if fields else mark.name
        fields[option.name] = (kind, Field(default=option.default, alias=alias))
    return create_model(f"{function.__name__}_options", __base__=Strict, **fields)


def _schema(columns: dict[str, Any]) -> Any:
    import pyarrow as pa

    made = cast("Any", pa)
    return made.schema([(name, _arrow(made, kind)) for name, kind in columns.items()])


def _arrow(pa: Any, kind: Any) -> Any:
    if isinstance(kind, list):
        return pa.list_(_arrow(pa, kind[0]))
    if isinstance(kind, dict):
        return pa.struct([(name, _arrow(pa, inner)) for name, inner in kind.items()])  # pyright: ignore[reportUnknownVariableType]
    return {str: pa.string, int: pa.int64, float: pa.float64, bool: pa.bool_}[kind]()
