"""The dataset card: what the data is, how it came to be, and what was left out."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from prefmill.contracts.api import FormatOutcome
from prefmill.contracts.money import dollars
from prefmill.contracts.recipe import Pairing
from prefmill.sink.destinations.measured import measured
from prefmill.sink.destinations.table import ratio, table, whole
from prefmill.sink.domain.figures import Figures
from prefmill.sink.domain.splitting import UNSPLIT, Split
from prefmill.sink.domain.summary import Sums


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What only the caller knows. `models` and `judges`: alias → model id. `recipe` is its text."""

    name: str
    version: str
    models: Mapping[str, str]
    judges: Mapping[str, str]
    rubric: str
    aspects: tuple[str, ...]
    judges_pool: str
    aspects_pool: str
    quorum: int
    pairing: Pairing
    seed: int
    cost_usd: float | None
    recipe: str
    split: Split = UNSPLIT


def card_of(
    facts: CardFacts,
    opens: str,
    outcome: Mapping[str, FormatOutcome],
    figures: Figures,
    not_written: Collection[str] = (),
    contents: Mapping[str, str] | None = None,
) -> str:
    """The README.md. `opens` is the config that opens where none is named. A config without a
    record is counted, but not listed for loading: `datasets` opens no empty split. If none has
    any, all are listed: without a list it would take `run.json` for data. `not_written` are the
    configs whose format failed, `contents` digests of what the others hold."""
    filled = {name: sums for name, sums in outcome.items() if sums.records}
    parts = (
        _front(facts, opens, filled or outcome, contents or {}),
        f"# {facts.name}\n\nPreference data made with prefmill {facts.version}.",
        _outcomes(facts, outcome, not_written),
        _models(facts, figures["models"]),
        _judges(facts, figures["judges"]),
        measured(figures),
        f"## How pairs were made\n\n{_pairing(facts)}",
        f"## Cost\n\n{_cost(facts.cost_usd)}",
        _again(facts, opens),
    )
    return "\n\n".join(part for part in parts if part)


def _front(
    facts: CardFacts,
    opens: str,
    configs: Mapping[str, FormatOutcome],
    contents: Mapping[str, str],
) -> str:
    """With a description of each config's content: `datasets` finds what it has cached of a folder
    by the folder's name and what stands here, so other data must not read alike."""
    lines = ["---", f"pretty_name: {json.dumps(facts.name)}", "tags:", "- preference", "- prefmill"]
    lines += ["configs:"] if configs else []
    for config, sums in configs.items():
        lines += [f"- config_name: {json.dumps(config)}", "  data_files:"]
        for side in _sides(sums):
            path = json.dumps(f"{config}/{side}-*.parquet")
            lines += [f"  - split: {side}", f"    path: {path}"]
        if config in contents:
            lines.append(f"  description: {json.dumps(f'content {contents[config][:16]}')}")
        lines += ["  default: true"] if config == opens else []
    return "\n".join([*lines, "---"])


def _sides(sums: FormatOutcome) -> list[str]:
    """The splits with records; `train` if none has."""
    records = {"train": sums.records - sums.test, "test": sums.test}
    return [side for side, count in records.items() if count] or ["train"]


def _outcomes(
    facts: CardFacts, outcome: Mapping[str, FormatOutcome], not_written: Collection[str]
) -> str:
    rows = [
        (name, sums.prompts, sums.out, sums.ties, _reasons(sums.dropped), sums.records)
        + ((sums.test,) if facts.split.test else ())
        for name, sums in outcome.items()
    ]
    head = ("config", "prompts in", "out", "ties", "dropped", "records")
    head += ("of them in `test`",) if facts.split.test else ()
    what = "## What came out\n\nFor each config, prompts in = out + ties + dropped."
    return f"{what}{_split(facts.split)}\n\n{table(head, rows)}{_missing(not_written)}"


def _missing(not_written: Collection[str]) -> str:
    """Which configs were asked for and are not there. Why is told where it was made: that names
    files of its machine."""
    named = ", ".join(f"`{config}`" for config in not_written)
    return f"\n\nAsked for and not written, since the format failed: {named}." if named else ""


def _split(split: Split) -> str:
    """How the prompts of the split `test` were chosen, if there is one."""
    if not split.test:
        return ""
    return (
        f" The split `test` has about {split.test:.3g} of all prompts, drawn by what they say "
        f"(seed {split.seed}): the same ones in every config, and none that also stands in `train`."
    )


def _reasons(dropped: Mapping[str, int]) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
    return f"{sum(dropped.values())} ({reasons})" if reasons else "0"


def _models(facts: CardFacts, sums: Mapping[str, Sums]) -> str:
    rows = [_model(facts, alias, counts) for alias, counts in sorted(sums.items())]
    head = ("model", "model id", "generations", "failed", "mean score")
    return f"## Models\n\n{table(head, rows)}" if rows else ""


def _model(facts: CardFacts, alias: str, sums: Sums) -> tuple[str, ...]:
    score = ratio(sums.get("score"), sums.get("scored"))
    counts = (whole(sums, "generations"), whole(sums, "failed"))
    return (alias, facts.models.get(alias, ""), *counts, score)


def _judges(facts: CardFacts, judges: Mapping[str, Figures]) -> str:
    if not facts.judges:
        return ""
    rows = [_judge(alias, model, judges.get(alias, {})) for alias, model in facts.judges.items()]
    head = ("judge", "model id", "verdicts", "lost", "rated", "not applicable", "unreadable")
    return (
        f"## Judges\n\nRubric `{facts.rubric}` ({', '.join(facts.aspects)}); a prompt needs "
        f"{facts.quorum} usable verdict(s) for each aspect. Pooled over aspects by "
        f"`{facts.aspects_pool}`, then over judges by `{facts.judges_pool}`. Lost and unreadable "
        f"ones are left out.\n\n{table(head, rows)}"
    )


def _judge(alias: str, model: str, counts: Figures) -> tuple[str, ...]:
    kinds = ("verdicts", "lost", "rated", "not-applicable", "unreadable")
    return (alias, model, *(whole(counts, kind) for kind in kinds))


def _pairing(facts: CardFacts) -> str:
    pairing = facts.pairing
    seed = facts.seed if pairing.seed is None else pairing.seed
    choices = {
        "best-worst": "The best-scored generation against the worst.",
        "best-random": f"The best-scored generation against a random lower one (seed {seed}).",
        "all": "Every two generations with different scores.",
    }
    ties = {
        "drop": "A prompt whose scores are all equal is a tie and makes no pair.",
        "keep": "Where all scores are equal, the first generation counts as the better one.",
    }
    margin = f"Scores differ by {pairing.margin:g} at least. " if pairing.margin else ""
    return (
        f"{choices[pairing.choose]} {margin}{ties[pairing.ties]} Of equally good ones the first "
        "is taken; identical texts make no pair. (Formats of single answers do not pair.)"
    )


def _cost(cost_usd: float | None) -> str:
    return (
        "Unknown: no price is known." if cost_usd is None else f"{dollars(cost_usd)} (US dollars)."
    )


def _again(facts: CardFacts, opens: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", facts.recipe)), default=0)
    fence = "`" * max(3, longest + 1)
    return (
        "## How to reproduce\n\nSave the recipe as `recipe.yaml`, with the files that it names "
        "beside it, and run `prefmill run recipe.yaml`. `run.json` holds versions, seeds and "
        "hashes, `failures.jsonl` every lost cell, `dropped.jsonl` ties and dropped prompts.\n\n"
        f"{fence}yaml\n{facts.recipe.rstrip()}\n{fence}\n\n"
        + (f'```python\ndatasets.load_dataset("DIRECTORY", "{opens}")\n```\n' if opens else "")
    )
