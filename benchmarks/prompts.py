"""The prompts and the recipe that both sides are given."""

import json
from pathlib import Path
from typing import Any

PROMPT_CHARS = 200


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
