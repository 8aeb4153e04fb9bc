"""Forms that dress up or misspell the labels."""

from collections.abc import Callable, Sequence
from typing import Final

from prefmill.engines.simulated.malformed.form import Malformed, malformed
from prefmill.engines.simulated.verdicts import Verdict, block_lines, body, heading, write_verdicts


def _dressed(verdicts: Sequence[Verdict], line: Callable[[str, str], str]) -> str:
    blocks = [
        "\n".join([heading(verdict.number), *[line(*part) for part in body(verdict)]])
        for verdict in verdicts
    ]
    return "\n\n".join(blocks)


@malformed("recovered")
def bold(verdicts: Sequence[Verdict]) -> str:
    """`**Rating:** 4`."""
    return _dressed(verdicts, lambda label, said: f"**{label}:** {said}")


@malformed("recovered")
def bold_word(verdicts: Sequence[Verdict]) -> str:
    """`**Rating**: 4`."""
    return _dressed(verdicts, lambda label, said: f"**{label}**: {said}")


@malformed("recovered")
def bulleted(verdicts: Sequence[Verdict]) -> str:
    """`- Rating: 4`."""
    return _dressed(verdicts, lambda label, said: f"- {label}: {said}")


@malformed("recovered")
def bulleted_bold(verdicts: Sequence[Verdict]) -> str:
    """`* **Rating**: 4`."""
    return _dressed(verdicts, lambda label, said: f"* **{label}**: {said}")


@malformed("recovered")
def no_space(verdicts: Sequence[Verdict]) -> str:
    """`Rating:4`."""
    return _dressed(verdicts, lambda label, said: f"{label}:{said}")


@malformed("recovered")
def space_before_colon(verdicts: Sequence[Verdict]) -> str:
    """`Rating : 4`."""
    return _dressed(verdicts, lambda label, said: f"{label} : {said}")


@malformed("recovered")
def full_width_colon(verdicts: Sequence[Verdict]) -> str:
    """`Rating：4`, as judges write that were trained on Chinese."""
    return _dressed(verdicts, lambda label, said: f"{label}\N{FULLWIDTH COLON}{said}")


@malformed("recovered")
def lower_case(verdicts: Sequence[Verdict]) -> str:
    """`rating: 4` under `#### output for text 1`."""
    dressed = _dressed(verdicts, lambda label, said: f"{label.lower()}: {said}")
    return dressed.replace("#### Output for Text", "#### output for text")


@malformed("recovered")
def indented(verdicts: Sequence[Verdict]) -> str:
    """Everything four spaces in."""
    return "\n\n".join(["    " + "\n    ".join(block_lines(verdict)) for verdict in verdicts])


@malformed("recovered")
def heading_level(verdicts: Sequence[Verdict]) -> str:
    """Two hashes in place of four."""
    return write_verdicts(verdicts).replace("#### Output", "## Output")


@malformed("recovered", touches="first")
def missing_rationale(verdicts: Sequence[Verdict]) -> str:
    """A rating, and nothing below it."""
    first = "\n".join(block_lines(verdicts[0])[:-1])
    return f"{first}\n\n{write_verdicts(verdicts[1:])}".rstrip()


LABELS: Final[tuple[Malformed, ...]] = (
    bold,
    bold_word,
    bulleted,
    bulleted_bold,
    no_space,
    space_before_colon,
    full_width_colon,
    lower_case,
    indented,
    heading_level,
    missing_rationale,
)
