"""Argilla as a destination: what people see there, and bad connections."""

import json

import pyarrow.parquet as pq
import pytest

from prefmill.contracts.recipe import Output, Pairing, Recipe
from prefmill.coordinator.domain.resolved import resolve
from prefmill.plugins.destination import DestinationError, destinations_of
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.format import FormatContext, arrow_schema
from prefmill.plugins.registry import named_options
from prefmill.plugins.rubric import annotation_of
from prefmill.sink.destinations.argilla import ArgillaDestination, ArgillaOptions
from prefmill.sink.destinations.argilla_layout import asked_of, guidelines_of
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


def rubric(name, *aspects, **made):
    """As `run.json` has it, with what the rubric itself says of its aspects."""
    options = {name: list(aspects)} if name == "ultrafeedback" else {name: None}
    plugin, checked = named_options("rubrics", options | made, "rubric")
    said = plugin(checked)
    people = {a: annotation_of(said, a).model_dump(mode="json") for a in said.aspects}
    return {"name": name, "aspects": list(people), "people": people}


MANIFEST = {
    "name": "tiny",
    "judges": {"strict": "openai/gpt-4 (turbo)", "kind": "claude-3"},
    "rubrics": [rubric("ultrafeedback", "honesty")],
}


def verdict(judge, ratings, **other):
    statuses = ["unreadable" if rating is None else "rated" for rating in ratings]
    return {**VERDICT, "judge": judge, "ratings": ratings, "statuses": statuses, **other}


def row(number, strict, kind):
    return {
        "id": f"row-{number}",
        "instruction": f"Question {number}?",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": f"Question {number}?"},
        ],
        "reference": {"correct": ["Yes."], "incorrect": ["No."], "note": None},
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


HELPSTEER = ("correctness", "coherence", "complexity", "verbosity", "helpfulness")


def test_each_attribute_of_an_answer_is_asked_and_a_scale_that_starts_at_0_is_shifted(
    argilla, tmp_path
):
    rows = [row(0, [0, 4], [1, 3])]
    for given in rows[0]["verdicts"]:
        given.update(rubric="helpsteer", aspect="attributes")
        given["attributes"] = [
            [{"name": name, "rating": (rating + n) % 5} for n, name in enumerate(HELPSTEER)]
            for rating in given["ratings"]
        ]
    rubrics = [rubric("ultrafeedback", "helpfulness"), rubric("helpsteer")]
    publish(argilla, dataset(tmp_path, rows, {**MANIFEST, "rubrics": rubrics}))
    made = argilla.datasets["d0"]
    names = {asked["id"]: asked["name"] for asked in made.questions}
    attributes = [name for name in names.values() if name.endswith("-1-kind")]
    assert attributes == [
        "helpfulness-1-kind",
        *(f"{name}-1-kind" for name in HELPSTEER[:-1]),
        "attributes-helpfulness-1-kind",
    ]
    asked = next(each for each in made.questions if each["name"] == "correctness-1-strict")
    assert [option["value"] for option in asked["settings"]["options"]] == [1, 2, 3, 4, 5]
    told = {names[s["question_id"]]: s["value"] for s in made.records["row-0"]["suggestions"]}
    assert len(told) == 5 * 2 * 2
    assert (told["correctness-1-strict"], told["correctness-2-strict"]) == (1, 5)
    assert (told["coherence-1-strict"], told["coherence-2-strict"]) == (2, 1)


def shown(argilla, tmp_path, *rubrics, **options):
    """Titles of the fields, and what the first record has in them."""
    manifest = {**MANIFEST, "rubrics": list(rubrics)}
    publish(argilla, dataset(tmp_path, [row(0, [5, 3], [5, 3])], manifest), **options)
    made = argilla.datasets["d0"]
    titles = {field["name"]: field["title"] for field in made.fields}
    return titles, made.records["row-0"]["fields"]


def test_people_see_the_criteria_and_the_known_answers_that_a_judge_is_told(argilla, tmp_path):
    scores = ["none", "little", "some", "much", "all"]
    criteria = {
        "care": {"criterion": "Does it care?", "scores": scores},
        "wit": {"criterion": "Is it witty?", "scores": scores},
    }
    made = rubric("prometheus", prometheus="absolute", criteria=criteria)
    titles, fields = shown(argilla, tmp_path, made)
    assert list(titles) == [
        "instruction", "reference", "rubric", "generation-1", "generation-2", "wit-rubric",
    ]  # fmt: skip
    assert titles["wit-rubric"] == "Rubric: wit"
    assert fields["reference"] == "Yes.\n\n**Wrong**: No."
    assert fields["rubric"].splitlines() == [
        "Does it care?", "", "1. none", "2. little", "3. some", "4. much", "5. all",
    ]  # fmt: skip


def test_a_part_of_a_row_is_shown_once_under_the_name_that_the_first_rubric_gives_it(
    argilla, tmp_path
):
    critique = rubric("critique", reference=True)
    titles, fields = shown(argilla, tmp_path, rubric("helpsteer"), critique, rubric("pairwise"))
    assert titles == {
        "prompt": "Prompt",
        "response-1": "Response 1",
        "response-2": "Response 2",
        "reference": "Reference",
    }
    assert (fields["prompt"], fields["response-2"]) == ("Question 0?", "two")


def test_a_rubric_without_a_word_of_its_own_shows_instruction_and_texts(argilla, tmp_path):
    stored = {"name": "old", "aspects": ["honesty"], "people": {"honesty": {}}}
    stored["people"]["honesty"] = {"ratings": [{"name": "honesty", "low": 1, "high": 5}]}
    stored["people"]["honesty"]["guidelines"] = ""
    titles, _ = shown(argilla, tmp_path, stored)
    assert list(titles) == ["instruction", "generation-1", "generation-2"]


TEMPLATE = {
    "scale": {"min": 0, "max": 3},
    "user": "{{ instruction }} {{ reference }} {{ generations }}",
}
PEOPLE = [
    "history",
    {"name": "question", "of": "instruction"},
    {"name": "hint", "text": "Look at the tone."},
    {"name": "answer", "title": "The answer", "of": "generations"},
]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (TEMPLATE, ["instruction", "reference", "generation-1", "generation-2"]),
        ({**TEMPLATE, "reference": False}, ["instruction", "generation-1", "generation-2"]),
        (
            {**TEMPLATE, "user": "{{ instruction }} {{ generations }}"},
            ["instruction", "generation-1", "generation-2"],
        ),
        ({**TEMPLATE, "people": PEOPLE}, ["history", "question", "hint", "answer-1", "answer-2"]),
        ({**TEMPLATE, "people": ["history"]},
         ["instruction", "history", "generation-1", "generation-2"]),
    ],
)  # fmt: skip
def test_a_rubric_from_a_file_shows_what_its_file_says(argilla, tmp_path, template, expected):
    titles, fields = shown(argilla, tmp_path, rubric("template", template=template))
    assert list(titles) == expected
    if "history" in expected:
        assert fields["history"] == "**system**: Be brief."
    if "hint" in expected:
        assert fields["hint"] == "Look at the tone."
        assert titles["answer-2"] == "The answer 2"


@pytest.mark.parametrize(
    ("people", "says"),
    [
        (["instrution"], "people.0"),
        ([{"name": "hint"}], "a field has either `of`"),
        ([{"text": "Look."}], "needs a `name`"),
        ([{"name": "A b", "text": "Look."}], r"people\.0\.name"),
        ([{"name": "a", "of": "answers"}], r"people\.0\.of"),
    ],
)
def test_a_field_that_shows_nothing_is_refused_at_its_place(people, says):
    with pytest.raises(RecipeError, match=says):
        rubric("template", template={**TEMPLATE, "people": people})


def test_a_scale_that_argilla_cannot_show_is_told_before_anything_is_made(argilla, tmp_path):
    made = rubric("template", template={**TEMPLATE, "scale": {"min": 0, "max": 100}})
    with pytest.raises(DestinationError, match=r"'overall' is rated from 0 to 100"):
        shown(argilla, tmp_path, made)
    assert argilla.datasets == {}


def recipe(argilla=None, rubric="pairwise", **changes):
    judged = {"judges": {"j": {"engine": "simulated", "model": "j"}}, "judge": {"rubric": rubric}}
    output = {"formats": ["raw"], "argilla": {"argilla": "https://argilla.test", **(argilla or {})}}
    models = {a: {"engine": "simulated", "model": a} for a in "ab"}
    made = {"name": "r", "source": {"inline": ["Why?"]}, "models": models, "output": output}
    return Recipe.model_validate(made | judged | changes)


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (recipe(), "there are no ratings to show: pairwise only compares answers; name a rubric "),
        (
            recipe(judges={}, judge=None),
            "there are no ratings to show: name a judge, and aspects that it rates",
        ),
        (
            recipe({"aspects": ["clarity"]}, {"ultrafeedback": ["honesty"]}),
            "none of `aspects` (clarity) is rated; there are: honesty",
        ),
        (
            recipe(rubric={"template": {**TEMPLATE, "scale": {"min": 0, "max": 100}}}),
            "'overall' is rated from 0 to 100, and Argilla has 10 ratings at most: name the others",
        ),
    ],
)
def test_what_argilla_has_no_use_for_is_refused_with_the_recipe(made, problem):
    with pytest.raises(RecipeError) as refused:
        resolve(made)
    (told,) = refused.value.problems
    assert told.startswith(f"output.argilla: {problem}")


def test_a_rubric_that_rates_beside_one_that_compares_is_enough_for_argilla():
    resolve(recipe(rubric=["pairwise", {"ultrafeedback": ["honesty"]}]))


def test_people_are_told_what_the_rubrics_say_unless_the_recipe_says_it(argilla, folder):
    publish(argilla, folder)
    told = argilla.datasets["d0"].about["guidelines"]
    assert told.startswith("Read the prompt and the texts.")
    assert "honesty: (1: Confidently Incorrect, 2: Confident with Significant Mistakes" in told
    publish(argilla, folder, dataset="other", guidelines="Be kind.")
    assert argilla.datasets["d1"].about["guidelines"] == "Be kind."


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (rubric("critique"), {"overall-score": (1, 10)}),
        (rubric("pairwise"), {}),
        (
            rubric("ultrafeedback", "honesty", "truthfulness"),
            {"honesty": (1, 5), "truthfulness": (1, 5)},
        ),
        (
            rubric(
                "template",
                template={
                    "scale": {"min": 0, "max": 3},
                    "aspects": {"tone": "Is it polite?"},
                    "user": "{{ instruction }} {{ generations }}",
                },
            ),
            {"tone": (0, 3)},
        ),
    ],
)
def test_a_rubric_says_itself_what_people_are_asked(made, expected):
    asked = asked_of([made], {}, ())
    assert {name: each.scale for name, each in asked.items()} == expected
    if "tone" in made["people"]:
        assert guidelines_of([made]).endswith("tone: Is it polite? (0 to 3)")


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
    with pytest.raises(DestinationError, match="ARGILLA_API_KEY is not set"):
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
