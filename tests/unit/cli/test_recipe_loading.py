"""Recipes as they are meant: paths, merges, and what the command line sets."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefmill.cli.recipes.document import parse
from prefmill.cli.recipes.load import load
from prefmill.contracts.recipe import Recipe
from prefmill.plugins.errors import RecipeError

TEXT = """\
name: r
source: {jsonl: [data/a.jsonl, /abs/b.jsonl], rows: 100}
models:
  gpt-4.1: {engine: openai, model: gpt-4.1}
  b: {engine: simulated, model: b, faults: {429: 0.1}}
judges:
  j: {engine: simulated, model: y}
judge: {rubric: {ultrafeedback: [honesty], templates: prompts}}
output: {formats: [raw, trl]}
"""


def recipe_of(folder: Path, *settings: str, rows: int | None = None) -> Recipe:
    path = folder / "r.yaml"
    path.write_text(TEXT)
    return load(path, settings, rows).recipe


def problem_of(folder: Path, setting: str) -> str:
    with pytest.raises(RecipeError) as caught:
        recipe_of(folder, setting)
    return "\n".join(caught.value.problems)


def test_relative_files_and_template_folders_are_taken_from_the_recipes_folder(
    tmp_path: Path,
) -> None:
    recipe = recipe_of(tmp_path)
    assert recipe.source["jsonl"] == [str(tmp_path / "data/a.jsonl"), "/abs/b.jsonl"]
    assert recipe.judge is not None
    assert recipe.judge.rubric["templates"] == str(tmp_path / "prompts")


def test_a_number_as_a_key_is_its_text(tmp_path: Path) -> None:
    assert recipe_of(tmp_path).models["b"].options()["faults"] == {"429": 0.1}


def test_rows_are_those_of_the_source(tmp_path: Path) -> None:
    assert recipe_of(tmp_path, rows=7).source["rows"] == 7


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("seed=9", lambda r: r.seed == 9),
        ("limits.cost_usd=2.5", lambda r: r.limits.cost_usd == 2.5),
        ("generate.sampler={sample: 1}", lambda r: r.generate.sampler == {"sample": 1}),
        (
            "models.gpt-4.1.model=gpt-4o",
            lambda r: r.models["gpt-4.1"].options()["model"] == "gpt-4o",
        ),
        ("models.b.params.stop=[x, y]", lambda r: r.models["b"].params.stop == ("x", "y")),
        ("output.formats.1=kto", lambda r: r.output.formats[1] == {"kto": None}),
        ("models.c={engine: simulated}", lambda r: "c" in r.models),
        ("generate.system=null", lambda r: r.generate.system is None),
    ],
)
def test_a_setting_is_made_with_its_yaml_type(setting: str, found, tmp_path: Path) -> None:
    assert found(recipe_of(tmp_path, setting))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("seed", "--set seed: write it as KEY.KEY=VALUE"),
        ("=3", "--set =3: write it as KEY.KEY=VALUE"),
        ("sed=3", "--set sed=3: sed: unknown key; did you mean 'seed'?"),
        (
            "name.x=3",
            "--set name.x=3: name is 'r', which has no keys; set it as a whole",
        ),
        (
            "models.gpt4.model=x",
            "--set models.gpt4.model=x: the recipe has no models.gpt4; did you mean 'gpt-4.1'?",
        ),
        (
            "output.formats.5=kto",
            "--set output.formats.5=kto: output.formats is a list of 2; name an item by its number",
        ),
        ("seed=[", "--set seed=[: '[' is not YAML; quote it"),
        ("seed=2024-13-01", "--set seed=2024-13-01: '2024-13-01' is not YAML; quote it"),
        (
            "models.b.api_key=x",
            (
                "--set models.b.api_key=x: models.b.api_key: a recipe holds no secrets; put the "
                "key into the environment (OPENAI_API_KEY, ANTHROPIC_API_KEY) or name its "
                "variable with `api_key_env: NAME`"
            ),
        ),
    ],
)
def test_a_wrong_setting_is_told_as_it_was_typed(setting: str, said: str, tmp_path: Path) -> None:
    assert problem_of(tmp_path, setting) == said


def test_merged_mappings_may_be_overridden_and_are_no_duplicates() -> None:
    text = "base: &base {engine: simulated, seed: 1}\nmodel:\n  <<: *base\n  seed: 2\n"
    document = parse(text, "r.yaml")
    assert document.value["model"] == {"engine": "simulated", "seed": 2}
    assert document.place(("model", "seed")) == "r.yaml:4"


def test_the_place_of_an_unknown_key_is_that_of_the_nearest_above() -> None:
    document = parse("a:\n  b.c:\n    d: 1\n", "r.yaml")
    assert document.place_of("a.b.c.d") == "r.yaml:3"
    assert document.place_of("a.b.c.e.f") == "r.yaml:2"
    assert document.place_of("nothing") == "r.yaml"


@given(st.text(max_size=200) | st.text("ab:- {}[]&*!|>'\"\n\t#,<1", max_size=40))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    problems: tuple[str, ...] = ()
    try:
        parse(text, "r.yaml")
    except RecipeError as error:
        problems = error.problems
    assert all(problem.startswith("r.yaml:") for problem in problems)
