"""How often two datasets of one run prefer other answers: `prefmill export --against`.

Which binarization is chosen changes the chosen answer of many prompts; this counts of how many.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from pydantic import ValidationError

from prefmill.cli.show.numbers import plural
from prefmill.cli.stop import FAILED, WRONG, Stop
from prefmill.contracts.recipe import PluginSpec, Recipe
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.files import plugin_files
from prefmill.plugins.format import FormatContext, arrow_schema
from prefmill.plugins.outputs import formats_of, with_formats

CHOSEN: Final = 1
REJECTED: Final = 2

Said = dict[bytes, int]
"""Text, by a digest → CHOSEN, REJECTED, or both of them added, where pairs differ."""


@dataclass(frozen=True)
class Dataset:
    """What one config prefers: prompt's id → its texts."""

    name: str
    prompts: dict[str, Said]


@dataclass(frozen=True)
class Compared:
    """Two datasets, over the prompts that are in both and have something chosen in both."""

    prompts: int
    others: int
    """Of them, those in which no text that one only chooses is only chosen by the other."""
    contrary: int
    """Of them, those in which one only chooses a text that the other only rejects."""


def compared(one: Mapping[str, Said], other: Mapping[str, Said]) -> Compared:
    """Count. A prompt without anything chosen on one side, as KTO has them, is not compared."""
    prompts = others = contrary = 0
    for key in one.keys() & other.keys():
        (best, worst), (their_best, their_worst) = _sides(one[key]), _sides(other[key])
        if best and their_best:
            prompts += 1
            others += best.isdisjoint(their_best)
            contrary += bool(best & their_worst or worst & their_best)
    return Compared(prompts, others, contrary)


def _sides(said: Said) -> tuple[set[bytes], set[bytes]]:
    """What is only chosen, and what is only rejected."""
    best = {text for text, side in said.items() if side == CHOSEN}
    return best, {text for text, side in said.items() if side == REJECTED}


def report(made: Path, others: Sequence[Path]) -> Iterator[str]:
    """Lines for the configs of `made` and of each of the other folders: one for all that compare
    alike, as the layouts of the same pairs do."""
    mine = _all_in(made)
    if not mine:
        raise Stop(
            FAILED,
            f"{made} is written, but not compared: --against is about pairs, ranks and labels "
            "with the column `id`",
        )
    for folder in others:
        theirs = datasets_in(folder)
        alike: dict[tuple[Compared, str], list[str]] = {}
        for one in mine:
            found: dict[Compared, list[str]] = {}
            for other in theirs:
                found.setdefault(compared(one.prompts, other.prompts), []).append(other.name)
            for said, names in found.items():
                alike.setdefault((said, ", ".join(names)), []).append(one.name)
        for (said, names), ours in alike.items():
            yield _line(", ".join(ours), f"{folder} ({names})", said)


def _line(name: str, beside: str, found: Compared) -> str:
    if not found.prompts:
        return f"{name} against {beside}: no prompt has a chosen answer in both"
    return (
        f"{name} against {beside}: {plural(found.prompts, 'prompt')} with a chosen answer in both; "
        f"in {_share(found.others, found.prompts)} they choose no answer alike, "
        f"in {_share(found.contrary, found.prompts)} one chooses an answer that the other rejects"
    )


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({part / whole:.0%})"


def refuse_incomparable(stored: Mapping[str, Any], formats: tuple[PluginSpec, ...] | None) -> None:
    """Stop if none of these formats, else of the stored recipe's, says what is preferred. What
    cannot be made here is for the coordinator to judge."""
    try:
        recipe = Recipe.model_validate(stored)
        output = with_formats(recipe.output, formats) if formats else recipe.output
        context = FormatContext(tuple(recipe.judges), (), output.pairing, recipe.seed)
        with plugin_files(recipe.plugins):
            made = formats_of(output, context)
            schemas = [arrow_schema(config) for form in made for config in form.configs().values()]
    except (RecipeError, ValidationError):
        return
    if not any(_columns(schema.names) for schema in schemas):
        raise Stop(
            WRONG,
            "error: --against is about pairs, ranks and labels with the column `id`, and none of "
            "the formats to be made has them; name one, for example --format trl",
        )


def datasets_in(folder: Path) -> list[Dataset]:
    """The configs of a dataset's folder that say what is preferred; Stop if there is none."""
    found = _all_in(folder)
    if not found:
        raise Stop(
            WRONG,
            f"error: {folder} holds no dataset of pairs, ranks or labels with the column `id`",
        )
    return found


def _all_in(folder: Path) -> list[Dataset]:
    configs = [path for path in sorted(folder.glob("*")) if any(path.glob("*.parquet"))]
    return [made for config in configs if (made := _dataset(config))]


def _dataset(config: Path) -> Dataset | None:
    import pyarrow.parquet as pq

    prompts: dict[str, Said] = {}
    for file in sorted(config.glob("*.parquet")):
        shard: Any = pq.ParquetFile(file)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        columns = _columns(shard.schema_arrow.names)
        if not columns:
            return None
        for batch in shard.iter_batches(columns=columns):
            _take(prompts, batch.to_pylist())
    return Dataset(config.name, prompts)


def _columns(names: Sequence[str]) -> list[str]:
    """Those that say what is preferred, with the id; none if they do not stand there."""
    for kind in (("chosen", "rejected"), ("completion", "label"), ("responses", "ranks")):
        if {"id", *kind} <= set(names):
            return ["id", *kind]
    return []


def _take(prompts: dict[str, Said], records: Iterable[Mapping[str, Any]]) -> None:
    for record in records:
        said = prompts.setdefault(record["id"], {})
        for text, side in _preferences(record):
            said[text] = said.get(text, 0) | side


def _preferences(record: Mapping[str, Any]) -> Iterator[tuple[bytes, int]]:
    if "label" in record:
        yield _digest(record["completion"]), CHOSEN if record["label"] else REJECTED
    elif "ranks" in record:
        for text, rank in zip(record["responses"], record["ranks"], strict=True):
            yield _digest(text), CHOSEN if rank == 1 else REJECTED
    else:
        yield _digest(record["chosen"]), CHOSEN
        yield _digest(record["rejected"]), REJECTED


def _digest(said: object) -> bytes:
    """Of the last turn's text, however the format writes turns."""
    if isinstance(said, list):
        said = cast("list[object]", said)[-1]
    if isinstance(said, dict):
        turn = cast("dict[str, object]", said)
        said = turn.get("content", turn.get("value"))
    return hashlib.blake2b(str(said).strip().encode(), digest_size=8).digest()
