"""Models that an installation offers by name: files in, lanes and whole recipes out."""

from pathlib import Path
from typing import Any

import pytest

from prefmill.contracts.recipe import Recipe
from prefmill.coordinator.domain.named import expanded
from prefmill.coordinator.domain.places import refuse_places
from prefmill.coordinator.domain.resolved import resolve
from prefmill.plugins.errors import RecipeError
from prefmill.settings.deployed import read_deployed, served
from prefmill.settings.service import WorkerSettings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "judges").mkdir()
    (tmp_path / "models" / "zephyr.yaml").write_text(
        "engine: simulated\nmodel: org/zephyr\nconcurrency: 7\nparams: {max_tokens: 64}\n"
    )
    (tmp_path / "models" / "notus.yaml").write_text("engine: simulated\nmodel: org/notus\n")
    (tmp_path / "judges" / "haiku.yaml").write_text("engine: simulated\nmodel: haiku-1\n")
    return tmp_path


def recipe(**more: Any) -> Recipe:
    return Recipe.model_validate({"name": "r", "source": {"inline": ["Hello?"]}} | more)


def test_a_recipe_may_name_what_is_deployed_and_stands_for_itself_afterwards(folder: Path) -> None:
    deployed = read_deployed(folder)
    named = recipe(models=["zephyr", "notus"], judges=["haiku"], judge={"rubric": "ultrafeedback"})
    resolved = resolve(expanded(named, deployed))
    assert [model.alias for model in resolved.models] == ["zephyr", "notus"]
    assert [model.model for model in resolved.models] == ["org/zephyr", "org/notus"]
    assert resolved.models[0].params.max_tokens == 64


def test_recipe_and_worker_agree_on_slug_and_digest(folder: Path) -> None:
    resolved = resolve(expanded(recipe(models={"z": {"lane": "zephyr"}}), read_deployed(folder)))
    settings = WorkerSettings(deployed=folder, serve="notus, zephyr")
    lanes = {lane.slug: lane for lane in served(settings, "generate")}
    assert lanes.keys() == {"notus", "zephyr"}
    assert resolved.models[0].lane == lanes["zephyr"]
    assert lanes["zephyr"].concurrency == 7


def test_the_recipe_s_own_parameters_win_over_the_deployed_ones(folder: Path) -> None:
    own = recipe(models={"z": {"lane": "zephyr", "params": {"temperature": 0.2}}})
    (model,) = resolve(expanded(own, read_deployed(folder))).models
    assert (model.params.temperature, model.params.max_tokens) == (0.2, 64)


def test_an_expanded_recipe_expands_to_itself(folder: Path) -> None:
    deployed = read_deployed(folder)
    once = expanded(recipe(models=["zephyr"]), deployed)
    assert expanded(once, deployed) == once


def test_a_name_that_is_not_deployed_is_told_with_the_nearest(folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"models\.zefyr\.lane: .*did you mean 'zephyr'"):
        expanded(recipe(models=["zefyr"]), read_deployed(folder))


def test_nothing_is_deployed_where_no_folder_is_set() -> None:
    with pytest.raises(RecipeError, match="there are: none"):
        expanded(recipe(models=["zephyr"]), read_deployed(None))


def test_other_options_than_the_deployed_ones_are_refused(folder: Path) -> None:
    other = recipe(models={"z": {"lane": "zephyr", "engine": "simulated", "model": "else"}})
    with pytest.raises(RecipeError, match="deployed with another engine or other options"):
        expanded(other, read_deployed(folder))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("Zephyr_7B.yaml", "engine: simulated\nmodel: m\n", "no name for a queue"),
        ("bad.yaml", "engine: [simulated\n", "cannot be read"),
        ("list.yaml", "- engine\n", "cannot be read"),
        ("noengine.yaml", "model: m\n", "name the engine"),
        ("typo.yaml", "engine: simulated\nmodle: m\n", "modle"),
    ],
)
def test_a_wrong_file_is_named(folder: Path, name: str, text: str, said: str) -> None:
    (folder / "models" / name).write_text(text)
    with pytest.raises(RecipeError, match=said) as caught:
        read_deployed(folder).all_lanes()
    assert name in str(caught.value)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="PREFMILL_DEPLOYED"):
        read_deployed(tmp_path / "none")


def test_a_worker_that_serves_nobody_s_model_says_so(folder: Path) -> None:
    with pytest.raises(RecipeError, match="no model is deployed as 'gemma'"):
        served(WorkerSettings(deployed=folder, serve="gemma"), "generate")


def test_a_recipe_from_elsewhere_sends_no_variable_of_the_workers_to_its_own_address() -> None:
    stolen = {"engine": "openai", "model": "m", "base_url": "http://elsewhere.example/v1"}
    for more, said in (
        ({"api_key_env": "HF_TOKEN"}, r"models\.z\.api_key_env: 'HF_TOKEN'"),
        ({"headers": {"X-Key": "$AWS_SECRET"}}, r"models\.z\.headers: '\$AWS_SECRET'"),
    ):
        with pytest.raises(RecipeError, match=said):
            refuse_places(recipe(models={"z": stolen | more}))
    refuse_places(recipe(models={"z": stolen}))
