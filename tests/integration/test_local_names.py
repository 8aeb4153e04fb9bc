"""A dataset names models that lie on this machine without the folders they lie in."""

from pathlib import Path
from typing import Any

from .rig import Rig, recipe, reply_to

PLACE = "/srv/me/models"


def here(name: str) -> dict[str, Any]:
    return {"engine": "simulated", "model": f"{PLACE}/{name}"}


def answered_here(batch: Any) -> Any:
    """The reply of a worker whose engine says by which folder it answered."""
    reply: Any = reply_to(batch)
    cells = [cell.replace(model=f"{PLACE}/sim-7b") for cell in reply.cells]
    return reply.replace(cells=tuple(cells))


async def test_no_folder_of_a_model_stands_in_a_dataset(rig: Rig, tmp_path: Path) -> None:
    from tests.e2e.command import tables

    models, judges = {"a": here("zephyr"), "b": here("notus")}, {"j": here("prometheus")}
    output = {"formats": ["raw", "distilabel"]}
    await rig.submit(recipe(models=models, judges=judges, output=output))
    await rig.work(answered_here)
    folder = await rig.exported(tmp_path)
    card, manifest = (folder / "README.md").read_text(), (folder / "run.json").read_text()
    assert "| a | zephyr |" in card
    assert "| j | prometheus |" in card
    made = tables(folder)
    assert PLACE not in card + manifest + str(made)
    assert made["raw"][0]["generation_models"] == ["sim-7b", "sim-7b"]
