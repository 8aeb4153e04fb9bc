"""What a row asks, as its digest stands in ledgers."""

from hypothesis import given
from hypothesis import strategies as st

from prefmill.contracts.chat import Message
from prefmill.contracts.rows import GivenResponse, Prompt
from prefmill.contracts.work import Reference
from prefmill.coordinator.domain.plan import content_of
from prefmill.plugins.digest import digest_of

TEXTS = st.text(st.characters(codec=None), max_size=20)


@given(st.lists(TEXTS, min_size=1, max_size=3), st.lists(TEXTS | st.none(), max_size=2))
def test_the_content_of_a_row_is_its_canonical_json_whatever_its_characters(
    turns: list[str], responses: list[str | None]
) -> None:
    prompt = Prompt(
        id="0",
        messages=tuple(Message(role="user", content=turn) for turn in turns),
        responses=tuple(GivenResponse(model="m", text=text) for text in responses),
    )
    said = [("user", turn) for turn in turns], None, [("m", text) for text in responses]
    assert content_of(prompt) == digest_of(*said)


def test_a_reference_is_part_of_what_a_row_asks() -> None:
    asks = Prompt(id="0", messages=(Message(role="user", content="hi"),))
    knows = asks.replace(reference=Reference(correct=("yes",)))
    turns = [("user", "hi")]
    known = {"correct": ["yes"], "incorrect": [], "note": None}
    assert content_of(knows) == digest_of(turns, known, []) != content_of(asks)
