"""`output.columns`: which columns of a format are kept, in which order, under which names."""

import pytest

from prefmill.contracts.recipe import Output
from prefmill.plugins.outputs import formats_of, with_formats
from prefmill.plugins.registry import RecipeError
from prefmill.sink.destinations.shards import schemas_of


@pytest.fixture
def made(making):
    def made(formats, columns):
        context = making.context()
        output = Output.model_validate({"formats": formats, "columns": columns})
        row = making.scored(making.all_kinds()[:1], context)[0]
        return {
            config: (schema.names, form.write(row)[config].records)
            for form in formats_of(output, context)
            for config, schema in schemas_of([form]).items()
        }

    return made


def test_a_list_keeps_and_orders_columns(made):
    names, records = made(["trl"], ["rejected", "chosen"])["trl"]
    assert names == ["rejected", "chosen"]
    assert list(records[0]) == names
    assert records[0]["chosen"] == [{"role": "assistant", "content": "A good one."}]


def test_a_mapping_names_columns_anew(made):
    names, records = made(["preference"], {"prompt": "instruction", "chosen": "chosen"})[
        "preference"
    ]
    assert names == ["instruction", "chosen"]
    assert records[0]["instruction"] == "What is a tie?"


def test_each_format_has_its_own_choice_and_the_others_keep_all(made):
    configs = made(["raw", "trl"], {"trl": ["chosen"]})
    assert configs["trl"][0] == ["chosen"]
    assert len(configs["raw"][0]) > 5


def test_one_config_of_a_format_can_be_named_alone(made):
    configs = made(["distilabel"], {"distilabel-honesty": {"instruction": "prompt"}})
    assert configs["distilabel-honesty"][0] == ["prompt"]
    assert "poll_ratings" in configs["distilabel-truthfulness"][0]


def test_a_column_of_the_source_comes_back_as_text(made):
    names, records = made(["trl"], ["metadata.chosen", "metadata.größe", "metadata.none"])["trl"]
    assert names == ["chosen", "größe", "none"]
    assert records[0] == {"chosen": "of the source", "größe": "[1, null]", "none": None}


def test_names_are_kept_by_arrow_with_their_types(making):
    output = Output.model_validate({"formats": ["preference"], "columns": {"chosen_rating": "x"}})
    schema = schemas_of(formats_of(output, making.context()))["preference"]
    assert str(schema.field("x").type) == "double"


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (["promt"], "'trl' has no column named 'promt'; did you mean 'prompt'?"),
        ({"tlr": ["prompt"]}, "output.columns.tlr: no such format.*did you mean 'trl'"),
        ({"trl": []}, "output.columns.trl: no column is left"),
        ({"chosen": "x", "rejected": "x"}, "2 columns of 'trl' would be named 'x'"),
    ],
)
def test_a_wrong_choice_says_what_where_and_the_nearest(made, columns, says):
    with pytest.raises(RecipeError, match=says):
        made(["trl"], columns)


def test_another_format_of_an_export_leaves_the_columns_of_those_it_replaces():
    output = Output.model_validate(
        {"formats": ["raw", "trl"], "columns": {"trl": ["chosen"], "distilabel-honesty": ["id"]}}
    )
    assert with_formats(output, ({"kto": None},)).columns is None
    kept = with_formats(output, ({"trl": None}, {"kto": None}))
    assert (kept.columns, kept.formats) == ({"trl": ("chosen",)}, ({"trl": None}, {"kto": None}))
    assert with_formats(output, ({"distilabel": None},)).columns == {"distilabel-honesty": ("id",)}
    every = output.model_copy(update={"columns": ("id",)})
    assert with_formats(every, ({"kto": None},)).columns == ("id",)


@pytest.mark.parametrize(
    ("formats", "says"),
    [
        (
            ["raw", "trl", {"trl": "implicit"}],
            r"output\.formats\.2: it writes the config 'trl', as",
        ),
        ([], r"output\.formats: name at least one"),
    ],
)
def test_formats_that_cannot_be_written_beside_each_other_are_found_before_a_call(
    making, formats, says
):
    with pytest.raises(RecipeError, match=says):
        formats_of(Output.model_validate({"formats": formats}), making.context())
