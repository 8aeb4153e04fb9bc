"""Rows are changed or left out, before generation and after pooling."""

import math
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefmill.contracts.chat import Failure, Message
from prefmill.contracts.recipe import Recipe
from prefmill.contracts.rows import FinishedRow, Generation, Prompt
from prefmill.coordinator.domain.plan import source_digest
from prefmill.coordinator.domain.resolved import resolve
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.format import ScoredRow
from prefmill.plugins.records import prompt_record, prompt_with, scored_record, scored_with
from prefmill.plugins.transform import Chain, transforms_of


def prompt(text="Hello?", name="0", **more):
    system = more.pop("system", None)
    messages = [Message(role="user", content=text)]
    if system:
        messages.insert(0, Message(role="system", content=system))
    return Prompt(id=name, messages=tuple(messages), **more)


def scored(scores, **more):
    texts = [f"Answer {index}." for index in range(len(scores))]
    generations = tuple(Generation(model=f"m{i}", text=text) for i, text in enumerate(texts))
    row = FinishedRow(position=0, prompt=prompt(), generations=generations)
    return ScoredRow(row, tuple(scores), **more)


def chain(*specs, where="transforms"):
    return Chain(transforms_of(specs, where))


def after(*specs):
    return chain(*specs, where="output.transforms")


def stays(expression, row):
    return chain({"filter": expression}).prompt(row).failure is None


@pytest.mark.parametrize(
    ("expression", "kept"),
    [
        ("instruction|length > 3", True),
        ("instruction.startswith('Hel') and not system", True),
        ("metadata.source in ['flan', 'sharegpt']", True),
        ("metadata['n'] * 2 == 14", True),
        ("metadata.get('absent') is none", True),
        ("metadata.absent is defined", False),
        ("instruction|lower == 'hello'", False),
        ("history|length", False),
        ("'a' if metadata.n > 3 else ''", True),
    ],
)
def test_a_filter_keeps_the_rows_of_which_its_expression_is_true(expression, kept):
    assert stays(expression, prompt(metadata={"source": "flan", "n": 7})) is kept


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("instructon|length", "no field 'instructon'; did you mean 'instruction'?"),
        ("instruction|lenght > 1", "No filter named 'lenght'"),
        ("instruction >", "transforms.0.filter: "),
        ("instruction }} {% set x = 1 %}", "transforms.0.filter: "),
        ("margin > 1", "'margin', before there are scores; put it into `output.transforms`"),
        ("range(3)", "no field 'range'"),
        ("cycler.__init__.__globals__", "no field 'cycler'"),
        ("instruction|replace('a', 'b') == ''", "No filter named 'replace'"),
        ("x" * 3_000, "3000 characters, at most 2000"),
        ("(" * 1_500 + ")" * 400, "transforms.0.filter: "),
        ("", "at least 1 character"),
    ],
)
def test_an_expression_that_is_none_is_refused_with_the_recipe(expression, said):
    with pytest.raises(RecipeError) as caught:
        chain({"filter": expression})
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "expression",
    [
        "instruction.__class__.__mro__[1].__subclasses__()",
        "instruction.format.__globals__",
        "metadata.items.__self__",
        "instruction.join(['a'] )",
        "instruction.ljust(10000000000)",
        "instruction * 10000000000",
        "2 ** 9999999999",
        "'%0999999999d' % 1",
        "metadata.n.bit_length()",
        "instruction|map(attribute='__class__')|first",
    ],
)
def test_an_expression_reaches_no_python_and_fills_no_memory(expression):
    failure = chain({"filter": expression}).prompt(prompt(metadata={"n": 1})).failure
    assert failure is not None
    assert failure.reason == "transform-failed"
    assert failure.detail.startswith("transforms.0 (filter): ")


def test_columns_are_kept_renamed_and_never_collide():
    row = prompt(metadata={"a": 1, "b": 2, "c": 3})
    made = chain({"keep": ["c", "a", "absent"]}, {"rename": {"a": "x"}}).prompt(row)
    assert made.metadata == {"c": 3, "x": 1}
    assert made.messages == row.messages
    clash = chain({"rename": {"a": "b"}}).prompt(row).failure
    assert clash is not None
    assert "two columns would have the same name" in clash.detail


def test_of_rows_that_are_alike_only_the_first_stays():
    rows = [prompt("One"), prompt("one "), prompt("One"), prompt("Two")]
    exact, loose = chain({"dedup": None}), chain({"dedup": None, "exact": False})
    assert [exact.prompt(row).failure is None for row in rows] == [True, True, False, True]
    assert [loose.prompt(row).failure is None for row in rows] == [True, False, False, True]
    by = chain({"dedup": ["instruction", "metadata.source"]})
    sources = [prompt(metadata={"source": each}) for each in ("a", "b", "a")]
    reasons = [(made := by.prompt(row)).failure and made.failure.reason for row in sources]
    assert reasons == [None, None, "by-dedup"]


def test_dedup_names_a_field_that_rows_do_not_have():
    with pytest.raises(RecipeError, match=r"transforms\.0: dedup: .*no field 'promt'"):
        chain({"dedup": "promt"})


@given(st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=40), st.floats(0.01, 1))
def test_a_sample_depends_on_seed_and_id_alone_and_grows_with_its_share(names, share):
    rows = [prompt(name=name) for name in names]
    kept = [
        {row.id for row in order if chain({"sample": part}).prompt(row).failure is None}
        for part in (share / 2, share)
        for order in (rows, rows[::-1])
    ]
    assert kept[0] == kept[1] <= kept[2] == kept[3]


def test_a_long_instruction_is_cut_and_the_rest_of_the_conversation_stays():
    made = chain({"truncate": 3}).prompt(prompt("Hello?", system="Be brief."))
    assert [message.content for message in made.messages] == ["Be brief.", "Hel"]


def test_a_row_that_could_not_be_loaded_passes_by():
    failed = Prompt(id="0", failure=Failure(reason="bad-row"))
    assert chain({"filter": "instruction|length > 3"}).prompt(failed) is failed


def test_a_row_whose_expression_cannot_be_told_fails_alone():
    rows = [prompt(metadata={"n": 1}), prompt(metadata={}), prompt(metadata={"n": 0})]
    made = chain({"filter": "metadata.n > 0"})
    reasons = [(row := made.prompt(each)).failure and row.failure.reason for each in rows]
    assert reasons == [None, "transform-failed", "by-filter"]


def test_transforms_work_in_the_order_written():
    first = chain({"truncate": 2}, {"filter": "instruction|length > 3"}).prompt(prompt())
    second = chain({"filter": "instruction|length > 3"}, {"truncate": 2}).prompt(prompt())
    assert first.failure == Failure(reason="by-filter", detail="transforms.1")
    assert second.failure is None


def test_after_pooling_a_filter_sees_scores():
    keeps = after({"filter": "margin >= 2 and best == 5 and models[0] == 'm0'"})
    assert keeps.scored(scored([5, 3])).left_out is None
    by_it = Failure(reason="by-output-filter", detail="output.transforms.0")
    assert keeps.scored(scored([5, 4])).left_out == by_it
    assert keeps.scored(scored([None, None])).left_out == by_it, "nothing compares with NaN"


def test_a_row_on_which_a_transform_fails_after_pooling_says_which_and_why():
    made = after({"filter": "true"}, {"filter": "instruction > 3"}).scored(scored([5, 4]))
    assert made.left_out.reason == "output-transform-failed"
    assert made.left_out.detail.startswith("output.transforms.1 (filter): TypeError: '>' not supp")


def test_what_is_not_finished_is_shown_to_no_transform():
    row = scored([5, 3])
    unfinished = ScoredRow(row.row.replace(open_cells=1), row.scores)
    assert after({"filter": "margin > 9"}).scored(unfinished) is unfinished


def test_a_record_that_is_not_changed_gives_the_same_row():
    one, other = prompt(system="Be brief.", metadata={"a": [1]}), scored([None, None])
    assert prompt_with(one, prompt_record(one)) is one
    assert scored_with(other, scored_record(other)) is other
    assert scored_with(other, {}) is other
    assert math.isnan(scored_record(other)["margin"])


def test_scores_and_texts_may_be_changed_after_pooling():
    row = scored([5, 3])
    made = scored_with(row, {"scores": [1, None], "generations": ["A", None], "system": "New."})
    assert made.scores == (1.0, None)
    assert [generation.text for generation in made.row.generations] == ["A", None]
    assert [message.role for message in made.row.prompt.messages] == ["system", "user"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": "x"}, "'id' cannot be changed here"),
        ({"margin": 1}, "'margin' cannot be changed here"),
        ({"scores": [1]}, "1 scores for 2 generations"),
        ({"scores": [1, "2"]}, "'2' is no score"),
        ({"scores": [1, math.nan]}, "nan is no score"),
        ({"scores": 3}, "no list of numbers"),
        ({"generations": ["a", 3]}, "3 is no generation"),
        ({"generations": []}, "0 generations instead of 2"),
        ({"instruction": " "}, "instruction is no text, or empty"),
        ({"metadata": {"a": object()}}, "metadata"),
        ({"mine": 1}, "no field 'mine'"),
    ],
)
def test_a_change_that_makes_no_row_is_told(change, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        scored_with(scored([5, 3]), change)


def recipe(*transforms, **source):
    prompts = ["One", "Two", "One", "Three", "Two", "Four"]
    return Recipe.model_validate(
        {
            "name": "t",
            "source": {"inline": prompts, **source},
            "transforms": transforms,
            "models": {"a": {"engine": "simulated", "model": "a"}},
        }
    )


def test_a_run_that_goes_on_sees_the_rows_that_a_whole_one_sees():
    resolved = resolve(recipe("dedup", {"filter": "instruction != 'Four'"}))
    whole = list(resolved.prompts())
    assert [row.id for row in whole] == list("012345"), "rows keep their positions"
    assert [row.failure.reason if row.failure else "" for row in whole] == [
        "", "", "by-dedup", "", "by-dedup", "by-filter",
    ]  # fmt: skip
    for skip in range(7):
        assert list(resolved.prompts(skip)) == whole[skip:]


def test_other_transforms_are_another_source():
    digests = [
        source_digest(resolve(made))
        for made in (
            recipe(),
            recipe("dedup"),
            recipe({"dedup": None, "exact": False}),
            recipe("dedup", {"truncate": 2}),
        )
    ]
    assert all(one != other for one, other in pairwise(digests))
    assert source_digest(resolve(recipe("dedup", rows=2))) == digests[1]


def test_a_wrong_transform_is_named_with_its_place():
    with pytest.raises(RecipeError) as caught:
        resolve(recipe("dedupe", {"filter": "margin > 1"}, {"keep": ["a"], "drop": ["b"]}))
    said = "\n".join(caught.value.problems)
    assert "transforms.0: no transform named 'dedupe'; did you mean 'dedup'?" in said
    assert "transforms.1: filter: " in said
    assert "transforms.2.drop: unknown key" in said
