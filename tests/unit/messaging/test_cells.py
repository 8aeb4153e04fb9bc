"""The pool of cells: slots, order, settling whole or in part; without NATS or an engine."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from prefmill.contracts.results import Completed
from prefmill.contracts.work import Batch
from prefmill.messaging.cells import CellPool, Job


class Bench:
    """A pool whose cells end when told to, or at once."""

    def __init__(self, slots: int) -> None:
        self.settled: list[Job] = []
        self.errors: list[Exception] = []
        self.gates: dict[Any, asyncio.Future[None]] = {}
        self.running = 0
        self.most_running = 0
        self.slots = slots
        self.pool = CellPool(
            lambda: self.slots, self.settled.append, lambda: None, self.errors.append
        )

    def job(self, name: str, cells: int) -> Job:
        batch = Batch(id=name, run=1, slot=1, lane="x", lane_digest="d")
        orders = ((name, number) for number in range(cells))
        held: Any = None
        return Job(held, batch, self.answer, orders)

    async def answer(self, row: Any, cell: Any) -> Completed:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            if (row, cell) in self.gates:
                await self.gates[row, cell]
            await asyncio.sleep(0)
        finally:
            self.running -= 1
        return Completed(row=cell, sample=0, attempt=0, last=False, digest=row)

    def gate(self, row: Any, cell: Any) -> asyncio.Future[None]:
        return self.gates.setdefault((row, cell), asyncio.get_running_loop().create_future())


async def settle(passes: int = 200) -> None:
    for _ in range(passes):
        await asyncio.sleep(0)


@given(st.integers(1, 8), st.lists(st.integers(0, 12), max_size=12))
def test_every_cell_is_answered_once_in_no_more_slots_than_there_are(
    slots: int, sizes: list[int]
) -> None:
    async def run() -> Bench:
        bench = Bench(slots)
        for number, size in enumerate(sizes):
            bench.pool.add(bench.job(f"b{number}", size))
        await bench.pool.idle()
        return bench

    bench = asyncio.run(run())
    assert {job.batch.id: len(job.answered) for job in bench.settled} == {
        f"b{number}": size for number, size in enumerate(sizes)
    }
    assert len(bench.settled) == len(sizes)
    assert bench.most_running <= slots
    assert (bench.pool.busy, bench.pool.waiting) == (0, False)


async def test_slots_are_filled_as_far_as_there_are_cells() -> None:
    bench = Bench(slots=3)
    gates = [bench.gate("b", number) for number in range(5)]
    bench.pool.add(bench.job("b", 5))
    await settle()
    assert bench.pool.busy == 3
    for gate in gates:
        gate.set_result(None)
    await bench.pool.idle()
    assert len(bench.settled[0].answered) == 5


async def test_a_slow_cell_keeps_only_its_own_batch_open() -> None:
    bench = Bench(slots=2)
    slow = bench.gate("slow", 0)
    bench.pool.add(bench.job("slow", 1))
    for number in range(3):
        bench.pool.add(bench.job(f"b{number}", 4))
    await settle()
    assert [job.batch.id for job in bench.settled] == ["b0", "b1", "b2"]
    slow.set_result(None)
    await bench.pool.idle()
    assert bench.settled[-1].batch.id == "slow"


async def test_halt_returns_what_has_not_started_and_settles_the_rest_in_part() -> None:
    bench = Bench(slots=1)
    running = bench.gate("started", 1)
    bench.pool.add(bench.job("started", 4))
    bench.pool.add(bench.job("waiting", 2))
    await settle()
    assert [job.batch.id for job in bench.pool.halt()] == ["waiting"]
    assert not bench.settled
    running.set_result(None)
    await bench.pool.idle()
    (job,) = bench.settled
    assert [cell.row for cell in job.answered] == [0, 1]


async def test_a_pool_that_is_given_up_settles_with_what_was_answered() -> None:
    bench = Bench(slots=2)
    bench.gate("b", 1)
    bench.pool.add(bench.job("b", 2))
    await settle()
    bench.pool.halt()
    await bench.pool.abandon()
    (job,) = bench.settled
    assert [cell.row for cell in job.answered] == [0]
    assert bench.pool.busy == 0


async def test_only_unstarted_jobs_are_withdrawn() -> None:
    bench = Bench(slots=1)
    gate = bench.gate("a", 0)
    for name in "abc":
        bench.pool.add(bench.job(name, 1))
    await settle()
    assert bench.pool.waiting
    assert [job.batch.id for job in bench.pool.withdraw({"a", "c"})] == ["c"]
    gate.set_result(None)
    await bench.pool.idle()
    assert [job.batch.id for job in bench.settled] == ["a", "b"]


async def test_an_answer_that_raises_leaves_its_cell_out_and_tells_the_lane() -> None:
    bench = Bench(slots=4)
    bench.gate("b", 1).set_exception(ValueError("down"))
    bench.pool.add(bench.job("b", 3))
    await bench.pool.idle()
    assert [cell.row for cell in bench.settled[0].answered] == [0, 2]
    assert [str(error) for error in bench.errors] == ["down"]


async def test_slots_that_are_opened_are_filled_and_slots_that_are_closed_empty_by_themselves() -> (
    None
):
    bench = Bench(slots=1)
    gates = [bench.gate("b", number) for number in range(9)]
    bench.pool.add(bench.job("b", 9))
    await settle()
    assert bench.pool.busy == 1
    bench.slots = 4
    bench.pool.refill()
    await settle()
    assert bench.pool.busy == 4
    bench.slots = 2
    for gate in gates[:4]:
        gate.set_result(None)
    await settle()
    assert bench.pool.busy == 2
    for gate in gates[4:]:
        gate.set_result(None)
    await bench.pool.idle()
    assert bench.most_running == 4
    assert len(bench.settled[0].answered) == 9


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 9)), max_size=12), st.randoms())
def test_every_cell_is_answered_once_however_the_slots_change(
    steps: list[tuple[int, int]], random: Any
) -> None:
    async def run() -> Bench:
        bench = Bench(slots=1)
        for number, (slots, cells) in enumerate(steps):
            bench.slots = slots
            bench.pool.refill()
            bench.pool.add(bench.job(f"b{number}", cells))
            await settle(random.randint(0, 9))
            assert bench.pool.busy <= max(slots for slots, _ in steps)
        bench.pool.refill()
        await bench.pool.idle()
        return bench

    bench = asyncio.run(run())
    assert {job.batch.id: len(job.answered) for job in bench.settled} == {
        f"b{number}": cells for number, (_, cells) in enumerate(steps)
    }
