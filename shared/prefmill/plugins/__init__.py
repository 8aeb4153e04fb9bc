"""Everything that varies: what a plugin of each group must offer, and how it is found by name.

Comes in: a group and what a recipe wrote. Goes out: the plugin, made from its checked options.
Never does: know a built-in plugin; they come in by the same door as any other.

The package's own names are the decorators for a recipe's own file, `@prefmill.plugins.pool` and so
on, and the protocols of those groups. Modules have the decorators' names: import from them, `from
prefmill.plugins.pool import Pool`. They are loaded first, so that none takes a decorator's place.
"""

from prefmill.plugins import marks
from prefmill.plugins.format import Format
from prefmill.plugins.pool import Pool
from prefmill.plugins.rubric import Rubric
from prefmill.plugins.transform import Transform

format = marks.format  # noqa: A001 - only ever `prefmill.plugins.format`
pool = marks.pool
rubric = marks.rubric
transform = marks.transform

__all__ = ["Format", "Pool", "Rubric", "Transform", "format", "pool", "rubric", "transform"]
