"""What a recipe would call is counted exactly where it can be, and said to be about right."""

from pathlib import Path

import pytest

from prefmill.contracts.api import RunPlan, SlotPlan
from prefmill.contracts.recipe import Price, Recipe
from prefmill.coordinator.domain.estimate import estimate
from prefmill.coordinator.domain.prices import listed, price_of
from prefmill.coordinator.domain.resolved import Resolved, resolve
from prefmill.plugins.errors import RecipeError

PROMPTS = [f"Prompt {n:04d} asks why." for n in range(40)]  # 21 characters, 6 tokens each


def recipe(**changes: object) -> Resolved:
    free = {"engine": "simulated"}
    value: dict[str, object] = {
        "name": "r",
        "source": {"inline": PROMPTS},
        "models": {alias: {**free, "model": alias} for alias in "abcd"},
        "generate": {"sampler": {"sample": 2}, "params": {"max_tokens": 100}},
        "judges": {"j": {**free, "model": "j"}, "k": {**free, "model": "k"}},
        "judge": {"rubric": {"ultrafeedback": ["honesty", "helpfulness"]}},
    }
    return resolve(Recipe.model_validate({**value, **changes}))


def plan(resolved: Resolved, **options: int) -> RunPlan:
    return estimate(resolved, resolved.prompts(), **options)


def slot(made: RunPlan, alias: str) -> SlotPlan:
    return next(slot for slot in made.slots if slot.alias == alias)


def test_every_draw_is_one_call_and_every_aspect_of_every_row_one_of_each_judge() -> None:
    made = plan(recipe())
    assert made.rows == 40
    assert sum(slot(made, alias).calls for alias in "abcd") == 80
    assert [slot(made, alias).calls for alias in "jk"] == [80, 80]
    assert made.problems == ()


def test_tokens_of_answers_are_four_characters_each_and_at_most_max_tokens() -> None:
    made = slot(plan(recipe(generate={"params": {"max_tokens": 100}})), "a")
    assert made.calls == 40
    assert made.input_tokens == 40 * (6 + 4)
    assert made.output_tokens == 40 * 100


def test_a_system_prompt_of_the_recipe_is_counted() -> None:
    without = slot(plan(recipe(generate={})), "a").input_tokens
    made = slot(plan(recipe(generate={"system": "x" * 40})), "a")
    assert made.input_tokens == without + 40 * (10 + 4)


def test_a_judge_reads_the_question_the_prompt_and_all_texts() -> None:
    few = slot(
        plan(recipe(generate={"sampler": {"sample": 2}, "params": {"max_tokens": 100}})), "j"
    )
    many = slot(plan(recipe(generate={"params": {"max_tokens": 100}})), "j")
    assert many.calls == few.calls
    assert many.input_tokens - few.input_tokens == 80 * 2 * 100
    assert many.output_tokens == 2 * few.output_tokens


def test_rows_beyond_the_sample_are_taken_to_be_alike() -> None:
    exact, scaled = plan(recipe()), plan(recipe(), sample=20)
    assert scaled.rows == 40
    assert slot(scaled, "j").calls == slot(exact, "j").calls
    assert slot(scaled, "j").input_tokens == slot(exact, "j").input_tokens


def test_existing_answers_are_judged_and_not_generated() -> None:
    rows = [{"prompt": "Why?", "responses": {"x": "abcd" * 10, "y": "ef" * 10}}] * 5
    made = plan(recipe(source={"inline": rows}, models={}, generate={}))
    assert [s.alias for s in made.slots] == ["j", "k"]
    assert [s.calls for s in made.slots] == [10, 10]


def test_rows_that_cannot_be_used_are_not_called_for() -> None:
    made = plan(recipe(source={"inline": [*PROMPTS[:10], {"prompt": None}, {"prompt": 3}]}))
    assert made.rows == 12
    assert slot(made, "j").calls == 20


def test_of_rows_with_one_id_only_the_first_is_called_for() -> None:
    rows = [{"id": "a", "prompt": ""}, {"id": "b", "prompt": "Why?"}]
    rows += [{"id": "a", "prompt": "After a failed one"}, {"id": "b", "prompt": "How?"}]
    made = plan(recipe(source={"inline": rows}, generate={}))
    assert made.rows == 4
    assert slot(made, "a").calls == 1
    assert slot(made, "j").calls == 2, "one for each of two aspects"


def test_an_empty_or_useless_source_is_a_problem() -> None:
    useless = plan(recipe(source={"inline": [{"prompt": None}]}))
    (problem,) = useless.problems
    assert "none of the first 1 rows can be used (missing-instruction: " in problem
    assert estimate(recipe(), iter(())).problems == ("source: it is empty; there is nothing to do",)


def test_nobody_to_answer_is_a_problem() -> None:
    made = plan(recipe(models={}, generate={}))
    (problem,) = made.problems
    assert problem == (
        "source: none of the first 40 rows can be used (missing-responses: it has no `responses`, "
        "and the recipe no `models` to answer); see --rows, `columns` and `transforms`"
    )


def test_responses_that_are_all_blank_are_told_from_none() -> None:
    rows = [{"prompt": "Why?", "responses": {"x": " ", "y": None}}] * 3
    (problem,) = plan(recipe(source={"inline": rows}, models={}, generate={})).problems
    assert "(missing-responses: none of its `responses` (x, y) holds text)" in problem


def test_responses_that_nobody_can_judge_are_a_problem() -> None:
    rows = [{"prompt": "Why?", "responses": {"x": "So."}}] * 3
    labelled = {"source": {"inline": rows}, "models": {}, "generate": {}}
    pairs = {"rubric": {"pairwise": "helpfulness"}}
    (problem,) = plan(recipe(**labelled, judge=pairs)).problems
    assert problem == (
        "judge.rubric: there is nothing to judge: none of the first 3 rows holds as many "
        "`responses` as the rubric compares"
    )
    (problem,) = plan(recipe(**labelled, judges={}, judge=None)).problems
    assert problem.startswith("judges: there is nothing to call: no `models`, and nobody to judge")


def test_a_price_of_the_recipe_makes_the_cost() -> None:
    models = {"a": {"engine": "simulated", "model": "a", "price": {"input": 2, "output": 10}}}
    made = slot(plan(recipe(models=models, generate={"params": {"max_tokens": 100}})), "a")
    assert made.cost_usd == pytest.approx(40 * (10 * 2 + 100 * 10) / 1e6)
    assert made.paid, "on this machine or not: what has a price is asked about"


def test_a_server_elsewhere_is_free_only_if_its_price_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk")
    far = {"engine": "openai", "model": "own", "base_url": "http://gpu.example/v1"}
    free = {**far, "price": {"input": 0, "output": 0}}
    made = plan(recipe(judges={"j": far, "k": free}))
    assert [slot(made, name).paid for name in "jk"] == [True, False]


def test_a_paid_model_without_a_price_and_without_a_key_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    made = plan(recipe(judges={"j": {"engine": "openai", "model": "nobody-knows-it"}}))
    assert slot(made, "j").paid
    assert slot(made, "j").cost_usd is None
    assert "no price is known for nobody-knows-it" in slot(made, "j").warnings[0]
    assert len(made.problems) == 1
    assert made.problems[0].startswith("judges.j: ")
    assert "OPENAI_API_KEY" in made.problems[0]


def test_too_few_tokens_for_a_verdict_are_warned_of() -> None:
    tight = {"rubric": {"ultrafeedback": ["honesty"]}, "params": {"max_tokens": 50}}
    said = slot(plan(recipe(judge=tight)), "j").warnings
    assert len(said) == 1
    assert said[0].startswith("max_tokens 50 may be too few: a verdict on 2 texts takes about ")
    roomy = {**tight, "params": {"max_tokens": 4000}}
    assert slot(plan(recipe(judge=roomy)), "j").warnings == ()


def test_a_call_beyond_the_context_is_warned_of() -> None:
    models = {"a": {"engine": "openai", "model": "gpt-4"}, "b": {"engine": "openai", "model": "o3"}}
    made = plan(recipe(models=models, source={"inline": ["x" * 40_000]}))
    assert slot(made, "a").warnings == (
        (
            "the longest call has about 10,104 tokens, the context of gpt-4 is 8,192; such rows "
            "will fail"
        ),
    )
    assert slot(made, "b").warnings == ()


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-4-turbo-2024-04-09", "gpt-4-turbo"),
        ("claude-3-haiku-20240307", "claude-3-haiku"),
        ("openai/gpt-4o-mini", "gpt-4o-mini"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku"),
    ],
)
def test_a_dated_model_has_its_familys_price(model: str, family: str) -> None:
    assert listed(model) is not None
    assert listed(model) == listed(family)


def test_a_dated_model_of_its_own_line_has_its_own_price() -> None:
    assert listed("gpt-4o-2024-05-13") != listed("gpt-4o")


@pytest.mark.parametrize("model", ["gpt-4o-audio", "my-gpt-4o", "gpt-4o-mini-tuned", ""])
def test_a_model_that_only_looks_alike_has_no_price(model: str) -> None:
    assert listed(model) is None


def test_a_users_table_goes_before_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "prices.yaml"
    table.write_text("models: {gpt-4o: {input: 1, output: 2}, mine: {input: 3, output: 4}}")
    monkeypatch.setenv("PREFMILL_PRICES", str(table))
    mine = listed("mine")
    assert mine is not None
    assert (mine.input, mine.output) == (3, 4)
    ours = listed("gpt-4o")
    assert ours is not None
    assert ours.input == 1
    assert listed("gpt-4o-mini") is not None


@pytest.mark.parametrize("text", ["models: {x: {input: cheap}}", "models: [", None])
def test_a_users_table_that_is_none_is_told(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "prices.yaml"
    if text is not None:
        table.write_text(text)
    monkeypatch.setenv("PREFMILL_PRICES", str(table))
    with pytest.raises(RecipeError, match=r"PREFMILL_PRICES: .*prices\.yaml"):
        listed("x")


def test_an_engine_of_this_machine_costs_nothing() -> None:
    assert price_of(recipe().models[0]) == Price(input=0, output=0)


def test_an_engine_of_this_machine_costs_what_the_users_table_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = recipe().models[0]
    table = tmp_path / "prices.yaml"
    table.write_text(f"models: {{{model.model}: {{input: 3, output: 4}}}}")
    monkeypatch.setenv("PREFMILL_PRICES", str(table))
    price = price_of(model)
    assert price is not None
    assert (price.input, price.output) == (3, 4)


def test_samples_are_calls_and_texts_of_their_own() -> None:
    free = {"engine": "simulated"}
    made = plan(
        recipe(
            models={"a": {**free, "model": "a", "samples": 3}, "b": {**free, "model": "b"}},
            judges={"j": {**free, "model": "j", "samples": 2}},
        )
    )
    assert [slot(made, alias).calls for alias in "abj"] == [120, 40, 40 * 2 * 2]
    less = slot(plan(recipe(judges={"j": {**free, "model": "j"}})), "j")
    assert slot(made, "j").output_tokens == 2 * 2 * less.output_tokens


def test_rows_after_the_sample_are_looked_at_where_they_may_be_unlike_the_first() -> None:
    short, long = ["Why?"] * 40, [f"Prompt {n} " + "asks why " * 200 for n in range(80)]
    rows = [{"prompt": text, "level": n} for n, text in enumerate([*short, *long])]
    mixed = {"mix": [{"name": "a", "inline": rows[:40]}, {"name": "b", "inline": rows[40:]}]}
    whole = plan(recipe(source=mixed))
    seen = plan(recipe(source=mixed), sample=40)
    assert (seen.rows, seen.problems) == (120, ())
    read = [sum(each.input_tokens for each in made.slots) for made in (seen, whole)]
    assert read[0] == pytest.approx(read[1], rel=0.1)

    late = recipe(source={"inline": rows}, transforms=[{"filter": "metadata.level >= 40"}])
    made = estimate(late, late.prompts(), sample=40)
    assert made.problems == ()
    assert slot(made, "j").calls == 2 * 80


def test_odds_for_a_source_that_no_row_comes_from_are_told_where_all_rows_were_read() -> None:
    rows = [{"prompt": f"Why {n}?", "source": "flan"} for n in range(10)]
    odds = {"flna": "honesty", "flan": "honesty", "*": "helpfulness"}
    generate = {"principles": {"profile": "ultrafeedback", "odds": odds}}
    wrong = recipe(source={"inline": rows}, generate=generate)
    told = ("generate.principles.odds.flna: no row has this `source`; did you mean 'flan'?",)
    assert plan(wrong).warnings == told
    assert plan(wrong, sample=10).warnings == told
    assert plan(wrong, sample=9).warnings == (), "the last row may be of any source"
    few = recipe(source={"inline": rows, "rows": 5}, generate=generate)
    assert plan(few).warnings == (), "the rest of the rows may be of any source"
    none = recipe(source={"inline": [*rows, {"prompt": "", "source": "web"}]}, generate=generate)
    assert plan(none).warnings[1:] == told


def test_rows_that_will_not_be_used_are_told() -> None:
    given = ["Why?", "", "How?", ""]
    (told,) = plan(recipe(source={"inline": given})).warnings
    assert told == "source: 2 of 4 rows will not be used: 2 missing-instruction"
    (told,) = plan(recipe(source={"inline": given}), sample=3).warnings
    assert told == "source: 1 of the first 3 rows will not be used: 1 missing-instruction"
    assert plan(recipe()).warnings == ()


def test_why_no_row_can_be_used_is_told() -> None:
    none = recipe(transforms=[{"filter": "false"}])
    (problem,) = estimate(none, none.prompts()).problems
    assert "none of the first 40 rows can be used (by-filter: " in problem
    assert "`transforms`" in problem


def test_a_source_whose_few_usable_rows_come_late_is_no_problem() -> None:
    rows = [{"prompt": "Why?", "kept": n in (41, 42, 77)} for n in range(80)]
    late = recipe(source={"inline": rows}, transforms=[{"filter": "metadata.kept"}])
    made = estimate(late, late.prompts(), sample=40)
    assert made.problems == ()
    assert slot(made, "j").calls > 0
