"""Prompts by the source they come from: so many of each value, and several sources in a row."""

import json
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefmill.cli.recipes.load import load
from prefmill.contracts.rows import Prompt
from prefmill.contracts.work import Reference
from prefmill.coordinator.domain.places import refuse_places
from prefmill.coordinator.domain.resolved import resolve
from prefmill.coordinator.sources.inline import InlineOptions, InlineSource
from prefmill.coordinator.sources.jsonl import JsonlOptions, JsonlSource
from prefmill.coordinator.sources.mix import MixSource
from prefmill.coordinator.uploads import Uploads
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.registry import named_options
from prefmill.plugins.source import Source
from prefmill.sink.domain.shown import without_prompts

NAMES = ("flan", "web", "qa")


def taken(data: Sequence[Any], **options: Any) -> InlineSource:
    return InlineSource(InlineOptions.model_validate({"inline": list(data), **options}))


def row(number: int, source: str, **more: Any) -> dict[str, Any]:
    return {"prompt": f"{source} {number}", "source": source, **more}


def mix(*sources: dict[str, Any], **options: Any) -> Source:
    plugin, checked = named_options("sources", {"mix": list(sources), **options}, "source")
    assert plugin is MixSource
    return plugin(checked)


def sources_of(prompts: Sequence[Prompt]) -> list[Any]:
    return [prompt.metadata.get("source") for prompt in prompts]


@settings(max_examples=60, deadline=None)
@given(
    there=st.lists(st.sampled_from(NAMES), max_size=60),
    take=st.dictionaries(st.sampled_from(NAMES), st.integers(1, 12), min_size=1),
    skip=st.integers(0, 30),
    rows=st.none() | st.integers(1, 20),
)
def test_so_many_of_each_are_taken_in_the_order_of_the_data_and_resumed_anywhere(
    there: list[str], take: dict[str, int], skip: int, rows: int | None
) -> None:
    there += list(take)
    data = [row(number, source) for number, source in enumerate(there)]
    source = taken(data, take=take, rows=rows)
    prompts = list(source.read())
    counts: Counter[str] = Counter()
    expected: list[str] = []
    for record in data:
        counts[record["source"]] += 1
        if counts[record["source"]] <= take.get(record["source"], 0):
            expected.append(record["prompt"])
    assert [prompt.instruction for prompt in prompts] == expected[:rows]
    assert [prompt.id for prompt in prompts] == [str(n) for n in range(len(prompts))]
    assert list(source.read(skip)) == prompts[skip:]
    size = source.size()
    assert size is not None
    assert len(prompts) <= size


def test_reading_stops_when_all_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    lines = [json.dumps(row(number, "flan")) for number in range(200)] + ["{broken"]
    path.write_text("\n".join(lines))
    asked = {"jsonl": str(path), "take": {"flan": 3}}
    source = JsonlSource(JsonlOptions.model_validate(asked))
    assert [prompt.instruction for prompt in source.read()] == ["flan 0", "flan 1", "flan 2"]
    assert list(source.read(3)) == []


def test_each_value_has_columns_and_a_note_of_its_own() -> None:
    data = [row(0, "qa", good=["A"], bad=["B"]), row(0, "flan", good=["C"]), row(0, "web")]
    parts = {
        "qa": {"rows": 1, "columns": {"reference": "good", "incorrect": "bad"}},
        "flan": {"rows": 1, "columns": {"reference": "good"}, "note": "Only this."},
        "web": 1,
    }
    qa, flan, web = taken(data, take=parts, note="Nothing is known.").read()
    assert qa.reference == Reference(correct=("A",), incorrect=("B",), note="Nothing is known.")
    assert flan.reference == Reference(correct=("C",), note="Only this.")
    assert web.reference == Reference(note="Nothing is known.")
    assert sources_of([qa, flan, web]) == ["qa", "flan", "web"]


def test_another_column_may_say_where_a_row_comes_from() -> None:
    data = [{"prompt": str(number), "meta": {"set": number % 2}} for number in range(6)]
    prompts = list(taken(data, take={"1": 2}, by="meta.set").read())
    assert [prompt.instruction for prompt in prompts] == ["1", "3"]
    assert sources_of(prompts) == ["1", "1"]


def test_a_value_that_is_nowhere_is_named_once_all_is_read() -> None:
    source = taken([row(0, "flan"), row(1, "web")], take={"flann": 2, "web": 5})
    with pytest.raises(RecipeError, match=r"take: no row has 'flann' in column 'source'; did you"):
        list(source.read())
    assert len(list(islice(source.read(), 1))) == 1


def test_a_column_to_count_by_that_is_not_there_is_refused() -> None:
    with pytest.raises(RecipeError, match="no column 'subset', by which `take` counts"):
        list(taken([row(0, "flan")], take={"flan": 1}, by="subset").read())


def test_a_column_of_one_value_that_is_not_there_is_refused() -> None:
    parts = {"flan": {"rows": 1, "columns": {"reference": "godo"}}}
    with pytest.raises(RecipeError, match="source 'flan': no column 'godo'"):
        list(taken([row(0, "flan", good="A")], take=parts).read())


def test_a_mix_is_one_source_after_the_other_under_their_names() -> None:
    source = mix(
        {"name": "flan", "inline": ["a", "b", "c"], "rows": 2},
        {"inline": [row(7, "web", id="x")]},
        {"name": "qa", "inline": ["d"], "note": "A trick question."},
    )
    prompts = list(source.read())
    assert [prompt.instruction for prompt in prompts] == ["a", "b", "web 7", "d"]
    assert [prompt.id for prompt in prompts] == ["flan/0", "flan/1", "2/x", "qa/0"]
    assert sources_of(prompts) == ["flan", "flan", "web", "qa"]
    assert prompts[3].reference == Reference(note="A trick question.")
    assert source.size() == 4


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 8), min_size=1, max_size=4),
    skip=st.integers(0, 30),
    rows=st.none() | st.integers(1, 20),
)
def test_a_mix_goes_on_from_any_row(sizes: list[int], skip: int, rows: int | None) -> None:
    parts = [{"inline": [f"{n}-{i}" for i in range(size)]} for n, size in enumerate(sizes)]
    source = mix(*parts, rows=rows)
    prompts = list(source.read())
    assert len(prompts) == source.size() == min(sum(sizes), rows or sum(sizes))
    assert list(source.read(skip)) == prompts[skip:]
    assert len({prompt.id for prompt in prompts}) == len(prompts)


def test_a_mix_changes_when_one_of_its_sources_does() -> None:
    before = mix({"inline": ["a"]}, {"inline": ["b"]}).fingerprint()
    assert before == mix({"inline": ["a"]}, {"inline": ["b"]}).fingerprint()
    assert before != mix({"inline": ["a"]}, {"inline": ["c"]}).fingerprint()


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (
            [{"name": "a", "inline": ["x"]}, {"name": "a", "inline": ["y"]}],
            "two sources are named 'a'",
        ),
        ([{"name": 3, "inline": ["x"]}], r"mix\.0\.name: 3 is no name"),
        ([{"inline": ["x"]}, {"jsonnl": "a.jsonl"}], r"mix\.1: no source named 'jsonnl'; did you"),
        ([{"inline": ["x"], "row": 1}], r"mix\.0\.row: unknown key; did you mean 'rows'"),
        ([{"mix": [{"inline": ["x"]}]}], r"mix\.0: a mix holds no other mix"),
    ],
)
def test_what_is_wrong_with_a_mix_is_said_with_its_place(
    sources: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        mix(*sources)


def test_the_sources_of_a_mix_are_rooted_placed_and_refused_like_any_other(tmp_path: Path) -> None:
    """Paths of a recipe stand in its folder; one from elsewhere names uploads, and nothing here."""
    (tmp_path / "a.jsonl").write_text('{"prompt": "Hello"}\n')
    written = tmp_path / "r.yaml"
    written.write_text(
        "name: r\n"
        "source: {mix: [{name: a, jsonl: a.jsonl}, {inline: [one, sk-1234567890abcdefgh]}]}\n"
        "models: {m: {engine: simulated, model: m}}\n"
    )
    recipe = load(written).recipe
    prompts = list(resolve(recipe).source.read())
    assert [prompt.id for prompt in prompts] == ["a/0", "2/0", "2/1"]
    with pytest.raises(RecipeError, match=r"^source\.mix\.0\.jsonl: .* is a path of the coordin"):
        refuse_places(recipe)
    upload = f"upload:{'0' * 64}/a.jsonl"
    sent = recipe.model_copy(update={"source": {"mix": [{"jsonl": upload}, {"hub": "org/name"}]}})
    refuse_places(sent)
    uploads = Uploads(tmp_path / "uploads", 100)
    path = str(uploads.folder / ("0" * 64) / "a.jsonl")
    assert uploads.placed(sent.source) == {"mix": [{"jsonl": path}, {"hub": "org/name"}]}
    with pytest.raises(RecipeError, match=r"source\.mix\.0\.jsonl: a\.jsonl was not sent"):
        uploads.check(sent.source)
    shown = without_prompts(recipe.model_dump(mode="json"))["source"]["mix"]
    assert shown[1] == {"inline": "left out: 2 prompts"}


def test_a_mistake_within_take_is_told_at_its_place() -> None:
    taken_wrongly = {"flan": {"row": 30}, "web": 0}
    with pytest.raises(RecipeError) as refused:
        named_options("sources", {"inline": ["a"], "take": taken_wrongly}, "source")
    assert set(refused.value.problems) == {
        "source.take.flan.rows: this key is missing",
        "source.take.flan.row: unknown key",
        "source.take.web.rows: should be greater than or equal to 1; not 0",
    }


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (3, ": should be a list; not 3"),
        ({"inline": ["a"]}, ": should be a list; not a mapping"),
        ([], ": should have at least 1 item"),
        (["a.jsonl"], ".0: should be a mapping; not 'a.jsonl'"),
        ([{"jsonl": 3}], ".0.jsonl: should be a text or a list; not 3"),
        ([{"jsonl": ["a.jsonl", 3]}], ".0.jsonl.1: should be a text; not 3"),
        ([{"jsonl": "/no.jsonl"}], ".0.jsonl: cannot read /no.jsonl: No such file or directory"),
        ([{"inline": ["a"]}, {"inline": []}], ".1.inline: holds no rows"),
        ([{"inline": ["a"], "columns": {"promt": "b"}}], ".0.columns: unknown name 'promt'"),
        ([{"inline": ["a"], "rows": "few"}], ".0.rows: should be a whole number; not 'few'"),
        (
            [{"inline": [{"prompt": "a"}], "columns": {"id": "b"}}],
            ".0.inline: no column 'b' (asked for as 'id' by `columns`)",
        ),
        (
            [{"inline": [{"prompt": "a", "source": "b"}], "take": {"c": 1}}],
            ".0.take: no row has 'c' in column 'source'",
        ),
    ],
)
def test_a_mistake_within_a_mix_is_told_at_its_place(wrong: Any, says: str) -> None:
    def used() -> list[Prompt]:
        plugin, options = named_options("sources", {"mix": wrong}, "source")
        return list(plugin(options).read())

    with pytest.raises(RecipeError) as refused:
        used()
    (problem,) = refused.value.problems
    assert problem.startswith(f"source.mix{says}")
