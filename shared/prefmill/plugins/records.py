"""Rows as plain mappings: how transforms, and plugins that are one function, see them.

| field | before generation and after pooling |
|---|---|
| `id` | the row's id |
| `instruction` | the last user turn |
| `system` | the system prompt, or None |
| `history` | turns between them: `{role, content}` |
| `reference` | `{correct, incorrect, note}`, or None |
| `responses` | answers that came with the data: `{model, text}` |
| `metadata` | all other columns of the source |

After pooling also `generations`, `models` (the recipe's aliases), `generation_models`, `scores`
and `scores_by_aspect`; `best`, `worst` and `margin` of the scores, NaN where there is none, so that
every comparison fails; and `dropped`: why the row makes no judged data, or None.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from pydantic import JsonValue, TypeAdapter, ValidationError

from prefmill.contracts.rows import Generation, Prompt
from prefmill.plugins.format import ScoredRow
from prefmill.plugins.registry import nearest

Record = dict[str, Any]

PROMPT_FIELDS: Final = (
    "id", "instruction", "system", "history", "reference", "responses", "metadata",
)  # fmt: skip
SCORED_FIELDS: Final = (
    *PROMPT_FIELDS,
    "generations", "models", "generation_models", "scores", "scores_by_aspect",
    "best", "worst", "margin", "dropped",
)  # fmt: skip

_OF_PROMPT: Final = frozenset(PROMPT_FIELDS) - {"id"}
"""What may be changed before generation."""
_AFTERWARDS: Final = frozenset({"instruction", "system", "history", "metadata"})
"""What of the prompt may be changed after pooling."""

_JSON: Final = TypeAdapter[JsonValue](JsonValue)


def prompt_record(prompt: Prompt) -> Record:
    """A prompt that was loaded."""
    messages = [message.plain() for message in prompt.messages]
    opens = messages[0]["role"] == "system"
    return {
        "id": prompt.id,
        "instruction": messages[-1]["content"],
        "system": messages[0]["content"] if opens else None,
        "history": messages[opens:-1],
        "reference": prompt.reference.plain() if prompt.reference else None,
        "responses": [given.plain() for given in prompt.responses],
        "metadata": dict(prompt.metadata),
    }


def scored_record(row: ScoredRow) -> Record:
    """A finished row with its scores."""
    generations = row.row.generations
    rated = [score for score in row.scores if score is not None]
    return {
        **prompt_record(row.row.prompt),
        "generations": [generation.text for generation in generations],
        "models": [generation.model for generation in generations],
        "generation_models": [g.model_id or g.model for g in generations],
        "scores": list(row.scores),
        "scores_by_aspect": {name: list(scores) for name, scores in row.scores_by_aspect.items()},
        "best": max(rated, default=math.nan),
        "worst": min(rated, default=math.nan),
        "margin": max(rated) - min(rated) if rated else math.nan,
        "dropped": row.dropped,
    }


def prompt_with(prompt: Prompt, record: Record) -> Prompt:
    """The prompt as a record has it now. ValueError if it is none, or `id` has changed."""
    changed = _changes(prompt_record(prompt), record, _OF_PROMPT)
    return _changed(prompt, record, changed) if changed else prompt


def scored_with(row: ScoredRow, record: Record) -> ScoredRow:
    """The row as a record has it now. ValueError for what may not be changed."""
    known = scored_record(row)
    changed = _changes(known, record, _AFTERWARDS | {"generations", "scores"})
    if not changed:
        return row
    prompt, generations = row.row.prompt, row.row.generations
    if changed & _AFTERWARDS:
        prompt = _changed(prompt, known | record, changed & _AFTERWARDS)
    if "generations" in changed:
        generations = _texts(generations, record["generations"])
    finished = row.row.replace(prompt=prompt, generations=generations)
    scores = scores_in(record["scores"], len(generations)) if "scores" in changed else row.scores
    return replace(row, row=finished, scores=scores)


def scores_in(value: object, generations: int) -> tuple[float | None, ...]:
    """A score, or None, for each generation. ValueError if it is anything else."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(f"scores: {value!r} is no list of numbers")  # noqa: TRY004 - of a user's
    given = cast("Sequence[object]", value)
    if len(given) != generations:
        raise ValueError(f"{len(given)} scores for {generations} generations")
    return tuple(map(_score, given))


def _score(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no score; give a finite number, or None")
    return float(value)


def _changes(known: Record, record: Mapping[str, Any], allowed: frozenset[str]) -> frozenset[str]:
    """The fields that differ. One that a record lacks is as it was."""
    for name in record.keys() - known.keys():
        raise ValueError(
            f"a row has no field {name!r}{nearest(name, known)} (put it into `metadata`)"
        )
    differ = frozenset(name for name, value in record.items() if not _same(value, known[name]))
    for name in sorted(differ - allowed):
        raise ValueError(f"{name!r} cannot be changed here; what can: {', '.join(sorted(allowed))}")
    return differ


def _same(one: Any, other: Any) -> bool:
    return one is other or one == other


def _changed(prompt: Prompt, record: Record, changed: frozenset[str]) -> Prompt:
    record = prompt_record(prompt) | record
    values = prompt.plain() | {
        name: record[name] for name in changed & set(Prompt.__struct_fields__)
    }
    if not isinstance(record["instruction"], str) or not record["instruction"].strip():
        raise ValueError("the instruction is no text, or empty")
    system = [] if not record["system"] else [{"role": "system", "content": record["system"]}]
    turn = {"role": "user", "content": record["instruction"]}
    made = Prompt.of({**values, "messages": [*system, *record["history"], turn]})
    return made.replace(metadata=_json("metadata", made.metadata))


def _json(name: str, value: Any) -> Any:
    """What a dataset can hold and the ledger gives back as it was."""
    try:
        return _JSON.validate_python(value)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(map(str, (name, *problem["loc"])))
        raise ValueError(f"{where}: {problem['msg']}") from error


def _texts(generations: Sequence[Generation], texts: Any) -> tuple[Generation, ...]:
    if len(texts) != len(generations):
        raise ValueError(f"{len(texts)} generations instead of {len(generations)}")
    for text in texts:
        if text is not None and not isinstance(text, str):
            raise ValueError(f"{text!r} is no generation; give a text, or None")
    pairs = zip(generations, texts, strict=True)
    return tuple(generation.replace(text=text) for generation, text in pairs)
