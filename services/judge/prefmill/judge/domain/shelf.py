"""The rubrics in use, made once for each set of options."""

from collections import OrderedDict
from typing import Final

from prefmill.contracts.work import JudgeBatch
from prefmill.plugins.digest import digest_of
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.files import plugin_files
from prefmill.plugins.registry import load, options_of
from prefmill.plugins.rubric import Rubric

_MOST: Final = 64


class Shelf:
    """Finds a batch's rubric; keeps the last few made."""

    def __init__(self, *, plugin_files: bool = False) -> None:
        self._loads_files = plugin_files
        self._rubrics: OrderedDict[bytes, Rubric] = OrderedDict()

    def rubric_of(self, batch: JudgeBatch) -> Rubric:
        """RecipeError if this judge has no such rubric, or it refuses the options."""
        key = digest_of(batch.rubric, batch.rubric_options, batch.plugins)
        if key not in self._rubrics:
            self._rubrics[key] = self._made(batch)
            if len(self._rubrics) > _MOST:
                self._rubrics.popitem(last=False)
        self._rubrics.move_to_end(key)
        return self._rubrics[key]

    def _made(self, batch: JudgeBatch) -> Rubric:
        if batch.plugins and not self._loads_files:
            raise RecipeError(
                f"the rubric {batch.rubric!r} is in a file, and this judge loads none"
            )
        with plugin_files(batch.plugins):
            plugin = load("rubrics", batch.rubric)
            return plugin(options_of(plugin, batch.rubric_options, batch.rubric))
