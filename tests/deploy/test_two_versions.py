"""Services of two versions on one line: what a later version adds to messages breaks nobody.

The later version is this one with a field more in every message and in every part of one, and with
a coordinator that sends it: the changes that the rules allow within a version of the wire.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .collector import collector
from .processes import Zygote, line

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ROWS = 200
SLOWLY = {"engine": "simulated", "latency_ms": 150, "concurrency": 8}
RECIPE: dict[str, Any] = {
    "name": "two-versions",
    "seed": 5,
    "source": {"inline": [f"Say something of the number {n}." for n in range(ROWS)]},
    "models": {name: {"model": f"sim-{name}", **SLOWLY} for name in ("a", "b")},
    "judges": {"j": {"model": "sim-j", **SLOWLY}},
    "judge": {"rubric": {"ultrafeedback": ["honesty"]}},
    "output": {"formats": ["raw"]},
}


def edit(file: Path, *changes: tuple[str, str]) -> None:
    text = file.read_text()
    for old, new in changes:
        assert old in text, f"{file.name} has no {old!r} any more"
        text = text.replace(old, new)
    file.write_text(text)


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """Where services of the later version come from."""
    folder = tmp_path_factory.mktemp("later")
    ignored = shutil.ignore_patterns("__pycache__")
    for source in ("shared/prefmill/contracts", "services/coordinator/prefmill/coordinator"):
        shutil.copytree(ROOT / source, folder / "prefmill" / Path(source).name, ignore=ignored)
    edit(
        folder / "prefmill/contracts/base.py",
        (
            'model_config = ConfigDict(frozen=True, extra="ignore")',
            (
                'model_config = ConfigDict(frozen=True, extra="ignore")\n'
                '    added_later: tuple[str, ...] | None = ("one", "two")'
            ),
        ),
    )
    more = '"added_later": ["one", "two"], '
    edit(
        folder / "prefmill/coordinator/domain/batching.py",
        ('"id": str(batch_id)', more + '"id": str(batch_id)'),
        ('{"row":%d', '{"added_later":["one","two"],"row":%d'),
        ('"row": row.position', more + '"row": row.position'),
        ('"sample":%d', '"added_later":["one","two"],"sample":%d'),
    )
    origin = Zygote(folder)
    yield origin
    origin.end()


@pytest.mark.parametrize("coordinator", ["this version", "a later version"])
def test_workers_of_two_versions_share_the_lanes_and_the_run_finishes(
    coordinator: str, later: Zygote, tmp_path: Path
) -> None:
    decides, stores = (later, None) if coordinator == "a later version" else (None, later)
    with collector() as (endpoint, got):
        with line(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as started:
            started.start("coordinator", decides)
            started.start("sink", stores)
            for kind in ("generator", "judge"):
                started.start(kind, OTEL_SERVICE_NAME=f"this {kind}")
                started.start(kind, later, OTEL_SERVICE_NAME=f"later {kind}")
            started.until_up(workers=4)
            run = started.api("/v1/runs", {"recipe": RECIPE})
            status = started.api.finish(run["id"], lambda: None)
            assert status["state"] == "finished", status
            assert started.api("/v1/dead") == []
            rows = started.api(f"/v1/runs/{run['id']}/rows?limit=1000")["rows"]
        assert len(rows) == ROWS
        assert all(len(row["cells"]) == 3 for row in rows)
        answered = {span.service for span in got.spans if span.name in ("generate", "judge")}
        assert answered == {"this generator", "later generator", "this judge", "later judge"}
