"""Forms that put something between, before or after the blocks, or reorder them."""

from collections.abc import Sequence
from typing import Final

from prefmill.engines.simulated.malformed.form import Malformed, malformed
from prefmill.engines.simulated.verdicts import Verdict, block, block_lines, write_verdicts


@malformed("recovered")
def blank_line(verdicts: Sequence[Verdict]) -> str:
    """A blank line below each heading."""
    return write_verdicts(verdicts).replace("\nRating", "\n\nRating").replace("\nType", "\n\nType")


@malformed("recovered")
def spread_out(verdicts: Sequence[Verdict]) -> str:
    """A blank line after every line."""
    return "\n\n".join([line for verdict in verdicts for line in block_lines(verdict)])


@malformed("recovered")
def preamble(verdicts: Sequence[Verdict]) -> str:
    """A friendly sentence first."""
    return f"Sure, here is my assessment of the texts.\n\n{write_verdicts(verdicts)}"


@malformed("recovered")
def closing(verdicts: Sequence[Verdict]) -> str:
    """A summary below a rule at the end."""
    return f"{write_verdicts(verdicts)}\n\n---\n\nI hope this assessment helps."


@malformed("recovered")
def think(verdicts: Sequence[Verdict]) -> str:
    """Thoughts first, in tags."""
    return f"<think>\nI compare them one by one.\n\nDone.\n</think>\n\n{write_verdicts(verdicts)}"


@malformed("recovered")
def think_draft(verdicts: Sequence[Verdict]) -> str:
    """Thoughts that hold a draft with other ratings; the answer stands after them."""
    drafts = [Verdict(each.number, 6 - each.rating, "A guess.") for each in verdicts]
    return f"<think>\n{write_verdicts(drafts)}\n</think>\n\n{write_verdicts(verdicts)}"


@malformed("recovered", needs="several")
def rule(verdicts: Sequence[Verdict]) -> str:
    """A horizontal rule between the blocks."""
    return "\n\n---\n\n".join([block(verdict) for verdict in verdicts])


@malformed("recovered")
def second_paragraph(verdicts: Sequence[Verdict]) -> str:
    """A second paragraph in every rationale that ends a block."""
    return "\n\n".join([f"{block(each)}\n\nThat weighs most here." for each in verdicts])


@malformed("recovered")
def crlf(verdicts: Sequence[Verdict]) -> str:
    """Lines that end in carriage return and line feed."""
    return write_verdicts(verdicts).replace("\n", "\r\n")


@malformed("recovered", needs="several")
def single_newlines(verdicts: Sequence[Verdict]) -> str:
    """No blank line between the blocks."""
    return "\n".join([block(verdict) for verdict in verdicts])


@malformed("recovered", needs="several")
def whitespace_lines(verdicts: Sequence[Verdict]) -> str:
    """Lines of spaces where blank ones belong."""
    return "\n   \n".join([block(verdict) for verdict in verdicts])


@malformed("recovered", needs="several")
def swapped(verdicts: Sequence[Verdict]) -> str:
    """The last text first; each block is labelled rightly."""
    return write_verdicts([verdicts[-1], *verdicts[:-1]])


@malformed("recovered")
def code_fence(verdicts: Sequence[Verdict]) -> str:
    """The whole answer in a code block."""
    return f"```\n{write_verdicts(verdicts)}\n```"


@malformed("lost", touches="first", needs="several")
def skipped_text(verdicts: Sequence[Verdict]) -> str:
    """The first text is passed over."""
    return write_verdicts(verdicts[1:])


@malformed("lost", touches="first")
def contradicted(verdicts: Sequence[Verdict]) -> str:
    """The first text is rated once more at the end, differently."""
    first = verdicts[0]
    again = Verdict(first.number, first.rating % 5 + 1, "On reflection.", first.types, "So.")
    return write_verdicts([*verdicts, again])


@malformed("lost")
def prose(verdicts: Sequence[Verdict]) -> str:
    """No layout at all."""
    return f"I have read the {len(verdicts)} texts with care, and each has its strong points."


SHAPES: Final[tuple[Malformed, ...]] = (
    blank_line,
    spread_out,
    preamble,
    closing,
    think,
    think_draft,
    rule,
    second_paragraph,
    crlf,
    single_newlines,
    whitespace_lines,
    swapped,
    code_fence,
    skipped_text,
    contradicted,
    prose,
)
