"""Malformed verdicts: every way in which judges were seen to leave the layout they were asked for.

Comes in: what a judge means (`Verdict`s). Goes out: how it says it, and what a reader may make of
it. Never does: chance, or the engine; tests of readers use these forms as they are.
"""

from typing import Final

from prefmill.engines.simulated.malformed.form import Malformed, Outcome
from prefmill.engines.simulated.malformed.labels import LABELS
from prefmill.engines.simulated.malformed.ratings import RATINGS
from prefmill.engines.simulated.malformed.shapes import SHAPES

MALFORMED: Final[dict[str, Malformed]] = {form.name: form for form in SHAPES + LABELS + RATINGS}
"""All forms by name, as `malformed:NAME` asks for them."""

INJECTED: Final = tuple([form for form in MALFORMED.values() if form.outcome != "other"])
"""Those that plain `malformed` picks from: none of them can be read as a wrong rating."""

__all__ = ["INJECTED", "MALFORMED", "Malformed", "Outcome"]
