"""Rubrics side by side, single generations and pairs, several samples: each cell is asked once."""

from collections import Counter
from typing import Any

from prefmill.contracts.results import BatchJudged, Reading
from prefmill.contracts.rows import FinishedRow
from prefmill.contracts.work import Batch, JudgeBatch, JudgeCell
from prefmill.ledger.finished import stored_rows
from prefmill.sink.domain.finishing import finished
from prefmill.sink.domain.merging import merged, settled

from .rig import RECIPE, Rig, recipe, reply_to

EACH: dict[str, Any] = {"scripted-each": None}
PAIRS: dict[str, Any] = {"scripted-pairs": None}


def judged_by(*rubrics: Any) -> dict[str, Any]:
    return {"judge": {"rubric": list(rubrics)}}


class Watched:
    """Answers all, and keeps the verdicts that were ordered. A pair is won by what is shown first
    in the first row, and by the text of the lower index in the others."""

    def __init__(self) -> None:
        self.cells: list[tuple[str, int, JudgeCell]] = []

    def __call__(self, batch: Batch) -> Any:
        if not isinstance(batch, JudgeBatch):
            return reply_to(batch)
        self.cells += [(batch.rubric, row.row, cell) for row in batch.rows for cell in row.cells]
        reply = reply_to(batch)
        assert isinstance(reply, BatchJudged)
        cells = [
            cell.replace(readings=won(cell.row, cell.order))
            if batch.rubric == "scripted-pairs"
            else cell
            for cell in reply.cells
        ]
        return reply.replace(cells=tuple(cells))

    def counted(self) -> Counter[str]:
        return Counter(rubric for rubric, _, _ in self.cells)


def won(row: int, order: tuple[int, ...]) -> tuple[Reading, ...]:
    """Readings in the row's own order."""
    winner = order[0] if row == 0 else min(order)
    return tuple(Reading(rating=float(index == winner), status="rated") for index in sorted(order))


async def rows_of(rig: Rig) -> list[FinishedRow]:
    async with rig.ledger.begin() as connection:
        rows = await stored_rows(connection, rig.plan.run_id, range(3))
    return [finished(row, rig.plan.desired, {}) for row in rows]


async def test_each_generation_and_each_pair_is_asked_about_once(rig: Rig) -> None:
    await rig.submit(recipe(**judged_by(EACH, PAIRS)))
    watched = Watched()
    assert await rig.work(watched) == 3 * (2 + 2 * 2 + 2)
    assert watched.counted() == {"scripted-each": 3 * 2 * 2, "scripted-pairs": 3 * 2}
    orders = {cell.order for rubric, _, cell in watched.cells if rubric == "scripted-pairs"}
    assert orders == {(0, 1), (1, 0)}
    assert len({cell.target for _, row, cell in watched.cells if row == 0}) == 2 * 2 + 2
    assert await rig.work(watched) == 0


async def test_a_finished_row_has_a_verdict_for_each_set_that_was_shown(rig: Rig) -> None:
    await rig.submit(recipe(**judged_by(EACH, PAIRS)))
    await rig.work(Watched())
    first, second, _ = await rows_of(rig)
    assert first.open_cells == 0
    each = [verdict for verdict in first.verdicts if verdict.aspect == "tone"]
    assert [verdict.order for verdict in each] == [(0,), (1,)]
    statuses = [[reading.status for reading in verdict.readings] for verdict in each]
    assert statuses == [["rated", "not-shown"], ["not-shown", "rated"]]
    (whole,) = merged(each)
    assert [reading.rating for reading in whole.readings] == [3.0, 3.0]
    pairs = [verdict for verdict in first.verdicts if verdict.shows == "pairs"]
    assert [verdict.order for verdict in pairs] == [(0, 1), (1, 0)]
    assert settled(pairs) == [(0, 1, 0.5, True)], "the place won, not the text"
    others = [verdict for verdict in second.verdicts if verdict.shows == "pairs"]
    assert settled(others) == [(0, 1, 1.0, False)]


async def test_a_rubric_added_to_a_finished_run_is_all_that_is_called(rig: Rig) -> None:
    await rig.submit(recipe(**judged_by(EACH)))
    await rig.work()
    await rig.submit(recipe(**judged_by(EACH, PAIRS)))
    watched = Watched()
    assert await rig.work(watched) == 3 * 2
    assert set(watched.counted()) == {"scripted-pairs"}


async def test_another_wording_of_one_aspect_asks_about_no_other(rig: Rig) -> None:
    await rig.submit(recipe(**judged_by(EACH)))
    await rig.work()
    other = {"scripted-each": None, "wordings": {"tone": "kindly"}}
    await rig.submit(recipe(**judged_by(other)))
    watched = Watched()
    assert await rig.work(watched) == 3 * 2
    assert {cell.aspect for _, _, cell in watched.cells} == {"tone"}
    await rig.submit(recipe(**judged_by(EACH)))
    assert await rig.work() == 0, "the old verdicts are still there"


async def test_a_verdict_on_one_text_is_reused_beside_other_models(rig: Rig) -> None:
    await rig.submit(recipe(**judged_by(EACH, PAIRS)))
    await rig.work(Watched())
    models = {"c": {"engine": "simulated", "model": "sim-c"}, **RECIPE["models"]}
    await rig.submit(recipe(name="wider", models=models, **judged_by(EACH, PAIRS)))
    watched = Watched()
    calls = await rig.work(watched)
    assert calls == 3 * (1 + 2 + 4), "c answers, is judged alone, and meets a and b twice"
    assert all(0 in cell.order for _, _, cell in watched.cells)
    for row in await rows_of(rig):
        assert row.open_cells == 0
        assert len([v for v in row.verdicts if v.shows == "pairs"]) == 6
        for verdict in row.verdicts:
            rated = [i for i, reading in enumerate(verdict.readings) if reading.status == "rated"]
            assert rated == sorted(verdict.order)


async def test_samples_are_answers_and_verdicts_of_their_own(rig: Rig) -> None:
    models = {alias: {**spec, "samples": 2} for alias, spec in RECIPE["models"].items()}
    judges = {"j": {"engine": "simulated", "model": "sim-j", "samples": 3}}
    wanted = recipe(models=models, judges=judges, **judged_by("scripted"))
    await rig.submit(wanted)
    watched = Watched()
    assert await rig.work(watched) == 3 * (4 + 3)
    digests = [cell.digest for _, _, cell in watched.cells]
    seeds = [cell.seed for _, _, cell in watched.cells]
    assert len(set(digests)) == len(set(seeds)) == 9
    (first, *_) = await rows_of(rig)
    assert [(g.model, g.sample) for g in first.generations] == [
        ("a", 0),
        ("a", 1),
        ("b", 0),
        ("b", 1),
    ]
    assert [verdict.sample for verdict in first.verdicts] == [0, 1, 2]


async def test_more_samples_of_a_judge_ask_only_for_those(rig: Rig) -> None:
    judge = {"engine": "simulated", "model": "sim-j"}
    await rig.submit(recipe(**judged_by("scripted")))
    await rig.work()
    await rig.submit(recipe(judges={"j": {**judge, "samples": 2}}, **judged_by("scripted")))
    assert await rig.work() == 3
