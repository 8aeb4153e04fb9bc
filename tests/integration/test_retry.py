"""A retry while a run goes on: every failed cell is asked again, and none that is on its way."""

from collections import Counter
from typing import Any

import pytest

from prefmill.contracts.results import BatchJudged
from prefmill.contracts.work import Batch, GenerateBatch, JudgeBatch
from prefmill.ledger.replay import dead_batches, replay

from .rig import Rig, failed, judged, recipe, reply_to

ONCE: dict[str, Any] = {"limits": {"attempts": 1}}


def simulated(*names: str) -> dict[str, Any]:
    return {name: {"engine": "simulated", "model": f"sim-{name}"} for name in names}


def asked(*batches: Batch) -> Counter[Any]:
    """How often each cell is asked for in batches, attempts aside."""
    return Counter(
        (batch.slot, row.row, getattr(cell, "aspect", ""), getattr(cell, "target", ""))
        for batch in batches
        for row in batch.rows  # type: ignore[attr-defined]
        for cell in row.cells
    )


async def next_batches(rig: Rig) -> list[Batch]:
    await rig.step()
    return await rig.take()


async def generated(rig: Rig, *lost: str) -> list[JudgeBatch]:
    """Has all answers made, those of `lost` models fail; the batches of verdicts that go out."""
    slots = {rig.plan.desired.models[name] for name in lost}
    for batch in await next_batches(rig):
        reply = reply_to(batch)
        await rig.store(failed(reply) if batch.slot in slots else reply)
    return [batch for batch in await next_batches(rig) if isinstance(batch, JudgeBatch)]


def only(reply: BatchJudged, *rows_and_aspects: tuple[int, str]) -> BatchJudged:
    wanted = [cell for cell in reply.cells if (cell.row, cell.aspect) in rows_and_aspects]
    return reply.replace(cells=tuple(wanted))


async def test_a_failed_verdict_is_asked_again_beside_another_of_the_same_judge(rig: Rig) -> None:
    await rig.submit(recipe(source={"inline": ["one"]}, **ONCE))
    (batch,) = await generated(rig)
    await rig.store(failed(only(judged(batch), (0, "honesty"))))
    (out,) = await next_batches(rig)
    assert await rig.retry() == 1
    assert await rig.step() == 0, "the row is on its way"
    await rig.store(reply_to(out))
    (again,) = await next_batches(rig)
    assert [aspect for _, _, aspect, _ in asked(again)] == ["honesty"]
    await rig.store(reply_to(again))
    assert await rig.work() == 0
    assert await rig.count("batch") == 0


async def test_a_failed_verdict_of_one_judge_is_asked_again_beside_those_of_another(
    rig: Rig,
) -> None:
    plan = await rig.submit(recipe(judges=simulated("j", "k"), **ONCE))
    slots = plan.desired.rubrics[0].judges
    by_slot = {batch.slot: batch for batch in await generated(rig)}
    await rig.store(failed(judged(by_slot[slots["j"]])))
    await rig.step()
    assert await rig.retry() == 3 * 2
    await rig.store(judged(by_slot[slots["k"]]))
    (again,) = await next_batches(rig)
    assert asked(again) == asked(by_slot[slots["j"]])
    await rig.store(reply_to(again))
    assert await rig.work() == 0
    assert await rig.count("verdict") == 2 * 3 * 2


@pytest.mark.slow
async def test_a_failed_answer_is_asked_again_beside_verdicts_on_the_others(rig: Rig) -> None:
    plan = await rig.submit(recipe(models=simulated("a", "b", "c"), **ONCE))
    (out,) = await generated(rig, "c")
    assert await rig.retry() == 3
    await rig.store(judged(out))
    (again,) = await next_batches(rig)
    assert isinstance(again, GenerateBatch)
    assert again.slot == plan.desired.models["c"]
    await rig.store(reply_to(again))
    assert await rig.work() == 3 * 2, "the verdicts on all three"
    assert await rig.count("batch") == 0


@pytest.mark.slow
async def test_no_pair_that_a_judge_has_is_asked_for_again_once_a_failed_answer_is_there(
    rig: Rig,
) -> None:
    pairs = {"rubric": {"scripted-pairs": None}}
    await rig.submit(recipe(models=simulated("a", "b", "c"), judge=pairs, **ONCE))
    (out,) = await generated(rig, "c")
    await rig.retry()
    orders: list[Batch] = [out]
    for batch in await next_batches(rig):
        orders.append(batch)
        await rig.store(reply_to(batch))
        orders += await next_batches(rig)
    await rig.store(judged(out))

    def answer(batch: Batch) -> Any:
        orders.append(batch)
        return reply_to(batch)

    await rig.work(answer)
    verdicts = asked(*(batch for batch in orders if isinstance(batch, JudgeBatch)))
    assert len(verdicts) == 3 * 3 * 2
    assert set(verdicts.values()) == {1}


@pytest.mark.slow
async def test_rows_that_nobody_has_are_asked_again_at_once(rig: Rig) -> None:
    await rig.submit(recipe(**ONCE))
    (batch,) = await generated(rig)
    free, busy = [(0, "honesty"), (0, "helpfulness")], [(1, "honesty")]
    await rig.store(failed(only(judged(batch), *free, *busy)))
    (out,) = await next_batches(rig)
    assert {row for _, row, _, _ in asked(out)} == {1, 2}
    assert await rig.retry() == 3
    (again,) = await next_batches(rig)
    assert {row for _, row, _, _ in asked(again)} == {0}
    await rig.store(reply_to(out), reply_to(again))
    assert await rig.work() == 1
    assert await rig.count("verdict") == 3 * 2


async def test_a_row_that_is_replayed_is_asked_again_beside_verdicts_on_its_other_answers(
    rig: Rig,
) -> None:
    one = {"inline": ["one"]}
    plan = await rig.submit(recipe(source=one, models=simulated("a", "b", "c")))
    for batch in await next_batches(rig):
        if batch.slot == plan.desired.models["c"]:
            await rig.bury(batch)
        else:
            await rig.store(reply_to(batch))
    (out,) = await next_batches(rig)
    async with rig.ledger.begin() as connection:
        (dead,) = await dead_batches(connection)
        assert dead.work is not None
        assert await replay(connection, dead.id, dead.work) == 1
    assert await rig.step() == 0, "the row is on its way"
    await rig.store(reply_to(out))
    assert await rig.work() == 1 + 2, "the answer, and the verdicts on all three"
