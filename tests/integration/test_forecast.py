"""What is announced before a run is what it then calls: what the ledger holds is taken off."""

from typing import Any

import pytest

from prefmill.contracts.api import RunPlan, RunRequest
from prefmill.contracts.recipe import Recipe
from prefmill.contracts.results import Reply
from prefmill.coordinator.domain.resolved import resolve
from prefmill.coordinator.forecast import forecast
from prefmill.coordinator.held import known
from prefmill.coordinator.submission import difference
from prefmill.ledger import runs
from prefmill.plugins.errors import RecipeError

from .rig import RECIPE, Rig, failed, recipe, reply_to, second_time

PAIR = {"generate": {"sampler": {"sample": 2}}}
THREE = {"models": {**RECIPE["models"], "c": {"engine": "simulated", "model": "sim-c"}}}
TWO_JUDGES = {"judges": {**RECIPE["judges"], "k": {"engine": "simulated", "model": "sim-k"}}}
GIVEN = {"source": {"inline": [{"prompt": "Why?", "responses": {"x": "So.", "y": "Thus."}}]}}


async def planned(rig: Rig, wanted: Recipe, *, fresh: bool = False) -> RunPlan:
    run, changed = await difference(rig.ledger, wanted)
    return await forecast(rig.ledger, RunRequest(recipe=wanted, fresh=fresh), run, changed)


def calls(plan: RunPlan) -> int:
    return sum(slot.calls for slot in plan.slots)


def stored(plan: RunPlan) -> int:
    return sum(slot.stored for slot in plan.slots)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [
        ({}, {}, 0),
        ({}, {"source": {"inline": ["two", "four"]}}, 4),
        ({}, TWO_JUDGES, 6),
        ({}, {"judge": {"rubric": {"ultrafeedback": ["honesty", "truthfulness"]}}}, 3),
        ({}, {"seed": 9}, 12),
        ({}, {"generate": {"params": {"temperature": 0.5}}}, 12),
        ({"judges": {}, "judge": None}, {}, 6),
        ({**THREE, **PAIR}, {**THREE, **PAIR}, 0),
        ({"generate": {"principles": {"odds": {"*": "honesty"}}}}, {}, 12),
        (GIVEN | {"models": {}}, GIVEN | {"models": {}}, 0),
        ({"judge": {"rubric": "critique"}}, {"judge": {"rubric": "critique"}}, 0),
        ({}, {"judge": {"rubric": "critique"}, **TWO_JUDGES}, 12),
    ],
)
async def test_a_run_of_another_name_calls_what_was_announced(
    rig: Rig, first: dict[str, Any], then: dict[str, Any], expected: int
) -> None:
    await rig.submit(recipe(**first))
    await rig.work()
    wanted = recipe(name="other", **then)
    plan = await planned(rig, wanted)
    assert calls(plan) == expected
    assert calls(await planned(rig, wanted, fresh=True)) == calls(plan) + stored(plan)
    await rig.submit(wanted)
    assert await rig.work() == expected


async def test_answers_of_later_attempts_are_found_as_well(rig: Rig) -> None:
    await rig.submit(recipe())

    await rig.work(second_time)
    plan = await planned(rig, recipe(name="other"))
    assert (calls(plan), stored(plan)) == (0, 12)


async def test_a_run_that_goes_on_counts_its_own_cells_and_those_of_others_once(rig: Rig) -> None:
    await rig.submit(recipe(name="first", **TWO_JUDGES))
    await rig.work()
    await rig.submit(recipe(seed=4))
    await rig.work()
    plan = await planned(rig, recipe(**TWO_JUDGES))
    assert calls(plan) == 6, "other answers were judged there"
    await rig.submit(recipe(name="third"))
    await rig.work()
    plan = await planned(rig, recipe(name="third", **TWO_JUDGES))
    assert (calls(plan), stored(plan)) == (0, 18)
    await rig.submit(recipe(name="third", **TWO_JUDGES))
    assert await rig.work() == 0


async def test_a_fresh_run_stays_one_that_reuses_nothing(rig: Rig) -> None:
    await rig.submit(recipe())
    await rig.work()
    await rig.submit(recipe(name="new"), fresh=True)
    assert calls(await planned(rig, recipe(name="new"))) == 12


async def test_another_source_is_refused_before_anything_is_announced(rig: Rig) -> None:
    await rig.submit(recipe())
    changed = recipe(source={"inline": ["one", "two", "others"]})
    with pytest.raises(RecipeError, match="was loaded from another source"):
        await planned(rig, changed)
    assert calls(await planned(rig, changed, fresh=True)) == 12


async def test_other_rows_in_the_same_file_are_refused_before_anything_is_announced(
    rig: Rig, tmp_path: Any
) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"prompt": "one"}\n{"prompt": "two"}\n')
    wanted = recipe(source={"jsonl": str(file)})
    await rig.submit(wanted)
    await rig.work()
    file.write_text('{"prompt": "one"}\n{"prompt": "two"}\n{"prompt": "three"}\n')
    assert calls(await planned(rig, wanted)) == 4, "a row more is a row more"
    file.write_text('{"prompt": "one"}\n{"prompt": "another"}\n')
    with pytest.raises(RecipeError, match=r"row 1 \(id 1\) is not what was loaded before"):
        await planned(rig, wanted)


async def test_another_seed_says_what_it_is_for_and_that_nothing_is_drawn_anew(rig: Rig) -> None:
    await rig.submit(recipe())
    await rig.work()
    plan = await planned(rig, recipe(seed=9))
    assert plan.changes == ("seed: added",)
    assert calls(plan) == 0
    (said,) = plan.warnings
    assert said.startswith("seed: models drawn and answers given stay;")
    assert "`--fresh` starts over" in said
    assert (await planned(rig, recipe(seed=9), fresh=True)).warnings == ()


async def test_a_model_more_is_not_announced_for_rows_that_are_drawn(rig: Rig) -> None:
    await rig.submit(recipe())
    await rig.work()
    plan = await planned(rig, recipe(**THREE))
    assert {slot.alias: slot.calls for slot in plan.slots} == {"a": 0, "b": 0, "c": 0, "j": 0}
    (said,) = plan.warnings
    assert said.startswith("models: who answers was drawn for 3 stored prompts and stays;")
    await rig.submit(recipe(**THREE))
    assert await rig.work() == 0


async def test_verdicts_on_answers_that_failed_are_not_announced(rig: Rig) -> None:
    plan = await rig.submit(recipe(limits={"attempts": 1}))

    def two_fail(batch: Any) -> Reply:
        reply: Any = reply_to(batch)
        if batch.slot != plan.desired.models["b"]:
            return reply
        return reply.replace(cells=(reply.cells[0], *failed(reply).cells[1:]))

    assert await rig.work(two_fail) == 3 + 3 + 2
    one_aspect_more = {"judge": {"rubric": {"ultrafeedback": ["honesty", "truthfulness"]}}}
    assert calls(await planned(rig, recipe(limits={"attempts": 3}))) == 0
    assert calls(await planned(rig, recipe(**one_aspect_more))) == 1
    assert calls(await planned(rig, recipe(judge={"rubric": "critique"}))) == 2 + 1 + 1
    assert calls(await planned(rig, recipe(output={"formats": ["sft"]}))) == 2 * 2, "one is enough"
    assert calls(await planned(rig, recipe(**TWO_JUDGES))) == 2
    first = {"source": RECIPE["source"] | {"rows": 2}}
    assert calls(await planned(rig, recipe(**TWO_JUDGES, **first))) == 2, "of two, one has failed"
    await rig.submit(recipe(**TWO_JUDGES))
    assert await rig.work() == 2


async def test_a_recipe_that_wants_the_same_cells_is_told_from_one_that_wants_others(
    rig: Rig,
) -> None:
    plan = await rig.submit(recipe())
    async with rig.ledger.begin() as connection:
        run = await runs.run_by_id(connection, plan.run_id)
    stored = await known(rig.ledger, run, 0, sources=False)
    assert stored.wants(resolve(recipe(limits={"cost_usd": 1}, output={"formats": ["trl"]})))
    for changes in (TWO_JUDGES, THREE, {"output": {"formats": ["sft"]}}):
        assert not stored.wants(resolve(recipe(**changes)))
