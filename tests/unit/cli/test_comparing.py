"""How often datasets of one run prefer other answers."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefmill.cli.comparing import (
    CHOSEN,
    REJECTED,
    Compared,
    compared,
    datasets_in,
    refuse_incomparable,
    report,
)
from prefmill.cli.stop import Stop

A, B, C = b"a", b"b", b"c"


def turns(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": text}]


def pair(name: str, chosen: Any, rejected: Any) -> dict[str, Any]:
    return {"id": name, "chosen": chosen, "rejected": rejected}


def written(folder: Path, config: str, *records: dict[str, Any]) -> Path:
    """Each record in a shard of its own."""
    (folder / config).mkdir(parents=True)
    for number, record in enumerate(records):
        table = pa.Table.from_pylist([record])
        pq.write_table(table, folder / config / f"train-{number:05d}.parquet")
    return folder


def test_the_same_preferences_never_differ() -> None:
    one = {"p": {A: CHOSEN, B: REJECTED}, "q": {A: CHOSEN, B: CHOSEN | REJECTED, C: REJECTED}}
    assert compared(one, one) == Compared(2, 0, 0)


def test_another_chosen_answer_is_told_from_one_that_the_other_rejects() -> None:
    one = {"p": {A: CHOSEN, B: REJECTED}, "q": {A: CHOSEN, B: REJECTED}}
    other = {"p": {C: CHOSEN, B: REJECTED}, "q": {B: CHOSEN, A: REJECTED}}
    assert compared(one, other) == compared(other, one) == Compared(2, 2, 1)


def test_prompts_of_one_side_and_those_without_anything_chosen_are_not_compared() -> None:
    one = {"p": {A: CHOSEN, B: REJECTED}, "q": {A: CHOSEN}}
    other = {"p": {A: REJECTED}, "r": {A: CHOSEN}}
    assert compared(one, other) == Compared(0, 0, 0)


def test_every_layout_of_preferences_is_read_the_same(tmp_path: Path) -> None:
    def last(text: str) -> list[dict[str, str]]:
        return turns(text)[-1:]

    def spoken(text: str) -> dict[str, str]:
        return {"from": "gpt", "value": text}

    ranking = {"id": "p", "responses": ["yes ", "no"], "ranks": [1, 2]}
    labels = [
        {"id": "p", "completion": last(text), "label": text == "yes"} for text in ("yes", "no")
    ]
    written(tmp_path, "h4", pair("p", turns("yes"), turns("no")))
    written(tmp_path, "kto", *labels)
    written(tmp_path, "llama-factory", pair("p", spoken("yes"), spoken("no")))
    written(tmp_path, "ranking", ranking)
    written(tmp_path, "trl", pair("p", last("yes"), last("no")))
    written(tmp_path, "raw", {"id": "p", "scores": [1.0]})
    found = datasets_in(tmp_path)
    assert [each.name for each in found] == ["h4", "kto", "llama-factory", "ranking", "trl"]
    assert all(each.prompts == found[0].prompts for each in found)


def test_all_pairs_choose_what_no_pair_rejects(tmp_path: Path) -> None:
    pairs = [("good", "fair"), ("good", "bad"), ("fair", "bad")]
    written(tmp_path / "all", "trl", *(pair("p", turns(a), turns(b)) for a, b in pairs))
    written(tmp_path / "one", "trl", pair("p", turns("fair"), turns("bad")))
    (line,) = report(tmp_path / "all", [tmp_path / "one"])
    assert line == (
        f"trl against {tmp_path}/one (trl): 1 prompt with a chosen answer in both; "
        "in 1 (100%) they choose no answer alike, "
        "in 0 (0%) one chooses an answer that the other rejects"
    )


def test_layouts_that_compare_alike_share_a_line(tmp_path: Path) -> None:
    for name in ("h4", "reward", "trl"):
        written(tmp_path / "made", name, pair("p", turns("good"), turns("bad")))
        written(tmp_path / "other", name, pair("p", turns("bad"), turns("good")))
    written(tmp_path / "other", "kto", {"id": "q", "completion": turns("good"), "label": True})
    contrary, nothing = sorted(report(tmp_path / "made", [tmp_path / "other"]))
    beside = f"h4, reward, trl against {tmp_path}/other"
    assert nothing == f"{beside} (kto): no prompt has a chosen answer in both"
    assert contrary.startswith(f"{beside} (h4, reward, trl): 1 prompt with")


def test_labels_that_choose_more_than_a_pair_does_agree_and_contradict_it_at_once(
    tmp_path: Path,
) -> None:
    labels = [
        {"id": "p", "completion": turns(text)[-1:], "label": True} for text in ("good", "fair")
    ]
    written(tmp_path / "labels", "kto", *labels)
    written(tmp_path / "pairs", "trl", pair("p", turns("good"), turns("fair")))
    (line,) = report(tmp_path / "labels", [tmp_path / "pairs"])
    assert line.endswith(
        "in 0 (0%) they choose no answer alike, "
        "in 1 (100%) one chooses an answer that the other rejects"
    )


def test_a_folder_without_preferences_is_refused(tmp_path: Path) -> None:
    written(tmp_path, "raw", {"id": "p", "scores": [1.0]})
    with pytest.raises(Stop, match="holds no dataset of pairs, ranks or labels"):
        datasets_in(tmp_path)
    with pytest.raises(Stop, match="is written, but not compared"):
        list(report(tmp_path, [tmp_path]))


STORED: dict[str, Any] = {
    "name": "r",
    "source": {"inline": ["Why?"]},
    "models": {alias: {"engine": "simulated", "model": alias} for alias in "ab"},
    "judges": {"j": {"engine": "simulated", "model": "j"}},
    "judge": {"rubric": {"ultrafeedback": ["honesty"]}},
}


@pytest.mark.parametrize(
    ("output", "formats"),
    [
        ({"formats": ["raw", "trl"]}, ({"sft": None}, {"raw": None})),
        ({"formats": ["raw", "distilabel", "ultrafeedback"]}, None),
        ({"formats": ["trl"], "columns": ["chosen", "rejected"]}, None),
    ],
)
def test_formats_that_cannot_be_compared_are_refused_before_they_are_made(
    output: dict[str, Any], formats: Any
) -> None:
    with pytest.raises(Stop, match="none of the formats to be made has them") as stopped:
        refuse_incomparable(STORED | {"output": output}, formats)
    assert stopped.value.code == 2


@pytest.mark.parametrize("formats", [({"raw": None}, {"kto": 4}), ({"ranking": None},), None])
def test_one_format_that_can_be_compared_is_enough(formats: Any) -> None:
    refuse_incomparable(STORED | {"output": {"formats": ["raw", "h4"]}}, formats)


def test_formats_that_are_not_known_here_are_for_the_coordinator_to_refuse() -> None:
    refuse_incomparable(STORED, ({"trll": None},))
    refuse_incomparable(STORED | {"invented": "later"}, None)
