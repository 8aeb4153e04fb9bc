"""The rubrics in use, made once for each set of options."""

from collections import OrderedDict
from typing import Final

from prefmill.contracts.work import JudgeBatch
from prefmill.plugins.digest import digest_of
from prefmill.plugins.registry import load, options_of
from prefmill.plugins.rubric import Rubric

_MOST: Final = 64


class Shelf:
    """Finds a batch's rubric; keeps the last few made."""

    def __init__(self) -> None:
        self._rubrics: OrderedDict[bytes, Rubric] = OrderedDict()

    def rubric_of(self, batch: JudgeBatch) -> Rubric:
        """RecipeError if this judge has no such rubric, or it refuses the options."""
        key = digest_of(batch.rubric, batch.rubric_options)
        if key not in self._rubrics:
            plugin = load("rubrics", batch.rubric)
            self._rubrics[key] = plugin(options_of(plugin, batch.rubric_options, batch.rubric))
            if len(self._rubrics) > _MOST:
                self._rubrics.popitem(last=False)
        self._rubrics.move_to_end(key)
        return self._rubrics[key]
