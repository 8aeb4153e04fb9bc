"""A model that is deployed and that nobody serves: its run says so, and goes on once one does."""

import time
from pathlib import Path

import pytest

from .processes import line

pytestmark = pytest.mark.slow

RECIPE = {
    "name": "unserved",
    "source": {"inline": [f"Say something of the number {n}." for n in range(40)]},
    "models": ["river", "stone"],
    "output": {"formats": ["raw"]},
}


def deploy(folder: Path, *names: str) -> Path:
    (folder / "models").mkdir(parents=True)
    for name in names:
        (folder / "models" / f"{name}.yaml").write_text(f"engine: simulated\nmodel: {name}\n")
    return folder


def test_a_run_names_the_model_that_no_worker_serves_and_the_rows_that_wait(tmp_path: Path) -> None:
    env = {
        "PREFMILL_DEPLOYED": str(deploy(tmp_path / "deployed", "river", "stone")),
        "PREFMILL_HOST_ANY": "false",
        "PREFMILL_WORKER_GRACE_S": "1",
    }
    with line(tmp_path, **env) as started:
        started.start("coordinator")
        started.start("sink")
        started.start("generator", PREFMILL_SERVE="river")
        started.until_up(workers=1)
        run = started.api("/v1/runs", {"recipe": RECIPE})["id"]
        deadline = time.monotonic() + 30
        while not (told := started.api(f"/v1/runs/{run}"))["reason"]:
            assert time.monotonic() < deadline, told
            time.sleep(0.05)
        assert told["state"] in ("probing", "running")
        assert told["reason"] == "models.stone: no worker serves it yet; 40 rows wait for it"
        started.start("generator", PREFMILL_SERVE="stone")
        ended = started.api.finish(run, lambda: None)
        assert (ended["state"], ended["reason"]) == ("finished", "")
