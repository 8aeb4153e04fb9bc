"""`prefmill schema`: the JSON Schemas of the recipe and of every message."""

import json
from pathlib import Path
from typing import Any

import click

from prefmill.cli.stop import FAILED, WRONG, Stop
from prefmill.contracts.base import model_of
from prefmill.contracts.channels import CHANNELS
from prefmill.contracts.recipe import Recipe
from prefmill.plugins.registry import nearest


@click.command()
@click.argument("name", required=False)
@click.option("--write", type=click.Path(path_type=Path), metavar="DIR", help="Write all there.")
@click.option("--check", type=click.Path(path_type=Path), metavar="DIR", help="Compare all there.")
def schema(name: str | None, write: Path | None, check: Path | None) -> None:
    """Print the JSON Schema of `recipe` (the default) or of a message, such as GenerateBatch."""
    if write:
        write.mkdir(parents=True, exist_ok=True)
        for file, text in files().items():
            (write / file).write_text(text, encoding="utf-8")
    elif check:
        _compare(check)
    else:
        click.echo(_one(name or "recipe"), nl=False)


def schemas() -> dict[str, dict[str, Any]]:
    """Name → JSON Schema, the recipe's first."""
    models = {"recipe": Recipe, **{c.message.__name__: model_of(c.message) for c in CHANNELS}}
    made = {name: model.model_json_schema(by_alias=True) for name, model in models.items()}
    return {name: {"$schema": _DIALECT, **value} for name, value in made.items()}


def files() -> dict[str, str]:
    """File name → text of every stored schema."""
    return {
        f"{name}.json": json.dumps(value, indent=2, ensure_ascii=False) + "\n"
        for name, value in schemas().items()
    }


_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _one(name: str) -> str:
    known = files()
    if f"{name}.json" not in known:
        names = [file.removesuffix(".json") for file in known]
        raise Stop(WRONG, f"error: no schema named {name!r}{nearest(name, names)}")
    return known[f"{name}.json"]


def _compare(folder: Path) -> None:
    made = files()
    stored = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    wrong = sorted(name for name in made | stored if made.get(name) != stored.get(name))
    if wrong:
        raise Stop(
            FAILED,
            f"error: {', '.join(wrong)} in {folder} differ from the models",
            f"  If the change is meant: prefmill schema --write {folder}",
        )
    click.echo(f"{len(made)} schemas in {folder} are those of the models")
