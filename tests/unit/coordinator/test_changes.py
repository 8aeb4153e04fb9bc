"""What a changed recipe is told to have changed."""

from hypothesis import given
from hypothesis import strategies as st

from prefmill.coordinator.domain.changes import changes


def test_a_change_is_told_at_its_place() -> None:
    old = {"seed": 3, "judges": {"a": {}}, "pool": {"judges": "mean"}}
    new = {"seed": 4, "judges": {"b": {}}, "pool": {"judges": "mean"}}
    assert changes(old, new) == ["seed: 3 → 4", "judges.a: removed", "judges.b: added"]


def test_of_long_values_what_differs_is_shown() -> None:
    old, new = ["x" * 70 + "old" + "y" * 70], ["x" * 70 + "new" + "y" * 70]
    (line,) = changes({"transforms": old}, {"transforms": new})
    before, after = line.removeprefix("transforms: ").split(" → ")
    assert "xold" in before
    assert "xnew" in after
    assert before.startswith("…")
    assert before.endswith("…")


@given(st.text(max_size=200), st.text(max_size=200))
def test_both_sides_of_a_change_are_shown_unlike_and_short(old: str, new: str) -> None:
    lines = changes({"a": old}, {"a": new})
    assert len(lines) == (old != new)
    for line in lines:
        assert len(line) <= len("a:  → ") + 120
        before, _, after = line.removeprefix("a: ").partition(" → ")
        assert before != after or "→" in old + new
