"""What an export asks for, checked when it is asked for. Comes in: a recipe, and what is wanted of
its stored verdicts. Never: what the sink finds only while it writes."""

from prefmill.contracts.api import ExportRequest
from prefmill.contracts.recipe import Recipe
from prefmill.coordinator.domain.resolved import refuse_unjudged
from prefmill.ledger.desired import Desired
from prefmill.plugins.files import plugin_files
from prefmill.plugins.format import FormatContext
from prefmill.plugins.outputs import formats_of, with_formats
from prefmill.plugins.pool import pools_of


def check_export(recipe: Recipe, desired: Desired, asked: ExportRequest) -> list[str]:
    """The configs that it writes. RecipeError for a format, a pool or an aspect that is not there,
    or for their options."""
    output, pool = asked.output or recipe.output, asked.pool or recipe.pool
    output = with_formats(output, asked.formats) if asked.formats else output
    context = FormatContext(desired.judges, desired.aspects, output.pairing, recipe.seed)
    first = sum(len(rubric.aspects) for rubric in desired.rubrics[:1])
    with plugin_files(recipe.plugins):
        formats = formats_of(output, context)
        pools_of(pool, desired.judges, pool.of or desired.aspects[:first])
    refuse_unjudged(pool.of, desired.aspects)
    return [config for form in formats for config in form.configs()]
