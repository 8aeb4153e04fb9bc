"""What a stored run was loaded from does not change. Pure."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from prefmill.contracts.rows import Prompt
from prefmill.coordinator.domain.plan import source_digest
from prefmill.coordinator.domain.resolved import Resolved
from prefmill.ledger.runs import Run
from prefmill.plugins.errors import RecipeError

_NEW_MODEL: Final = re.compile(r"models(\.[^.]+)?: added")


def refuse_other_source(run: Run, resolved: Resolved) -> None:
    """RecipeError if a recipe names another source, or other transforms."""
    if run.source_digest != source_digest(resolved):
        raise RecipeError(
            f"source: the run {run.name!r} was loaded from another source, or with other "
            "`transforms`; give the recipe another name (stored answers are reused), or start over "
            "with --fresh"
        )


def refuse_other_rows(
    stored: Sequence[bytes], read: Sequence[tuple[Prompt, bytes]], start: int
) -> None:
    """RecipeError if rows, from position `start` on, have another content than those stored."""
    for index, (known, (prompt, content)) in enumerate(zip(stored, read, strict=False)):
        if known != content and prompt.failure is None:
            raise RecipeError(
                f"source: row {start + index} (id {prompt.id}) is not what was loaded before; "
                "restore the data, give the recipe another name, or start over with --fresh"
            )


def kept(run: Run, changed: Sequence[str]) -> Iterator[str]:
    """What a change does not do to rows and answers that are stored, a line each."""
    again = "`--fresh` starts over"
    if run.rows and any(change.startswith("seed:") for change in changed):
        yield (
            "seed: models drawn and answers given stay; the new seed is for what is called from "
            f"now on, for pairs and for the split `test`; {again}"
        )
    if run.rows and any(map(_draws_others, changed)):
        yield (
            f"models: who answers was drawn for {run.rows:,} stored prompts and stays; "
            f"new models and draws are for prompts that are new; {again}"
        )


def _draws_others(change: str) -> bool:
    """`generate.sampler…: …`, `models.NAME: added`, `models: added`."""
    return change.startswith("generate.sampler") or bool(_NEW_MODEL.fullmatch(change))
