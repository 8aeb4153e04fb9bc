"""What the pages say is there, and what is there the pages say."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from prefmill.cli.main import COMMANDS
from prefmill.cli.recipes.load import load
from prefmill.contracts import recipe as recipes
from prefmill.contracts.chat import Params
from prefmill.coordinator.domain.resolved import resolve
from prefmill.plugins.source import SourceOptions

ROOT = Path(__file__).parents[3]
MODELS = (
    recipes.Recipe,
    recipes.ModelSpec,
    recipes.GenerateStep,
    recipes.PrinciplesSpec,
    recipes.JudgeStep,
    recipes.PoolStep,
    recipes.Output,
    recipes.Pairing,
    recipes.Limits,
    Params,
    SourceOptions,
)


@pytest.mark.parametrize("model", MODELS)
def test_every_key_of_a_recipe_is_explained(model: type[BaseModel]) -> None:
    page = (ROOT / "docs" / "recipe.md").read_text()
    missing = [key for key in model.model_fields if not re.search(rf"[`{{ ]{key}[`:]", page)]
    assert missing == []


def test_every_command_stands_in_the_readme() -> None:
    page = (ROOT / "README.md").read_text()
    missing = [name for name in COMMANDS if not re.search(rf"(prefmill |\| |`){name}\b", page)]
    assert missing == []


@pytest.mark.parametrize("example", sorted(path.name for path in ROOT.glob("examples/*.yaml")))
def test_every_example_is_a_recipe_whose_plugins_are_there(example: str) -> None:
    recipe = load(ROOT / "examples" / example).recipe
    resolved = resolve(recipe)
    if "hub" in recipe.source:
        return  # read from a local folder in tests/e2e/test_recipes.py
    prompts = list(resolved.source.read())
    assert prompts
    assert [prompt.failure for prompt in prompts] == [None] * len(prompts)


def test_the_recipe_of_the_readme_is_one(tmp_path: Path) -> None:
    page = (ROOT / "README.md").read_text()
    shown = page.split("```yaml\n")[1].split("```")[0]
    (tmp_path / "r.yaml").write_text(shown)
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "Hello"}\n')
    assert resolve(load(tmp_path / "r.yaml").recipe).models[1].alias == "oak"


PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_shows_as_yaml_is_yaml(page: Path) -> None:
    for shown in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        assert list(yaml.parse(shown))
