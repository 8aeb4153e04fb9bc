"""YAML of people is read as ever; what no person writes is refused at its place."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from prefmill.plugins.shallow import DEPTH, read_yaml

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.booleans())
def test_what_is_not_deep_is_read_as_pyyaml_reads_it(value: object, flow: bool) -> None:
    text = yaml.safe_dump(value, default_flow_style=flow)
    assert read_yaml(text) == yaml.safe_load(text)


def test_brackets_within_texts_have_no_depth() -> None:
    text = "[" * 900
    assert read_yaml(f"a: '{text}'\nb: |\n  {text}\n# {text}\n") == {"a": text, "b": f"{text}\n"}


@pytest.mark.parametrize("begin", ["[", "{", "- ", "? ", "[{a: "])
def test_text_of_collections_within_one_another_is_refused_where_it_is_too_deep(
    begin: str,
) -> None:
    with pytest.raises(yaml.MarkedYAMLError, match=f"more than {DEPTH} deep") as caught:
        read_yaml("a:\n" + begin * (64_000 // len(begin)))
    mark = caught.value.problem_mark
    assert mark is not None
    assert mark.line == 1
    assert mark.column <= DEPTH * len(begin), "nothing behind it was read"


def test_collections_side_by_side_are_not_within_one_another() -> None:
    assert read_yaml("[" + "[], " * 1000 + "[]]") == [[]] * 1001
    assert len(read_yaml("a:\n- b:\n  - c\n" + "- d\n" * 1000)["a"]) == 1001


TENFOLD = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
MERGED = "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 10))


@pytest.mark.parametrize(
    ("text", "line"), [("a0: &a0 [x]\n" + TENFOLD, 6), ("a0: &a0 {x: y}\n" + MERGED, 5)]
)
def test_aliases_of_aliases_are_refused_where_they_repeat_too_much(text: str, line: int) -> None:
    with pytest.raises(yaml.MarkedYAMLError, match="aliases repeat more than") as caught:
        read_yaml(text)
    assert caught.value.problem_mark is not None
    assert caught.value.problem_mark.line == line, "nothing behind it was read"


def test_a_long_text_may_be_repeated_but_not_without_end() -> None:
    text = f"a: &a {'x' * 10_000}\nb: [{{}}]\n"
    some = read_yaml(text.format(", ".join(["*a"] * 40)))
    assert len(some["b"]) == 40
    with pytest.raises(yaml.MarkedYAMLError, match="aliases repeat more than"):
        read_yaml(text.format(", ".join(["*a"] * 60)))


def test_a_value_that_stands_within_itself_is_refused() -> None:
    with pytest.raises(yaml.MarkedYAMLError, match=r"\*a stands within what it repeats"):
        read_yaml("a: &a {b: [*a]}")


@pytest.mark.parametrize(
    "value",
    [
        "2024-13-01",
        "!!timestamp soon",
        "!!bool maybe",
        "!!int ''",
        "!!float x",
        "9" * 5000,
    ],
)
def test_a_date_or_number_that_is_none_is_refused_at_its_place(value: str) -> None:
    with pytest.raises(yaml.MarkedYAMLError, match=r"no (timestamp|bool|int|float) ") as caught:
        read_yaml(f"a: 1\nb:\n- {value}\n")
    assert caught.value.problem_mark is not None
    assert caught.value.problem_mark.line == 2
