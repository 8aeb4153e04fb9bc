"""The prompts and the recipe that both sides are given."""

import json
from pathlib import Path
from typing import Any, Final

PROMPT_CHARS = 200

LIMIT: Final = 256
"""Calls in flight of the scripts."""

JUDGE_SYSTEM: Final = """Rate the overall quality of each text written in reply to an instruction.
1 Low: serious failures. 2 Moderate: considerable faults. 3 Average: acceptable. 4 Good: sound all
round. 5 Excellent: hard to improve on. Weigh whether it does what was asked, is true, is as sure of
itself as it has reason to be, and is of use to the person who asked. The order means nothing."""


def write_prompts(path: Path, rows: int) -> Path:
    """So many distinct prompts of PROMPT_CHARS characters, as JSONL with the field `prompt`."""
    filling = "Say in plain words how a careful person would go about it, and what to leave out. "
    with path.open("w") as file:
        for row in range(rows):
            text = f"Question {row}: how does one mend item {row * 7919 % 1_000_003}? {filling * 2}"
            file.write(json.dumps({"prompt": text[:PROMPT_CHARS]}) + "\n")
    return path


def write_recipe(
    path: Path, prompts: Path, port: int, seed: int, *, limit: int | None = None
) -> Path:
    """Two models, one judge, one aspect: three calls a row. JSON, which is YAML. Another seed
    makes it another run that can reuse nothing."""
    recipe: dict[str, Any] = {
        "name": path.stem,
        "seed": seed,
        "source": {"jsonl": str(prompts), "columns": {"prompt": "prompt"}},
        "models": {"a": _model("m-a", port), "b": _model("m-b", port)},
        "generate": {"params": {"max_tokens": 512, "temperature": 0.7}},
        "judges": {"judge": _model("m-judge", port)},
        "judge": {
            "rubric": {"ultrafeedback": ["overall-rating"]},
            "params": {"max_tokens": 1024, "temperature": 0.0},
        },
        "output": {"formats": ["raw", "trl"]},
    }
    if limit is not None:
        recipe["limits"] = {"concurrency": limit}
    path.write_text(json.dumps(recipe, indent=1))
    return path


def _model(name: str, port: int) -> dict[str, Any]:
    url = f"http://127.0.0.1:{port}/v1"
    return {"engine": "openai", "model": name, "base_url": url, "concurrency": 256}


def judge_prompt(instruction: str, texts: list[str]) -> str:
    """All texts in one prompt, and the layout asked for."""
    shown = "\n".join(f"<text {n}>\n{text}\n</text {n}>" for n, text in enumerate(texts, 1))
    layout = "\n\n".join(
        f"#### Output for Text {n}\nRating: [1 to 5]\nRationale: [why, in a few sentences]"
        for n in range(1, len(texts) + 1)
    )
    return (
        f"<instruction>\n{instruction}\n</instruction>\n\n{shown}\n\n"
        f"Answer with one block per text, in exactly this form:\n\n{layout}"
    )
