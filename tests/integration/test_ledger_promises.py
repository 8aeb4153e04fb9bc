"""The sentences in italics of the design, each on real NATS and Postgres."""

from dataclasses import replace

from prefmill.contracts.work import GenerateBatch, JudgeBatch
from prefmill.ledger.replay import dead_batches, replay
from prefmill.messaging.connection import jetstream_of
from prefmill.messaging.work import results_drained

from .rig import Rig, answered, failed, judged, recipe, reply_to, second_time


async def test_a_run_comes_to_its_end_and_makes_each_call_once(rig: Rig) -> None:
    await rig.submit(recipe())
    calls = await rig.work()
    assert calls == 3 * 2 + 3 * 2
    assert await rig.count("answer") == 6
    assert await rig.count("verdict") == 6
    assert await rig.count("batch") == 0


async def test_a_batch_without_a_worker_is_never_published_again_however_old(rig: Rig) -> None:
    await rig.submit(recipe())
    assert await rig.step() == 6
    for _ in range(3):
        assert await rig.streams.reconcile(rig.plan.lanes) == []
        assert await rig.step() == 0
    assert await rig.count("batch", "state = 1") == 2


async def test_a_batch_gone_from_its_stream_is_asked_again_once_results_are_drained(
    rig: Rig,
) -> None:
    await rig.submit(recipe())
    await rig.step()
    lost = await rig.take()  # acknowledged, and never answered
    assert await results_drained(jetstream_of(rig.nc))
    assert await rig.streams.reconcile(rig.plan.lanes) == []  # first seen gone
    assert await rig.streams.reconcile(rig.plan.lanes) == [rig.plan.run_id]
    assert await rig.step() == 6
    again = await rig.take()
    assert {batch.id for batch in again}.isdisjoint(batch.id for batch in lost)
    assert await rig.count("attempt") == 0


async def test_a_lost_batch_waits_while_results_may_hold_its_answer(rig: Rig) -> None:
    await rig.submit(recipe())
    await rig.step()
    batch = (await rig.take())[0]
    js = jetstream_of(rig.nc)
    await js.publish("results.v1.generated", reply_to(batch).json())
    for _ in range(3):
        assert await rig.streams.reconcile(rig.plan.lanes) == []


async def test_a_recreated_stream_has_lost_its_batches_whatever_its_sequences(rig: Rig) -> None:
    await rig.submit(recipe())
    await rig.step()
    await jetstream_of(rig.nc).delete_stream("GENERATE")
    await rig.streams.bootstrap()
    await rig.streams.open(rig.plan.lanes.values())
    await rig.streams.reconcile(rig.plan.lanes)
    assert await rig.streams.reconcile(rig.plan.lanes) == [rig.plan.run_id]
    assert await rig.step() == 6


async def test_a_reply_may_answer_a_part_and_the_rest_is_wanted_again_uncounted(rig: Rig) -> None:
    await rig.submit(recipe())
    await rig.step()
    batches = [batch for batch in await rig.take() if isinstance(batch, GenerateBatch)]
    await rig.store(answered(batches[0], rows=[0]), answered(batches[1]))
    assert await rig.step() == 2 + 1, "two rows again, and the verdicts of the third"
    again = next(batch for batch in await rig.take() if isinstance(batch, GenerateBatch))
    assert [row.row for row in again.rows] == [1, 2]
    assert [cell.attempt for row in again.rows for cell in row.cells] == [0, 0]
    assert await rig.count("attempt") == 0


async def test_of_a_judged_batch_only_what_was_not_answered_is_asked_again(rig: Rig) -> None:
    await rig.submit(recipe())
    await rig.step()
    await rig.store(*[reply_to(batch) for batch in await rig.take()])
    await rig.step()
    (batch,) = await rig.take()
    assert isinstance(batch, JudgeBatch)
    whole = judged(batch)
    by_row = {row: [cell for cell in whole.cells if cell.row == row] for row in range(3)}
    (broken,) = failed(whole.replace(cells=(by_row[2][1],))).cells
    some = (*by_row[0], by_row[1][0], by_row[2][0], broken)
    await rig.store(whole.replace(cells=some))
    assert await rig.step() == 2, "the row with a cell left out, and the row with a failed one"
    (again,) = await rig.take()
    assert isinstance(again, JudgeBatch)
    asked = {(row.row, cell.aspect): cell.attempt for row in again.rows for cell in row.cells}
    assert asked == {(1, by_row[1][1].aspect): 0, (2, broken.aspect): 1}
    await rig.store(judged(again))
    assert await rig.work() == 0
    assert await rig.count("verdict") == 6
    assert await rig.count("batch") == 0


async def test_a_split_reply_closes_its_batch_with_the_last_part(rig: Rig) -> None:
    await rig.submit(recipe())
    await rig.step()
    batch = next(batch for batch in await rig.take() if isinstance(batch, GenerateBatch))
    first = answered(batch, rows=[0]).replace(final=False)
    await rig.store(first)
    assert await rig.count("batch", "state = 1") == 2
    await rig.store(answered(batch, rows=[1, 2]))
    assert await rig.count("batch", "state = 1") == 1
    assert await rig.count("answer") == 3


async def test_twice_delivered_is_stored_and_counted_once(rig: Rig) -> None:
    await rig.submit(recipe())
    await rig.step()
    for batch in await rig.take():
        await rig.store(reply_to(batch))
        await rig.store(reply_to(batch), reply_to(batch))
    assert await rig.count("answer") == 6
    assert await rig.count("tally", "done = 3 AND input_tokens = 30") == 2


async def test_only_the_rows_own_fault_counts_and_the_last_one_closes_the_cell(rig: Rig) -> None:
    await rig.submit(recipe())
    await rig.step()
    batches = await rig.take()
    bad, good = batches
    assert isinstance(bad, GenerateBatch)
    assert isinstance(good, GenerateBatch)
    await rig.store(failed(answered(bad)), answered(good))
    await rig.step()
    (second,) = await rig.take()
    assert isinstance(second, GenerateBatch)
    seeds = {cell.seed for row in (*bad.rows, *second.rows) for cell in row.cells}
    assert len(seeds) == 6, "another attempt asks with another seed"
    assert all(cell.last and cell.attempt == 1 for row in second.rows for cell in row.cells)
    await rig.store(failed(answered(second)))
    assert await rig.count("attempt") == 6
    assert await rig.count("failure") == 3
    assert await rig.work() == 0, "one usable generation makes no pair: nothing is judged"


async def test_the_rows_of_a_dead_batch_are_asked_again_one_by_one(rig: Rig) -> None:
    await rig.submit(recipe())
    await rig.step()
    dead, other = await rig.take()
    await rig.bury(dead)
    await rig.store(reply_to(other))
    assert await rig.step() == 3
    alone = await rig.take()
    assert [len(batch.rows) for batch in alone] == [1, 1, 1]  # type: ignore[attr-defined]
    await rig.bury(alone[0])
    await rig.store(reply_to(alone[1]), reply_to(alone[2]))
    assert await rig.count("failure", "reason = 'died'") == 1
    assert await rig.count("dead") == 2
    assert await rig.work() == 2 * 2, "the other two rows are judged"


async def test_a_dead_row_is_asked_again_once_it_is_replayed(rig: Rig) -> None:
    await rig.submit(recipe())
    await rig.step()
    first, other = await rig.take()
    await rig.bury(first)
    await rig.store(reply_to(other))
    await rig.step()
    alone = await rig.take()
    await rig.bury(alone[0])
    await rig.store(*(reply_to(batch) for batch in alone[1:]))
    assert await rig.work() == 2 * 2
    async with rig.ledger.begin() as connection:
        newest, oldest = await dead_batches(connection)
        assert await dead_batches(connection, before=newest.id) == [oldest]
        assert newest.work is not None
        assert oldest.work is not None
        assert len(newest.work.rows) == 1
        assert await replay(connection, oldest.id, oldest.work) == 1, "of its rows, one had failed"
        assert await replay(connection, newest.id, newest.work) == 0
        assert await dead_batches(connection) == []
    assert await rig.work() == 1 + 2, "the answer of that row and its verdicts"
    assert await rig.count("failure") == 0
    assert await rig.count("tally", "failed > 0") == 0


async def test_a_late_answer_to_a_withdrawn_batch_is_stored_all_the_same(rig: Rig) -> None:
    await rig.submit(recipe())
    await rig.step()
    late = await rig.take()
    await rig.submit(recipe(limits={"attempts": 3}))
    await rig.store(*(reply_to(batch) for batch in late))
    assert await rig.count("answer") == 6
    calls = await rig.work()
    assert calls <= 6 + 6


async def test_an_added_judge_is_all_that_is_called(rig: Rig) -> None:
    await rig.submit(recipe())
    await rig.work()
    judges = {
        "j": {"engine": "simulated", "model": "sim-j"},
        "k": {"engine": "simulated", "model": "sim-k"},
    }
    plan = await rig.submit(recipe(judges=judges))
    asked: list[int] = []

    def answer(batch: object) -> object:
        asked.append(batch.slot)  # type: ignore[attr-defined]
        return reply_to(batch)  # type: ignore[arg-type]

    assert await rig.work(answer) == 3 * 2  # type: ignore[arg-type]
    assert set(asked) == {plan.desired.rubrics[0].judges["k"]}


async def test_a_second_run_of_the_same_text_calls_nothing(rig: Rig) -> None:
    await rig.submit(recipe())
    await rig.work()
    await rig.submit(recipe())
    assert await rig.work() == 0


async def test_equal_requests_of_another_run_are_filled_and_not_called(rig: Rig) -> None:
    await rig.submit(recipe())
    await rig.work()
    await rig.submit(recipe(name="other"))
    assert await rig.work() == 0
    assert await rig.count("answer", "reused") == 6
    assert await rig.count("verdict", "reused") == 6


async def test_what_a_later_attempt_answered_is_filled_and_no_attempt_is_made_again(
    rig: Rig,
) -> None:
    await rig.submit(recipe())

    assert await rig.work(second_time) == 2 * 12
    await rig.submit(recipe(name="other"))
    assert await rig.work() == 0
    where = f"run_id = {rig.plan.run_id} AND done = reused"
    assert await rig.count("tally", f"{where} AND attempts + input_tokens = 0") == 3


async def test_answers_that_come_with_rows_are_judged_by_a_plan_made_before_they_were_loaded(
    rig: Rig,
) -> None:
    given = {"prompt": "Why?", "responses": {"x": "So.", "y": "Thus."}}
    made = await rig.submit(recipe(source={"inline": [given]}, models={}))
    rig.plan = replace(made, given={})
    assert await rig.work() == 2
    assert rig.plan.given == made.given


async def test_fresh_reuses_nothing(rig: Rig) -> None:
    await rig.submit(recipe())
    await rig.work()
    await rig.submit(recipe(), fresh=True)
    assert await rig.work() == 12


async def test_an_unreadable_verdict_keeps_the_best_reading_when_attempts_are_used_up(
    rig: Rig,
) -> None:
    from prefmill.contracts.chat import Failure
    from prefmill.contracts.results import BatchJudged, Reading

    await rig.submit(recipe())
    readings = {
        0: (Reading(rating=4.0, status="rated"), Reading(status="missing-block")),
        1: (Reading(status="missing-block"), Reading(status="missing-block")),
    }

    def answer(batch: object) -> object:
        reply = reply_to(batch)  # type: ignore[arg-type]
        if not isinstance(reply, BatchJudged):
            return reply
        failure = Failure(reason="unreadable")
        cells = tuple(
            cell.replace(failure=failure, readings=readings[cell.attempt]) for cell in reply.cells
        )
        return reply.replace(cells=cells)

    await rig.work(answer)  # type: ignore[arg-type]
    assert await rig.count("verdict", "attempt = 0 AND readings::text LIKE '%4.0%'") == 6
    assert await rig.count("attempt") == 12
