"""The logs of a run in processes of their own: each batch can be followed by its id."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from .processes import line

pytestmark = pytest.mark.slow

RECIPE: dict[str, Any] = {
    "name": "followed",
    "source": {"inline": [f"Say something of the number {n}." for n in range(40)]},
    "models": {name: {"engine": "simulated", "model": f"sim-{name}"} for name in ("a", "b")},
    "judges": {"j": {"engine": "simulated", "model": "sim-j"}},
    "judge": {"rubric": {"ultrafeedback": ["honesty"]}},
    "output": {"formats": ["raw"]},
}


def test_a_batch_is_followed_by_its_id_from_its_publishing_to_the_ledger(tmp_path: Path) -> None:
    env = {"PREFMILL_LOG_FORMAT": "json", "PREFMILL_LOG_LEVEL": "DEBUG"}
    with line(tmp_path, **env) as started:
        services = [started.start(n) for n in ("coordinator", "sink", "generator", "judge")]
        started.until_up(workers=2)
        run = started.api("/v1/runs", {"recipe": RECIPE})["id"]
        assert started.api.finish(run, lambda: None)["state"] == "finished"
        events = [json.loads(said) for each in services for said in each.said().splitlines()]
    steps: defaultdict[str, list[str]] = defaultdict(list)
    for event in events:
        if event.get("run") == run and "batch" in event:
            steps[event["batch"]].append(event["message"].split()[0])
    assert len(steps) == 6, "40 rows: two batches for each model, two for the judge"
    for found in steps.values():
        assert sorted(found) == ["answered", "published", "stored"]
