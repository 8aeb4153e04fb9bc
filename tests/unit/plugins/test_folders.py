"""Whose a folder for a dataset is."""

import json
from pathlib import Path

import pytest

from prefmill.plugins.folders import OWN, marked, taken


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A folder with a dataset of one config."""
    for folder in (OWN, "trl"):
        (tmp_path / folder).mkdir()
    (tmp_path / OWN / "marker.json").write_text(json.dumps({"prefmill": 1, "configs": ["trl"]}))
    return tmp_path


def test_a_dataset_may_go_where_nothing_or_only_hidden_files_or_one_of_ours_is(ours: Path) -> None:
    new = ours / "new"
    assert taken(new) == ""
    new.mkdir()
    (new / ".DS_Store").write_text("")
    assert taken(new, ["trl"]) == ""
    assert taken(ours, ["trl", "kto"]) == ""
    assert marked(ours) == ["trl"]
    assert marked(new) == []


def test_what_is_in_the_way_is_named_with_what_to_do(ours: Path) -> None:
    (ours / "kto").mkdir()
    (ours / "trl" / "train-00000.parquet").write_text("")
    assert taken(ours, ["trl", "kto"]) == (
        f"{ours / 'kto'} was not written by prefmill: move it, or name another folder"
    )
    assert taken(ours / "trl") == (
        f"{ours / 'trl'} holds files that prefmill did not write: empty it, or name another folder"
    )
    assert taken(ours / OWN / "marker.json").endswith("marker.json is a file: name a folder")


def test_a_folder_that_cannot_be_read_is_in_the_way() -> None:
    assert taken(Path("/" + "x" * 300)).endswith(" (File name too long): name another folder")
