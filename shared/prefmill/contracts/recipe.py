"""A recipe: what a user writes. Options of plugins stay plain here; each plugin's own model
checks them (`prefmill.plugins.registry`)."""

from collections.abc import Sequence
from typing import Annotated, Literal, cast

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue

from prefmill.contracts.base import Strict
from prefmill.contracts.chat import Params

PluginSpec = dict[str, JsonValue]
"""`{name: main option, other: options}`; a bare string `name` is understood as `{name: null}`."""


def _spec(value: object) -> object:
    return {value: None} if isinstance(value, str) else value


Spec = Annotated[PluginSpec, BeforeValidator(_spec, json_schema_input_type=PluginSpec | str)]


def _specs(value: object) -> object:
    if isinstance(value, list | tuple):
        return tuple(_spec(item) for item in cast("Sequence[object]", value))
    return _spec(value)


def _list(value: object) -> object:
    return (cast("object", value),) if isinstance(value, str | dict) else value


Steps = Annotated[
    tuple[Spec, ...],
    BeforeValidator(_list, json_schema_input_type=list[PluginSpec | str] | PluginSpec | str),
]

Specs = Annotated[
    PluginSpec | Annotated[tuple[PluginSpec, ...], Field(min_length=1)],
    BeforeValidator(_specs, json_schema_input_type=PluginSpec | str | list[PluginSpec | str]),
]


class Price(Strict):
    """What a model costs, in US dollars per million tokens."""

    input: float = Field(ge=0, description="US dollars per million prompt tokens.")
    output: float = Field(ge=0, description="US dollars per million written tokens.")


class ModelSpec(Strict):
    """A model or judge: an engine, the model it runs, and that engine's options beside them."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    engine: str = Field(
        default="", description="Name of an engine plugin: `openai`, `anthropic`, …"
    )
    lane: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$",
        description="Name under which the model is deployed, instead of engine and options.",
    )
    params: Params = Field(default=Params(), description="Its own parameters; they win.")
    concurrency: int = Field(default=64, ge=1, description="Calls in flight at once, a worker.")
    system: Literal["keep", "fold"] = Field(
        default="keep", description="`fold` puts the system prompt into the first user turn."
    )
    price: Price | None = Field(default=None, description="Overrides the built-in price table.")
    samples: int = Field(
        default=1, ge=1, le=100, description="Answers of this model to a row, or its verdicts."
    )

    def options(self) -> dict[str, JsonValue]:
        """The engine's own options, as written."""
        return dict(self.model_extra or {})


Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]

Odds = str | tuple[str, ...] | dict[str, Weight]
"""One principle; several, equally likely; or each with its weight."""


class PrinciplesSpec(Strict):
    """A principle is drawn for every answer, and one of its wordings is told to the model."""

    profile: str | None = Field(
        default=None, description="Odds to begin with: `ultrafeedback` or `ultrafeedback-code`."
    )
    odds: dict[str, Odds] = Field(
        default={},
        description="By the `source` of a prompt, `*` for all others; over those of the profile: "
        "`{flan: {helpfulness: 80, honesty: 20}, '*': honesty}`.",
    )
    wordings: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(
        default={}, description="Principle → the ways to tell it, of which one is drawn."
    )


def _profile(value: object) -> object:
    return {"profile": value} if isinstance(value, str) else value


class GenerateStep(Strict):
    """How answers are made."""

    sampler: Spec = Field(default={"all": None}, description="Which models answer a row.")
    params: Params = Field(default=Params(), description="For all models.")
    system: str | None = Field(default=None, description="System prompt of rows without one.")
    on_unavailable: Literal["wait", "skip", "redraw"] = Field(
        default="wait",
        description="A model that cannot be had: wait for it, go on without it, or draw another "
        "of the pool for its rows.",
    )
    principles: Annotated[
        PrinciplesSpec | None,
        BeforeValidator(_profile, json_schema_input_type=PrinciplesSpec | str | None),
    ] = Field(default=None, description="What each answer is told to live up to; a profile.")


class JudgeStep(Strict):
    """How answers are judged."""

    rubric: Specs = Field(
        description="How a judge is asked: `{ultrafeedback: [honesty]}`, or a list of several."
    )
    params: Params = Field(default=Params(), description="For all judges.")
    quorum: int = Field(
        default=1, ge=1, description="Judges with a usable verdict that a row needs, per aspect."
    )

    @property
    def rubrics(self) -> tuple[PluginSpec, ...]:
        """The rubrics as a list, however they were written."""
        return (self.rubric,) if isinstance(self.rubric, dict) else self.rubric


class PoolStep(Strict):
    """How verdicts become scores: aspects within a judge first, then judges."""

    of: tuple[str, ...] = Field(
        default=(),
        description="Aspects that make the score; those of the first rubric if none are named.",
    )
    judges: Spec = Field(default={"mean": None}, description="Pool over judges.")
    aspects: Spec = Field(default={"mean": None}, description="Pool over one judge's aspects.")


class Pairing(Strict):
    """How scored generations become pairs."""

    choose: Literal["best-worst", "best-random", "all"] = Field(
        default="best-worst",
        description="Best against worst, best against a random lower one, or every pair.",
    )
    ties: Literal["drop", "keep"] = Field(
        default="drop",
        description="A row whose scores are all equal: dropped and counted, or the first kept.",
    )
    margin: float = Field(default=0.0, ge=0, description="Least difference between the scores.")
    seed: int | None = Field(default=None, description="For `best-random`; the recipe's if none.")


ColumnChoice = tuple[str, ...] | dict[str, str]
"""Columns to keep, in this order; a mapping gives each its name in the dataset as well."""


class Output(Strict):
    """What is written. Any other key names a destination: `hub: {repo: me/name}`."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    formats: tuple[Spec, ...] = Field(default=({"raw": None},), description="Data formats.")
    columns: ColumnChoice | dict[str, ColumnChoice] | None = Field(
        default=None,
        description="Columns to keep, in this order: `[prompt, chosen]`, or with their names in "
        "the dataset `{prompt: instruction}`; for one format (or config) each: "
        "`{trl: [prompt, chosen, rejected]}`. `metadata.NAME` is a column of the source, as text.",
    )
    transforms: Steps = Field(
        default=(), description="Change rows or leave them out, after pooling: `[{filter: …}]`."
    )
    pairing: Pairing = Field(default=Pairing(), description="For formats made of pairs.")
    test: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of the prompts that make a split `test`, drawn by what they say: the "
        "same ones in every format.",
    )
    shard_rows: int = Field(default=5000, ge=1, description="Prompts per parquet shard.")

    def destinations(self) -> dict[str, JsonValue]:
        """Destination → its options, as written."""
        return dict(self.model_extra or {})

    def in_its_folder(self) -> "Output":
        """The same without destinations."""
        return Output.model_validate(
            self.model_dump(exclude=set(self.destinations()), exclude_unset=True)
        )


class Limits(Strict):
    """Where a run stops."""

    cost_usd: float | None = Field(default=None, gt=0, description="US dollars, in all.")
    attempts: int = Field(default=3, ge=1, le=20, description="Counted attempts per cell.")
    concurrency: int | None = Field(
        default=None, ge=1, description="Calls in flight at once, all workers of this machine."
    )


def _files(value: object) -> object:
    if isinstance(value, str):
        return {value: ""}
    if isinstance(value, list | tuple):
        return dict.fromkeys(cast("Sequence[object]", value), "")
    return value


PluginFiles = Annotated[
    dict[str, str], BeforeValidator(_files, json_schema_input_type=list[str] | dict[str, str] | str)
]
"""Path → SHA-256 of what the file holds, hex; empty where it does not matter."""


def _named(value: object) -> object:
    if isinstance(value, list | tuple):
        names = cast("Sequence[object]", value)
        return {str(name): {"lane": name} for name in names}
    return value


Models = Annotated[
    dict[str, ModelSpec],
    BeforeValidator(_named, json_schema_input_type=dict[str, ModelSpec] | list[str]),
]


def _pool(value: object) -> object:
    return {"judges": value, "aspects": value} if isinstance(value, str) else value


class Recipe(Strict):
    """Prompts in, preference data out: the whole of a run in one file."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$", description="The run's name; resumes by it."
    )
    seed: int = Field(default=0, description="Seeds draws, orders and answers.")
    plugins: PluginFiles = Field(
        default={}, description="Python files with plugins of this recipe's own: `[./mine.py]`."
    )
    source: PluginSpec = Field(description="Where prompts come from: `{jsonl: prompts.jsonl}`.")
    transforms: Steps = Field(
        default=(), description="Change rows or leave them out, before generation: `[dedup]`."
    )
    models: Models = Field(
        default={}, description="Who can answer, by alias; or names of deployed ones."
    )
    generate: GenerateStep = Field(default=GenerateStep(), description="How answers are made.")
    judges: Models = Field(
        default={}, description="Who can judge, by alias; or names of deployed ones."
    )
    judge: JudgeStep | None = Field(default=None, description="How answers are judged.")
    pool: Annotated[PoolStep, BeforeValidator(_pool, json_schema_input_type=PoolStep | str)] = (
        Field(default=PoolStep(), description="How verdicts become scores.")
    )
    output: Output = Field(default=Output(), description="What is written.")
    limits: Limits = Field(default=Limits(), description="Where it stops.")
