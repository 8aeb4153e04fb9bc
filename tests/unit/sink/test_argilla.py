"""Argilla as a destination: what people see there, and bad connections."""

import json

import pyarrow.parquet as pq
import pytest

from prefmill.contracts.recipe import Output, Pairing
from prefmill.plugins.destination import DestinationError, destinations_of
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.format import FormatContext, arrow_schema
from prefmill.sink.destinations.argilla import ArgillaDestination, ArgillaOptions
from prefmill.sink.destinations.parquet import ParquetShard
from prefmill.sink.formats.columns import NoOptions
from prefmill.sink.formats.raw import RawFormat
from prefmill.testing.local_argilla import LocalArgilla

VERDICT = {
    "rubric": "ultrafeedback",
    "aspect": "honesty",
    "sample": 0,
    "order": [1, 0],
    "rationales": ["r", "r"],
    "types": [None, None],
    "rationales_for_ratings": [None, None],
    "raw": "raw",
}
MANIFEST = {
    "name": "tiny",
    "judges": {"strict": "openai/gpt-4 (turbo)", "kind": "claude-3"},
    "rubrics": [{"name": "ultrafeedback", "aspects": ["honesty"]}],
}


def verdict(judge, ratings, **other):
    statuses = ["unreadable" if rating is None else "rated" for rating in ratings]
    return {**VERDICT, "judge": judge, "ratings": ratings, "statuses": statuses, **other}


def row(number, strict, kind):
    return {
        "id": f"row-{number}",
        "instruction": f"Question {number}?",
        "messages": [{"role": "user", "content": f"Question {number}?"}],
        "generations": ["one", None if None in strict else "two"],
        "generation_models": ["org/a", "org/b"],
        "principles": [None, None],
        "principle_prompts": [None, None],
        "scores": [None, None],
        "verdicts": [verdict("strict", strict), verdict("kind", kind)],
        "metadata": "{}",
    }


def dataset(folder, rows, manifest=MANIFEST):
    context = FormatContext(("strict", "kind"), ("honesty",), Pairing(), 0)
    schema = arrow_schema(RawFormat(NoOptions(), context).configs()["raw"])
    shard = ParquetShard(folder / "raw" / "train-00000.parquet", schema)
    shard.add(rows)
    shard.close()
    (folder / "run.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def argilla(monkeypatch):
    monkeypatch.setenv("ARGILLA_API_KEY", "key")
    with LocalArgilla() as served:
        yield served


@pytest.fixture
def folder(tmp_path):
    rows = [row(0, [5, 3], [5, 3]), row(1, [1, 4], [5, 4]), row(2, [2, None], [3, None])]
    return dataset(tmp_path, rows)


def publish(argilla, folder, waits=None, **options):
    options = ArgillaOptions.model_validate({"url": argilla.address, "generations": 2, **options})
    pause = (waits if waits is not None else []).append
    return ArgillaDestination(options, pause=pause).publish(folder)


def test_every_judge_has_a_question_of_its_own_with_its_rating_as_a_suggestion(argilla, folder):
    assert publish(argilla, folder) == f"{argilla.address}/dataset/d0/annotation-mode"
    made = argilla.datasets["d0"]
    assert made.about["name"] == "tiny"
    assert [named["name"] for named in made.fields] == [
        "instruction",
        "generation-1",
        "generation-2",
    ]
    names = {named["id"]: named["name"] for named in made.questions}
    assert list(names.values()) == [
        "honesty-1-strict",
        "honesty-1-kind",
        "honesty-2-strict",
        "honesty-2-kind",
    ]
    told = {names[s["question_id"]]: s for s in made.records["row-1"]["suggestions"]}
    assert {name: (s["value"], s["agent"], s["score"]) for name, s in told.items()} == {
        "honesty-1-strict": (1, "openai/gpt-4 -turbo-", 0.5),
        "honesty-1-kind": (5, "claude-3", 0.5),
        "honesty-2-strict": (4, "openai/gpt-4 -turbo-", 1.0),
        "honesty-2-kind": (4, "claude-3", 1.0),
    }


def test_a_text_or_a_rating_that_is_missing_is_left_out(argilla, folder):
    publish(argilla, folder)
    record = argilla.datasets["d0"].records["row-2"]
    assert record["fields"] == {"instruction": "Question 2?", "generation-1": "one"}
    assert len(record["suggestions"]) == 2


def test_rows_on_which_judges_differ_come_first_where_that_is_asked_for(argilla, folder):
    publish(argilla, folder, low_agreement_first=True)
    records = argilla.datasets["d0"].records
    assert list(records) == ["row-1", "row-2", "row-0"]
    assert [record["metadata"]["disagreement"] for record in records.values()] == [2.0, 1.0, 0.0]


def test_a_scale_that_starts_at_0_is_shifted_by_one(argilla, tmp_path):
    rows = [row(0, [0, 4], [1, 3])]
    for given in rows[0]["verdicts"]:
        given.update(rubric="helpsteer", aspect="attributes")
    manifest = {**MANIFEST, "rubrics": [{"name": "helpsteer", "aspects": ["attributes"]}]}
    publish(argilla, dataset(tmp_path, rows, manifest))
    made = argilla.datasets["d0"]
    options = made.questions[0]["settings"]["options"]
    assert [option["value"] for option in options] == [1, 2, 3, 4, 5]
    assert [s["value"] for s in made.records["row-0"]["suggestions"]] == [1, 5, 2, 4]


def test_a_broken_connection_leaves_no_record_twice(argilla, tmp_path):
    folder = dataset(tmp_path, [row(n, [5, 3], [4, 3]) for n in range(250)])
    argilla.drop_after = 1
    waits = []
    with pytest.raises(DestinationError, match="whole in its folder; export again to go on"):
        publish(argilla, folder, waits)
    assert waits == [1.0, 2.0, 4.0, 8.0]
    argilla.drop_after = None
    publish(argilla, folder)
    assert list(argilla.datasets) == ["d0"]
    assert list(argilla.datasets["d0"].records) == [f"row-{n}" for n in range(250)]


def test_a_dataset_left_half_made_is_completed(argilla, folder):
    publish(argilla, folder)
    made = argilla.datasets["d0"]
    made.about["status"] = "draft"
    del made.questions[2:], made.properties[:]
    made.records.clear()
    publish(argilla, folder)
    assert (len(made.questions), len(made.properties), len(made.records)) == (4, 1, 3)


def test_a_dataset_with_other_questions_is_left_alone(argilla, folder):
    publish(argilla, folder)
    with pytest.raises(DestinationError, match="'tiny' has other questions than this run"):
        publish(argilla, folder, scales={"honesty": [1, 10]})


def test_a_refusal_names_the_key(argilla, folder, monkeypatch):
    monkeypatch.setenv("ARGILLA_API_KEY", "stale")
    with pytest.raises(DestinationError, match="set ARGILLA_API_KEY to the key of an owner"):
        publish(argilla, folder)
    monkeypatch.delenv("ARGILLA_API_KEY")
    with pytest.raises(DestinationError, match="needs a key: set ARGILLA_API_KEY"):
        publish(argilla, folder)


def test_a_server_out_of_order_is_tried_five_times(argilla, folder):
    argilla.status = 503
    waits = []
    with pytest.raises(DestinationError, match="cannot be reached"):
        publish(argilla, folder, waits)
    assert len(waits) == 4


def test_a_workspace_must_be_named_where_there_are_several(argilla, folder):
    argilla.workspaces = ("blue", "red")
    with pytest.raises(DestinationError, match=r"output\.argilla\.workspace to one of blue, red"):
        publish(argilla, folder)
    publish(argilla, folder, workspace="red")
    assert argilla.datasets["d0"].about["workspace_id"] == "w-red"


def test_columns_that_were_left_out_of_raw_are_named(argilla, folder):
    path = folder / "raw" / "train-00000.parquet"
    pq.write_table(pq.read_table(path, columns=["id", "instruction"]), path)
    with pytest.raises(DestinationError, match="generation_models, verdicts of raw: keep them"):
        publish(argilla, folder)


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ({"argilla": "http://h", "formats": ["trl"]}, "output.argilla: needs the format raw"),
        ({"argilla": "localhost"}, "output.argilla"),
        ({"argilla": {"url": "http://h", "scales": {"honesty": [0, 10]}}}, "within 1 and 10"),
        ({"argilla": {"url": "http://h", "api_key": "k"}}, "output.argilla.api_key: unknown key"),
    ],
)
def test_wrong_options_are_found_when_the_recipe_is_checked(output, says):
    with pytest.raises(RecipeError, match=says):
        destinations_of(Output.model_validate(output))
