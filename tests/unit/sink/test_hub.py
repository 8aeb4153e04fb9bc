"""The Hub as a destination: what goes there, what never does, and bad connections."""

import json
import time
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefmill.contracts.recipe import Output
from prefmill.plugins import registry
from prefmill.plugins.destination import DestinationError, destinations_of, unready
from prefmill.plugins.errors import RecipeError
from prefmill.sink.destinations.hub import HubDestination, HubOptions
from prefmill.sink.domain.shown import without_prompts
from prefmill.testing.local_hub import Repository

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")
"""huggingface_hub's own way to send bytes."""

CARD = """---
tags:
- prefmill
configs:
- config_name: trl
  data_files:
  - split: train
    path: trl/train-*.parquet
---
# tiny
"""


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "out"
    (made / "trl").mkdir(parents=True)
    (made / ".prefmill-export").mkdir()
    for shard in range(3):
        table = pa.table({"prompt": [f"{shard}"], "chosen": ["a"]})
        pq.write_table(table, made / "trl" / f"train-{shard:05d}.parquet")
    (made / "README.md").write_text(CARD)
    (made / "run.json").write_text(json.dumps({"name": "tiny"}))
    (made / "failures.jsonl").write_text('{"detail": "the secret prompt"}\n')
    (made / "dropped.jsonl").write_text('{"id": "row-1", "configs": {"trl": "tie"}}\n')
    return made


def publish(folder, waits=None, **options):
    destination = HubDestination(
        HubOptions.model_validate({"repo": "me/tiny", **options}),
        pause=(waits if waits is not None else []).append,
    )
    return destination.publish(folder)


def test_a_dataset_is_private_and_without_the_failures(hub, folder):
    assert publish(folder) == f"{hub.address}/datasets/me/tiny"
    repository = hub.repositories["me/tiny"]
    assert repository.private
    assert sorted(repository.files) == [
        "README.md",
        "run.json",
        "trl/train-00000.parquet",
        "trl/train-00001.parquet",
        "trl/train-00002.parquet",
    ]
    assert not any(b"secret prompt" in content for content in repository.files.values())


def test_it_is_public_where_that_is_asked_for(hub, folder):
    publish(folder, private=False)
    assert not hub.repositories["me/tiny"].private


def test_it_is_shown_by_one_commit_and_the_same_data_sends_nothing_again(hub, folder):
    publish(folder)
    assert hub.repositories["me/tiny"].commits == 1
    publish(folder)
    assert len(hub.uploads) == 3


@pytest.fixture
def no_waits(monkeypatch):
    """The waits of huggingface_hub between its tries, noted instead of waited for."""
    waits = []
    clock = SimpleNamespace(**{**vars(time), "sleep": waits.append})
    monkeypatch.setattr("huggingface_hub.utils._http.time", clock)
    return waits


def test_an_upload_that_broke_off_shows_nothing_and_goes_on_where_it_was(hub, folder, no_waits):
    hub.drop_after = 2
    waits = []
    with pytest.raises(DestinationError, match="whole in its folder; export again"):
        publish(folder, waits)
    assert (waits, len(no_waits)) == ([], 5)
    assert hub.repositories["me/tiny"].files == {}
    hub.drop_after = None
    publish(folder)
    assert len(hub.uploads) == len(set(hub.uploads)) == 3
    assert hub.repositories["me/tiny"].commits == 1


def test_a_hub_that_is_out_of_order_is_named_with_its_status(hub, folder, no_waits):
    hub.refuse = 503
    waits = []
    with pytest.raises(DestinationError, match=r"503.*export again to go on"):
        publish(folder, waits)
    assert len(waits) == 4


def test_a_refusal_says_what_to_do(hub, folder):
    hub.refuse = 403
    with pytest.raises(DestinationError, match="set HF_TOKEN"):
        publish(folder)


def test_a_hub_that_is_not_there_is_an_error_after_some_tries(monkeypatch, folder):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    waits = []
    with pytest.raises(DestinationError, match="cannot be reached"):
        publish(folder, waits)
    assert len(waits) == 4


def test_shards_that_are_no_longer_part_of_the_dataset_go(hub, folder):
    publish(folder)
    (folder / "trl" / "train-00002.parquet").unlink()
    publish(folder)
    assert "trl/train-00002.parquet" not in hub.repositories["me/tiny"].files


def test_a_repository_with_other_columns_is_left_alone(hub, folder):
    publish(folder)
    before = dict(hub.repositories["me/tiny"].files)
    for shard in folder.glob("trl/*.parquet"):
        pq.write_table(pa.table({"prompt": ["x"], "rejected": ["b"]}), shard)
    with pytest.raises(DestinationError, match="has the columns prompt, chosen in 'trl'"):
        publish(folder)
    assert hub.repositories["me/tiny"].files == before


def test_a_dataset_of_somebody_else_is_left_alone(hub, folder):
    hub.repositories["me/tiny"] = Repository(files={"README.md": b"# mine\n"})
    with pytest.raises(DestinationError, match="prefmill did not write"):
        publish(folder)
    assert hub.repositories["me/tiny"].files == {"README.md": b"# mine\n"}


def test_what_was_published_loads_with_datasets(hub, folder, tmp_path, monkeypatch):
    import subprocess
    import sys

    publish(folder)
    code = (
        "import datasets; d = datasets.load_dataset('me/tiny', 'trl', split='train'); "
        "print(d.column_names, len(d))"
    )
    env = {
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_TOKEN": "hf_test",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "['prompt', 'chosen'] 3", done.stderr


def test_a_destination_is_named_in_short_or_with_options():
    short = Output.model_validate({"hub": "me/tiny"})
    long = Output.model_validate({"hub": {"repo": "me/tiny", "private": False}})
    assert [d.options.private for d in (*destinations_of(short), *destinations_of(long))] == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ({"hbu": "me/tiny"}, "output.hbu: unknown key; did you mean 'hub'"),
        ({"pairng": {}}, "output.pairng: unknown key; did you mean 'pairing'"),
        ({"hub": {"repo": "me/tiny", "privat": True}}, "output.hub.privat: unknown key"),
        ({"hub": "tiny"}, "output.hub"),
        ({"files": "out"}, "output.files"),
    ],
)
def test_a_wrong_destination_says_where_and_the_nearest(output, says):
    with pytest.raises(RecipeError, match=says):
        destinations_of(Output.model_validate(output))


def test_keys_of_destinations_are_missed_before_anything_is_spent(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    output = Output.model_validate({"hub": "me/tiny", "argilla": "http://127.0.0.1:9"})
    for key in ("HF_TOKEN", "ARGILLA_API_KEY"):
        monkeypatch.delenv(key, raising=False)
    assert list(unready(output)) == [
        "output.hub: HF_TOKEN is not set in the environment",
        "output.argilla: ARGILLA_API_KEY is not set in the environment",
    ]
    for key in ("HF_TOKEN", "ARGILLA_API_KEY"):
        monkeypatch.setenv(key, "key")
    assert list(unready(output)) == []


def test_every_destination_is_listed_as_installed():
    assert {"argilla", "files", "hub"} <= set(registry.installed("destinations"))


def test_prompts_that_stand_in_a_recipe_are_only_counted():
    recipe = {"name": "tiny", "source": {"inline": ["a secret", "another"], "limit": 2}}
    assert without_prompts(recipe)["source"] == {"inline": "left out: 2 prompts", "limit": 2}
    assert recipe["source"]["inline"] == ["a secret", "another"]
    elsewhere = {"name": "tiny", "source": {"jsonl": "prompts.jsonl"}}
    assert without_prompts(elsewhere) == elsewhere
