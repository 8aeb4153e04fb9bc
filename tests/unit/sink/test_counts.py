"""What a sink counts for its metrics."""

from typing import Any

import pytest

from prefmill.contracts.chat import Failure
from prefmill.contracts.results import (
    BatchGenerated,
    BatchJudged,
    GeneratedCell,
    JudgedCell,
    Reading,
)
from prefmill.ledger.database import Ledger
from prefmill.sink.counts import KEPT_S, Counts
from prefmill.sink.metrics import SinkMetrics
from prefmill.sink.observer import Observer, agreement_of


def verdict(*readings: tuple[float | None, str], reason: str = "") -> JudgedCell:
    failure = Failure(reason=reason, detail="made up") if reason else None
    return JudgedCell(
        row=0, sample=0, attempt=0, last=False, digest="d", aspect="honesty", target="ab",
        order=tuple(range(len(readings))), failure=failure,
        readings=tuple(Reading(rating=rating, status=status) for rating, status in readings),
    )  # fmt: skip


def judged(*cells: JudgedCell, slot: int = 5) -> BatchJudged:
    return BatchJudged(batch="1", run=1, slot=slot, cells=cells)


def test_readings_are_counted_by_status_and_ratings_summed_by_sign() -> None:
    counts = Counts()
    cell = verdict((4.0, "rated"), (-2.0, "rated"), (None, "ambiguous"), (None, "unheard-of"))
    counts.stored([(judged(cell), 0.1)], 0.01)
    said = counts.slots[5].aspects["honesty"]
    assert said.readings == {"rated": 2, "ambiguous": 1, "other": 1}
    assert (said.above, said.below, said.squares) == (4.0, 2.0, 20.0)
    assert said.verdicts == {"read": 1}


def test_texts_that_were_not_shown_are_not_counted() -> None:
    counts = Counts()
    counts.stored([(judged(verdict((None, "not-shown"), (None, "missing-generation"))), 0.0)], 0.0)
    assert not counts.slots[5].aspects["honesty"].readings


@pytest.mark.parametrize(
    ("reason", "result"), [("unreadable", "unreadable"), ("rejected", "failed"), ("", "read")]
)
def test_a_verdict_is_counted_by_how_it_ended(reason: str, result: str) -> None:
    counts = Counts()
    counts.stored([(judged(verdict(reason=reason)), 0.0)], 0.0)
    assert counts.slots[5].aspects["honesty"].verdicts == {result: 1}


def test_reasons_that_nobody_knows_become_other() -> None:
    counts = Counts()
    cells = tuple(
        GeneratedCell(
            row=0, sample=0, attempt=0, last=False, digest="d",
            failure=Failure(reason=reason, detail=""),
        )
        for reason in ("empty", "of-a-plugin", "another")
    )  # fmt: skip
    counts.stored([(BatchGenerated(batch="1", run=1, slot=2, cells=cells), 0.0)], 0.0)
    assert counts.slots[2].failures == {"empty": 1, "other": 2}
    assert counts.replies == {"generate": 1}


def test_a_slot_that_nothing_comes_for_is_forgotten_after_an_hour() -> None:
    now = 100.0
    counts = Counts(clock=lambda: now)
    counts.stored([(judged(verdict(), slot=1), 0.0)], 0.0)
    now += KEPT_S
    counts.stored([(judged(verdict(), slot=2), 0.0)], 0.0)
    counts.forget()
    assert set(counts.slots) == {1, 2}
    now += 1.0
    counts.forget()
    assert set(counts.slots) == {2}


def agreed(*rows: dict[int, list[list[float | None]]]) -> Any:
    (found,) = agreement_of("r", [("honesty", row) for row in rows])
    return found


def test_judges_that_say_the_same_agree() -> None:
    found = agreed({1: [[1.0, 5.0]], 2: [[1.0, 5.0]]}, {1: [[3.0]], 2: [[3.0]]})
    assert (found.run, found.aspect, found.alpha, found.texts) == ("r", "honesty", 1.0, 3)


def test_samples_of_one_judge_are_one_measurement_and_no_agreement() -> None:
    assert agreement_of("r", [("honesty", {1: [[1.0], [5.0]]})]) == []


def test_a_text_that_one_judge_could_not_rate_is_not_counted() -> None:
    assert agreed({1: [[1.0, None]], 2: [[2.0, 4.0]]}, {1: [[5.0]], 2: [[4.0]]}).texts == 2


def test_judges_without_any_difference_have_no_alpha() -> None:
    assert agreed({1: [[3.0]], 2: [[3.0]]}).alpha is None


async def test_without_a_ledger_a_sink_still_tells_its_counts() -> None:
    counts = Counts()
    counts.stored([(judged(verdict((4.0, "rated"))), 0.1)], 0.01)
    observer = Observer(Ledger("postgresql://nobody@127.0.0.1:1/nothing"), counts)
    await observer.look()
    families = {family.name: family for family in SinkMetrics(observer).collect()}
    assert [sample.value for sample in families["prefmill_ledger_up"].samples] == [0.0]
    told = families["prefmill_sink_replies"].samples
    assert {sample.labels["kind"]: sample.value for sample in told} == {"generate": 0, "judge": 1}
