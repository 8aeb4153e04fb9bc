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
