"""Formats: golden files of every column, and what the columns promise.

`PREFMILL_RENEW_GOLDEN=1 pytest tests/unit/sink` writes the golden files anew: read the difference.
"""

import hashlib
import json
import os
from pathlib import Path

import pyarrow as pa
import pytest

from prefmill.contracts.reasons import (
    IDENTICAL_TEXTS,
    NOT_FINISHED,
    NOT_JUDGED,
    TOO_FEW_GENERATIONS,
    TOO_FEW_VERDICTS,
)
from prefmill.contracts.work import Reference
from prefmill.plugins.registry import RecipeError
from prefmill.sink.destinations.shards import schemas_of

GOLDEN = Path(__file__).parent / "golden"
PAIRED = ("preference", "h4", "trl", "reward", "axolotl", "llama-factory")
NAMES = ("raw", "distilabel", "ultrafeedback", *PAIRED, "ranking", "kto", "sft")
JURY = {}
SINGLE = {"judges": ("strict",), "aspects": ("truthfulness",)}
PLAIN = {"judges": ("strict",), "aspects": ("honesty",)}


def written(making, name, rows=None, options=None, **of):
    """Config → schema, records as parquet would hold them, and the outcome of each row."""
    context = making.context(**of)
    form = making.plugin("formats", name, context, **(options or {}))
    made = [form.write(row) for row in making.scored(rows or making.all_kinds(), context)]
    return {
        config: {
            "schema": [f"{field.name}: {field.type}" for field in schema],
            "outcomes": [f"{row[config].outcome} {row[config].reason}".strip() for row in made],
            "records": pa.Table.from_pylist(
                [record for row in made for record in row[config].records], schema=schema
            ).to_pylist(),
        }
        for config, schema in schemas_of([form]).items()
    }


@pytest.mark.parametrize(
    ("name", "of", "suffix"),
    [(name, JURY, "") for name in NAMES]
    + [("distilabel", SINGLE, "-single-typed"), ("distilabel", PLAIN, "-single")]
    + [("trl", {"options": {"trl": "implicit"}}, "-implicit")],
)
def test_every_column_is_as_the_golden_file_says(making, name, of, suffix):
    golden = GOLDEN / f"{name}{suffix}.json"
    made = json.dumps(written(making, name, **of), ensure_ascii=False, indent=1) + "\n"
    if os.environ.get("PREFMILL_RENEW_GOLDEN"):
        golden.write_text(made, encoding="utf-8")
    assert json.loads(made) == json.loads(golden.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_every_record_has_exactly_the_columns_of_its_schema(making, name):
    context = making.context()
    form = making.plugin("formats", name, context)
    for row in making.scored(making.all_kinds(), context):
        made = form.write(row)
        assert made.keys() == form.configs().keys()
        for config, schema in schemas_of([form]).items():
            for record in made[config].records:
                assert sorted(record) == sorted(schema.names)


@pytest.mark.parametrize("name", NAMES)
def test_columns_of_the_source_survive_even_where_a_name_collides(making, name):
    for config in written(making, name).values():
        record = next(record for record in config["records"] if record["id"] == "row-0")
        assert json.loads(record["metadata"]) == {
            "chosen": "of the source",
            "id": 7,
            "größe": [1, None],
        }


def test_raw_drops_only_what_was_not_loaded_or_is_not_finished(making):
    raw = written(making, "raw")["raw"]
    assert raw["outcomes"][7:9] == [f"dropped {NOT_FINISHED}", "dropped not-text"]
    assert raw["outcomes"].count("out") == 8


def test_raw_holds_what_is_known_about_the_right_answer(making):
    known = Reference(correct=("A draw.",), note="In sports.")
    rows = [making.row(0, ["One.", "Two."], making.jury([2, 5], [1, 4]), reference=known)]
    context = making.context()
    form = making.plugin("formats", "raw", context)
    record = form.write(making.scored(rows, context)[0])["raw"].records[0]
    assert record["reference"] == {"correct": ["A draw."], "incorrect": [], "note": "In sports."}


def test_pairs_name_the_reason_of_every_row_without_one(making):
    for name in PAIRED:
        assert written(making, name)[name]["outcomes"] == [
            "out",
            "tie",
            "out",
            "out",
            f"dropped {TOO_FEW_GENERATIONS}",
            f"dropped {TOO_FEW_VERDICTS}",
            f"dropped {TOO_FEW_GENERATIONS}",
            f"dropped {NOT_FINISHED}",
            "dropped not-text",
            f"dropped {IDENTICAL_TEXTS}",
        ]


def test_preference_holds_whole_conversations_and_the_hash_of_the_instruction(making):
    record = written(making, "preference")["preference"]["records"][1]
    assert record["prompt"] == "And what is a margin?"
    assert record["prompt_id"] == hashlib.sha256(b"And what is a margin?").hexdigest()
    assert [turn["role"] for turn in record["chosen"]] == ["user", "assistant", "user", "assistant"]
    assert record["chosen"][:-1] == record["rejected"][:-1]
    assert (record["chosen"][-1]["content"], record["rejected"][-1]["content"]) == (
        "Best.",
        "Worst.",
    )


def test_an_empty_system_prompt_is_left_out_of_training_data(making):
    turns = [("system", ""), ("user", "Hello.")]
    rows = [making.row(0, ["a", "b"], making.jury([1, 2], [1, 2]), messages=turns)]
    assert written(making, "trl", rows)["trl"]["records"][0]["prompt"] == [
        {"role": "user", "content": "Hello."}
    ]
    assert len(written(making, "raw", rows)["raw"]["records"][0]["messages"]) == 2


def test_all_pairs_of_a_row_share_its_id(making):
    rows = [making.row(0, ["a", "b", "c"], making.jury([1, 2, 3], [1, 2, 3]))]
    records = written(making, "preference", rows, choose="all")["preference"]["records"]
    assert [record["id"] for record in records] == ["row-0"] * 3


def test_the_model_id_stands_in_the_data_and_the_alias_where_nobody_answered(making):
    record = written(making, "raw")["raw"]["records"][2]
    assert record["generation_models"] == ["org/model-0", "model-1", "org/model-2"]


def test_one_aspect_makes_one_distilabel_config_and_several_one_each(making):
    assert list(written(making, "distilabel")) == ["distilabel-honesty", "distilabel-truthfulness"]
    assert list(written(making, "distilabel", **SINGLE)) == ["distilabel"]


def test_a_jury_keeps_how_many_ratings_counted(making):
    record = written(making, "distilabel")["distilabel-honesty"]["records"][3]
    assert record["poll_ratings"] == [[4.0, None], [None, None]]
    assert record["avg_poll_ratings"] == [4.0, None]
    assert record["poll_counts"] == [1, 0]
    assert record["poll_models"] == ["org/strict-judge", "kind"]


def test_distilabel_without_judges_holds_the_generations(making):
    made = written(making, "distilabel", judges=(), aspects=())["distilabel"]
    assert "ratings" not in made["records"][0]
    assert made["records"][0]["generations"] == ["A bad one.", "A good one."]


def test_h4_repeats_the_chosen_conversation_as_messages(making):
    record = written(making, "h4")["h4"]["records"][0]
    assert record["messages"] == record["chosen"]
    assert (record["score_chosen"], record["score_rejected"]) == (4.5, 1.5)


def test_a_margin_is_a_column_only_where_it_is_asked_for(making):
    assert "margin" not in written(making, "reward")["reward"]["records"][0]
    asked = written(making, "reward", options={"reward": "margin"})["reward"]["records"][0]
    assert asked["margin"] == 3.0


def test_an_implicit_prompt_stands_in_both_sides(making):
    record = written(making, "trl", options={"trl": "implicit"})["trl"]["records"][1]
    assert "prompt" not in record
    assert record["chosen"][:-1] == record["rejected"][:-1]
    assert len(record["chosen"]) == 4


def test_llama_factory_has_the_system_prompt_beside_the_turns_and_says_where_its_columns_are(
    making,
):
    first, second = written(making, "llama-factory")["llama-factory"]["records"][:2]
    assert first["system"] == "Be brief."
    assert first["conversations"] == [{"from": "human", "value": "What is a tie?"}]
    assert second["system"] == ""
    assert [turn["from"] for turn in second["conversations"]] == ["human", "gpt", "human"]
    form = making.plugin("formats", "llama-factory", making.context())
    entry = form.pages()["dataset_info.json"]["prefmill"]
    columns = schemas_of([form])["llama-factory"].names
    assert set(entry["columns"].values()) <= set(columns)
    assert entry["ranking"] is True


def test_a_ranking_is_best_first_and_equal_scores_share_a_rank(making):
    rows = [making.row(0, ["a", "b", "c", "d"], making.jury([2, 4, 2, 1], [2, 4, 2, 1]))]
    record = written(making, "ranking", rows)["ranking"]["records"][0]
    assert record["responses"] == ["b", "a", "c", "d"]
    assert record["ranks"] == [1, 2, 2, 4]
    assert record["scores"] == [4.0, 2.0, 2.0, 1.0]


def test_the_released_layout_holds_ratings_as_strings_and_their_mean_as_a_number(making):
    records = written(making, "ultrafeedback")["ultrafeedback"]["records"]
    good = records[0]["completions"][1]
    assert good["annotations"]["honesty"] == {"Rating": "5", "Rationale": "It is a 5."}
    assert good["annotations"]["truthfulness"]["Type"] == ["1", "3"]
    assert good["annotations"]["helpfulness"] is None
    assert good["fine-grained_score"] == 4.5
    last = records[2]["completions"][2]
    assert last["annotations"]["honesty"]["Rating"] == "N/A"
    assert last["fine-grained_score"] == 2.0
    assert records[2]["completions"][1]["response"] is None


def test_the_released_layout_has_the_critique_where_there_is_one(making):
    critique = making.verdict("strict", "critique", [8, 10]).replace(rubric="critique")
    reference = Reference(correct=("Yes.",), incorrect=("No.",))
    row = making.row(0, ["a", "b"], [critique], reference=reference, metadata={"source": "flan"})
    made = written(making, "ultrafeedback", [row])["ultrafeedback"]["records"][0]
    assert [c["overall_score"] for c in made["completions"]] == [8.0, 10.0]
    assert made["completions"][0]["critique"] == "It is a 8."
    assert (made["source"], made["correct_answers"]) == ("flan", ["Yes."])
    assert made["completions"][0]["annotations"]["honesty"] is None


def test_kto_labels_by_its_threshold_and_needs_one_generation_only(making):
    kto = written(making, "kto")["kto"]
    assert [kto["outcomes"][at] for at in (1, 4, 6)] == [
        "tie",
        "out",
        f"dropped {TOO_FEW_GENERATIONS}",
    ]
    labels = [(r["completion"][0]["content"], r["label"]) for r in kto["records"]]
    assert labels[:4] == [
        ("A bad one.", False),
        ("A good one.", True),
        ("Best.", True),
        ("Worst.", False),
    ]


def test_a_score_at_the_threshold_makes_no_record(making):
    rows = [making.row(0, ["a", "b"], making.jury([3, 4], [3, 4]))]
    assert [r["label"] for r in written(making, "kto", rows)["kto"]["records"]] == [True]
    high = written(making, "kto", rows, {"threshold": 3.5})["kto"]["records"]
    assert [r["label"] for r in high] == [False, True]


def test_the_threshold_can_be_given_as_the_main_option(making):
    rows = [making.row(0, ["a", "b"], making.jury([3, 4], [3, 4]))]
    records = written(making, "kto", rows, {"kto": 4.5})["kto"]["records"]
    assert [r["label"] for r in records] == [False, False]


def test_sft_takes_the_best_or_the_only_answer_or_the_first_where_nobody_judges(making):
    sft = written(making, "sft")["sft"]
    answers = {record["id"]: record["messages"][-1]["content"] for record in sft["records"]}
    assert answers["row-0"] == "A good one."
    assert answers["row-1"] == "One."
    assert answers["row-4"] == "Alone."
    assert sft["outcomes"][5] == f"dropped {TOO_FEW_VERDICTS}"
    unjudged = written(making, "sft", judges=(), aspects=())["sft"]["records"]
    assert unjudged[0]["messages"][-1]["content"] == "A bad one."


def test_sft_has_no_prompt_column_that_would_stop_its_trainer(making):
    assert "prompt" not in written(making, "sft")["sft"]["records"][0]


@pytest.mark.parametrize("name", ["trl", "kto", "ranking"])
def test_what_is_made_of_scores_cannot_be_made_without_judges(making, name):
    made = written(making, name, judges=(), aspects=())[name]
    assert made["outcomes"][0] == f"dropped {NOT_JUDGED}"


def test_an_option_that_a_format_does_not_have_is_an_error(making):
    with pytest.raises(RecipeError, match="threshold"):
        making.plugin("formats", "trl", making.context(), threshold=3)


def test_distilabel_holds_verdicts_on_single_texts_as_one(making):
    each = [
        making.verdict("strict", "honesty", ratings).replace(
            shows="each", order=(place,), readings=readings
        )
        for place, ratings in enumerate(([2, None], [None, 5]))
        for readings in [
            tuple(
                given if index == place else given.replace(status="not-shown", rating=None)
                for index, given in enumerate(making.verdict("strict", "honesty", ratings).readings)
            )
        ]
    ]
    rows = [making.row(0, ["One.", "Two."], each)]
    (record,) = written(making, "distilabel", rows, **PLAIN)["distilabel"]["records"]
    assert record["ratings"] == [2.0, 5.0]
    assert record["rationales"] == ["It is a 2.", "It is a 5."]


def test_ultrafeedback_says_what_each_completion_was_told(making):
    row = making.row(0, ["One.", "Two."], [])
    told = row.generations[0].replace(principle="honesty", system="Say what you know.")
    rows = [row.replace(generations=(told, row.generations[1]))]
    (record,) = written(making, "ultrafeedback", rows)["ultrafeedback"]["records"]
    first, second = record["completions"]
    assert (first["principle"], first["custom_system_prompt"]) == ("honesty", "Say what you know.")
    assert (second["principle"], second["custom_system_prompt"]) == (None, None)
