"""Which prompts are kept for a test: a share of them, drawn by what they say.

The draw knows the prompt's own words and the seed, nothing else: not its position, its system
prompt or what was answered. So the same prompt stands on one side wherever it comes up, in every
config, and in every later export with more rows.
"""

from dataclasses import dataclass
from typing import Final, Literal

from prefmill.contracts.rows import Prompt
from prefmill.plugins.digest import seed_of

Side = Literal["train", "test"]
SIDES: Final[tuple[Side, ...]] = ("train", "test")

_ALL: Final = 1 << 63
"""Seeds lie below it."""


@dataclass(frozen=True, slots=True)
class Split:
    """`test` is the share of all prompts that are kept for a test, about: each is drawn alone."""

    test: float = 0.0
    seed: int = 0

    def side(self, prompt: Prompt) -> Side:
        """Where a prompt stands. White space and case make no difference."""
        if not self.test:
            return "train"
        said = [(m.role, _words(m.content)) for m in prompt.messages if m.role != "system"]
        return "test" if seed_of("test", self.seed, said) < self.test * _ALL else "train"


UNSPLIT: Final = Split()
"""All prompts are for training."""


def _words(text: str) -> str:
    return " ".join(text.casefold().split())
