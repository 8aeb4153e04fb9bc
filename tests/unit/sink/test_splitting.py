"""The prompts that are kept for a test: the same ones everywhere, and never on both sides."""

import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sink.test_files import FACTS, visible

from prefmill.contracts.chat import Message
from prefmill.contracts.rows import Prompt
from prefmill.sink.destinations.files import FilesDestination, FilesOptions
from prefmill.sink.domain.splitting import UNSPLIT, Split

TURNS = st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.text()), min_size=1)


def prompt(turns, row_id="1", system=None, **more):
    messages = [("system", system)] if system is not None else []
    made = tuple(Message(role=role, content=text) for role, text in [*messages, *turns])
    return Prompt(id=row_id, messages=made, **more)


@given(turns=TURNS, seed=st.integers(0, 10), share=st.floats(0, 0.99), system=st.text())
def test_only_what_a_prompt_says_decides(turns, seed, share, system):
    split = Split(share, seed)
    told = prompt(turns, "other", system, metadata={"source": "elsewhere"})
    shouted = prompt([(role, f"  {text}\n") for role, text in turns])
    assert split.side(prompt(turns)) == split.side(told) == split.side(shouted)


@given(turns=TURNS, seed=st.integers(0, 10), share=st.floats(0, 0.49))
def test_a_larger_share_keeps_all_of_a_smaller_one(turns, seed, share):
    if Split(share, seed).side(prompt(turns)) == "test":
        assert Split(2 * share, seed).side(prompt(turns)) == "test"


def test_about_the_share_asked_for_is_kept_and_none_without_asking():
    prompts = [prompt([("user", f"Question {number}?")]) for number in range(4000)]
    kept = {p.instruction for p in prompts if Split(0.1, 1).side(p) == "test"}
    other = {p.instruction for p in prompts if Split(0.1, 2).side(p) == "test"}
    assert 320 < len(kept) < 480
    assert 0 < len(kept & other) < 80
    assert all(UNSPLIT.side(p) == "train" for p in prompts)


@pytest.fixture
def export(making, tmp_path):
    """Forty prompts, some of them twice, in several formats."""

    def made(split, folder="out", names=("trl", "kto", "raw", "llama-factory"), stop=None):
        context = replace(making.context(), test=split.test)
        formats = [making.plugin("formats", name, context) for name in names]
        rows = [
            making.row(
                n, ["Bad.", "Good."], making.jury([2, 5], [1, 4]), messages=[("user", f"{n % 30}?")]
            )
            for n in range(40)
        ]
        options = FilesOptions(directory=tmp_path / folder)
        facts = replace(FACTS, split=split)
        with FilesDestination(options).open(formats, 16, "one", split) as writer:
            for row in making.scored(rows, context)[writer.next_position : stop]:
                writer.add(row)
            if stop is not None:
                return None
            return writer.finish(facts, {}, [])

    return made


def prompts_in(folder, config, side):
    tables = [pq.read_table(path) for path in sorted(folder.glob(f"{config}/{side}-*.parquet"))]
    return {row["id"]: row for table in tables for row in table.to_pylist()}


def test_no_prompt_stands_in_both_splits_and_all_configs_split_alike(export, tmp_path):
    outcome = export(Split(0.2, 1))
    texts = {}
    for side in ("train", "test"):
        ids = [set(prompts_in(tmp_path / "out", config, side)) for config in outcome]
        assert ids[0]
        assert all(found == ids[0] for found in ids)
        raw = prompts_in(tmp_path / "out", "raw", side)
        texts[side] = {row["instruction"] for row in raw.values()}
    assert not texts["train"] & texts["test"]
    assert len(texts["train"] | texts["test"]) == 30
    for config, sums in outcome.items():
        assert sums.prompts == 40
        read = [pq.read_metadata(p) for p in (tmp_path / "out").glob(f"{config}/test-*.parquet")]
        assert sums.test == sum(found.num_rows for found in read)


def test_both_splits_open_with_datasets_and_the_card_tells_of_them(export, tmp_path):
    import datasets

    outcome = export(Split(0.2, 1))
    folder, cache = str(tmp_path / "out"), str(tmp_path / "cache")
    loaded = datasets.load_dataset(folder, "trl", cache_dir=cache)
    assert {side: len(loaded[side]) for side in loaded} == {
        "train": outcome["trl"].records - outcome["trl"].test,
        "test": outcome["trl"].test,
    }
    card = (tmp_path / "out/README.md").read_text()
    assert "about 0.2 of all prompts, drawn by what they say (seed 1)" in card
    info = json.loads((tmp_path / "out/dataset_info.json").read_text())
    for name, side in {"prefmill": "train", "prefmill-test": "test"}.items():
        entry = info[name]
        read = datasets.load_dataset(
            str(tmp_path / "out" / entry["script_url"]),
            entry["subset"],
            split=entry["split"],
            cache_dir=cache,
        )
        assert len(read) == len(loaded[side])


def test_an_export_that_was_cut_off_splits_as_one_that_was_not(export, tmp_path):
    export(Split(0.2, 1), "whole")
    export(Split(0.2, 1), "cut", stop=35)
    export(Split(0.2, 1), "cut")
    assert visible(tmp_path / "cut") == visible(tmp_path / "whole")


def test_another_share_leaves_no_file_of_the_one_before(export, tmp_path):
    export(Split(0.2, 1))
    export(UNSPLIT)
    assert not list((tmp_path / "out").glob("*/test-*"))
    assert "test" not in (tmp_path / "out/README.md").read_text().split("---")[1]
