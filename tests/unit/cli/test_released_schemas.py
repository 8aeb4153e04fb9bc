"""Today's messages beside those of the last release: workers of both are on the line at once.

`shared/schemas/released` is written at a release (`prefmill schema --write`), and not between.
Within a version of a subject only optional fields are added; a field may also take more, but what
is written must still be what a reader of the last release takes.
"""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from prefmill.cli.commands.schema import schemas
from prefmill.contracts.channels import CHANNELS

from . import messages
from .messages import said_of, whole, written

ROOT = Path(__file__).parents[3] / "shared" / "schemas"
RELEASED = ROOT / "released"
MODELS: dict[str, messages.Kind] = {c.message.__name__: c.message for c in CHANNELS}
PROSE = {"title", "description", "default", "examples", "$schema", "$defs"}

Schema = dict[str, Any]


def read(path: Path) -> Schema:
    return json.loads(path.read_text())


def inlined(schema: Any, definitions: Schema) -> Any:
    """Without references and without prose; anything is taken by {} as it is by true."""
    if schema is True:
        return {}
    if isinstance(schema, list):
        return [inlined(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if reference := schema.get("$ref"):
        return inlined(definitions[reference.rsplit("/", 1)[-1]], definitions)
    plain = {key: inlined(value, definitions) for key, value in schema.items() if key not in PROSE}
    if "properties" in schema:
        named = schema["properties"].items()
        plain["properties"] = {name: inlined(value, definitions) for name, value in named}
    return plain


def broken(old: Any, new: Any, where: str = "") -> list[str]:
    """What a reader or a writer of the old schema could not bear of the new one."""
    if not (isinstance(old, dict) and isinstance(new, dict) and "properties" in old):
        return _parts(old, new, where)
    had, has = old["properties"], new.get("properties", {})
    problems = [f"{where}/{name} is gone" for name in had if name not in has]
    required = set(new.get("required", ())) ^ set(old.get("required", ()))
    problems += [f"{where}/{name}: required in one of them only" for name in sorted(required)]
    for name in had.keys() & has.keys():
        problems += broken(had[name], has[name], f"{where}/{name}")
    return problems


def _parts(old: Any, new: Any, where: str) -> list[str]:
    """Lists and plain values must be equal, apart from objects within."""
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        return [line for key in old for line in broken(old[key], new[key], f"{where}.{key}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = zip(old, new, strict=True)
        return [line for one, other in pairs for line in broken(one, other, where)]
    return [] if old == new else [f"{where}: {old} became {new}"]


def changes(name: str, new: Schema) -> list[str]:
    old = read(RELEASED / f"{name}.json")
    return broken(inlined(old, old.get("$defs", {})), inlined(new, new.get("$defs", {})))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_within_a_version_only_optional_fields_are_added(name: str) -> None:
    assert changes(name, schemas()[name]) == [], "otherwise make a .v2 beside the .v1"


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_message_of_the_last_release_is_read_today(name: str) -> None:
    example = read(RELEASED / "examples" / f"{name}.json")
    kept = said_of(whole(messages.read(MODELS[name], example)), example)
    assert kept == example, "nothing that it says is lost"


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_message_of_today_is_taken_by_the_schema_of_the_last_release(name: str) -> None:
    example = read(ROOT / "examples" / f"{name}.json")
    made = messages.read(MODELS[name], example)
    taken = jsonschema.Draft202012Validator(read(RELEASED / f"{name}.json"))
    taken.validate(whole(made))
    taken.validate(written(made))


def altered(how: str) -> Schema:
    new = copy.deepcopy(read(RELEASED / "BatchGenerated.json"))
    cell = new["$defs"]["GeneratedCell"]
    match how:
        case "added":
            cell["properties"]["mood"] = {"type": "string", "default": ""}
        case "required":
            cell["properties"]["mood"] = {"type": "string"}
            cell["required"].append("mood")
        case "removed":
            del cell["properties"]["text"]
        case _:
            cell["properties"]["row"]["type"] = "string"
    return new


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("added", ""),
        ("required", "mood: required in one of them only"),
        ("removed", "text is gone"),
        ("retyped", "integer became string"),
    ],
)
def test_the_rules_tell_what_may_be_changed(how: str, said: str) -> None:
    found = changes("BatchGenerated", altered(how))
    assert bool(found) == bool(said)
    assert said in "; ".join(found)
