"""What an export is made from: the recipe's output, with what a request says instead."""

import pytest

from prefmill.cli.commands.export import _Asked
from prefmill.contracts.api import ExportRequest
from prefmill.contracts.recipe import Recipe
from prefmill.sink.job import output_of

RECIPE = Recipe.model_validate(
    {
        "name": "tiny",
        "source": {"inline": ["one"]},
        "output": {
            "formats": ["trl", "kto"],
            "columns": {"trl": ["prompt", "chosen", "rejected"]},
            "pairing": {"choose": "all", "margin": 2, "seed": 9},
            "shard_rows": 7,
            "hub": "me/tiny",
        },
    }
)


def sent(**asked):
    """The output that the command asks for, as it comes out of the ledger."""
    given = {"formats": (), "pool": None, "pairing": {}, "against": (), **asked}
    request = _Asked("tiny", output=None, away=False, **given).request()
    stored = request.model_dump(mode="json", exclude_unset=True)
    return output_of(RECIPE, ExportRequest.model_validate(stored))


def test_nothing_asked_for_is_the_recipes_output():
    assert sent() == RECIPE.output


def test_a_pairing_asked_for_changes_nothing_else_of_the_output():
    made = sent(pairing={"ties": "keep"})
    assert made.pairing == RECIPE.output.pairing.model_copy(update={"ties": "keep"})
    as_before = made.model_copy(update={"pairing": RECIPE.output.pairing})
    assert as_before == RECIPE.output.in_its_folder()
    assert as_before.columns == RECIPE.output.columns


@pytest.mark.parametrize(
    "asked",
    [{"formats": ("kto",)}, {"pairing": {"margin": 1.0}}, {"pool": {"judges": "median"}}],
)
def test_a_dataset_that_is_not_the_recipes_does_not_replace_it_in_other_places(asked):
    assert sent().destinations() == {"hub": "me/tiny"}
    assert sent(**asked).destinations() == {}


def test_an_output_asked_for_as_a_whole_names_its_own_places():
    request = ExportRequest.model_validate({"output": {"formats": ["kto"], "hub": "me/kto"}})
    assert output_of(RECIPE, request).destinations() == {"hub": "me/kto"}


def test_a_margin_can_be_taken_back_to_none():
    assert sent(pairing={"margin": 0.0}).pairing.margin == 0
    assert sent(pairing={"margin": 0.0}).pairing.choose == "all"


def test_formats_and_pairing_can_be_asked_for_together():
    made = sent(formats=("h4",), pairing={"choose": "best-worst"})
    assert (made.formats, made.shard_rows, made.columns) == (({"h4": None},), 7, None)
    assert (made.pairing.choose, made.pairing.margin) == ("best-worst", 2)
