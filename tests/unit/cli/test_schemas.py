"""The stored JSON Schemas are those of the models, and hold for stored examples."""

import json
from pathlib import Path

import jsonschema
import pytest

from prefmill.cli.commands.schema import files, schemas
from prefmill.contracts.channels import CHANNELS
from prefmill.contracts.recipe import Recipe

from .messages import Kind, read, said_of, whole, written

STORED = Path(__file__).parents[3] / "shared" / "schemas"
MODELS: dict[str, Kind] = {channel.message.__name__: channel.message for channel in CHANNELS}


def test_the_stored_schemas_are_those_of_the_models() -> None:
    assert {path.name: path.read_text() for path in STORED.glob("*.json")} == files()


def test_every_message_of_the_table_has_a_schema_and_an_example() -> None:
    examples = {path.stem for path in (STORED / "examples").glob("*.json")}
    assert set(schemas()) == {"recipe", *MODELS} == examples


@pytest.mark.parametrize("name", sorted({"recipe", *MODELS}))
def test_a_stored_example_satisfies_its_schema(name: str) -> None:
    example = json.loads((STORED / "examples" / f"{name}.json").read_text())
    schema = json.loads((STORED / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(example)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_stored_example_is_read_by_its_model_and_written_as_it_was(name: str) -> None:
    example = json.loads((STORED / "examples" / f"{name}.json").read_text())
    made = read(MODELS[name], example)
    assert read(MODELS[name], written(made)) == made
    assert said_of(whole(made), example) == example


def test_a_stored_recipe_is_read_and_written_as_the_same() -> None:
    example = json.loads((STORED / "examples" / "recipe.json").read_text())
    made = Recipe.model_validate(example)
    assert Recipe.model_validate(made.model_dump(mode="json", exclude_unset=True)) == made


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_message_with_a_field_of_a_later_version_is_still_read(name: str) -> None:
    example = json.loads((STORED / "examples" / f"{name}.json").read_text())
    later = read(MODELS[name], {**example, "added_later": 1})
    assert later == read(MODELS[name], example)
