"""HelpSteer: five attributes of one text in one call, each from 0 to 4.

Source: Wang et al. 2023, arXiv 2311.09528.
"""

import re
from typing import ClassVar, Final, Literal

from pydantic import Field

from prefmill.contracts.base import Strict
from prefmill.contracts.work import Shows
from prefmill.judge.rubrics.attributes import Attributes
from prefmill.judge.rubrics.people import seen
from prefmill.judge.rubrics.prompted import Part, Prompted, built_in
from prefmill.judge.rubrics.scales import Scale
from prefmill.plugins.annotation import ShownField

ASPECT: Final = "attributes"
ATTRIBUTES: Final = ("correctness", "coherence", "complexity", "verbosity", "helpfulness")
SCALE: Final = Scale(0, 4, whole=True)
PEOPLE: Final = (
    ShownField(name="prompt", of="instruction"),
    ShownField(name="response", of="generations"),
)
"""The names of the original's columns."""
_MARK: Final = re.compile(rf"<\s*/?\s*(?:{'|'.join(ATTRIBUTES)})\s*>", re.IGNORECASE)


class HelpSteerOptions(Strict):
    """What a recipe may say of the rubric."""

    helpsteer: None = Field(default=None, description="Nothing: `helpsteer: null`, or the name.")
    rating: Literal[
        "helpfulness", "correctness", "coherence", "complexity", "verbosity", "mean"
    ] = Field(
        default="helpfulness",
        description="Which attribute is the verdict's rating, which pools and pairs go by.",
    )
    reference: bool = Field(default=False, description="Tell the judge the row's reference.")


class HelpSteer(Prompted):
    """All five stand in the reading's `attributes`; one call per text."""

    Options: ClassVar[type[Strict]] = HelpSteerOptions
    shows: Shows = "each"
    tokens_per_text = 60

    def __init__(self, options: Strict) -> None:
        assert isinstance(options, HelpSteerOptions)
        reader = Attributes(SCALE, ATTRIBUTES, options.rating)
        self._make(
            Part(
                ASPECT,
                built_in("helpsteer"),
                reader,
                told=options.reference,
                values={"attributes": ATTRIBUTES},
                mark=_MARK,
                reads=options.rating,
                people=seen(options.reference, *PEOPLE),
            )
        )
