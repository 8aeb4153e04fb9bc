"""A model that can write nothing sensible judges through the same engine: its verdicts are well
formed all the same, or say why they are not."""

import asyncio

from prefmill.contracts.chat import Params
from prefmill.contracts.work import JudgeCell, JudgeRow
from prefmill.engines.caller import LaneCaller
from prefmill.engines.streak import Streak
from prefmill.engines.vllm.engine import VllmEngine
from prefmill.judge.domain.verdicts import judged, request_of
from prefmill.judge.rubrics.ultrafeedback import UltraFeedback

RUBRIC = UltraFeedback(UltraFeedback.Options(ultrafeedback=("honesty", "helpfulness")))
TEXTS = ("Sydney.", "Canberra, since 1913.")


def row(number: int) -> JudgeRow:
    return JudgeRow(
        row=number, instruction=f"What is the capital of {number}?", generations=TEXTS, cells=()
    )


def cell(aspect: str, seed: int) -> JudgeCell:
    return JudgeCell(
        aspect=aspect, sample=0, attempt=1, last=True, seed=seed, order=(1, 0), digest="0" * 64
    )


async def verdicts(engine: VllmEngine, params: Params, count: int):
    caller = LaneCaller(engine, concurrency=64)
    asked = [(row(n), cell(("honesty", "helpfulness")[n % 2], n)) for n in range(count)]
    outcomes = await asyncio.gather(
        *(caller.call(request_of(RUBRIC, params, r, c)) for r, c in asked)
    )
    return [judged(RUBRIC, r, c, o, Streak()) for (r, c), o in zip(asked, outcomes, strict=True)]


async def test_a_random_judge_gives_well_formed_verdicts_only(engine: VllmEngine) -> None:
    params = Params(max_tokens=700, temperature=1.0)
    found = await verdicts(engine, params, 16)
    for verdict in found:
        assert verdict.raw.startswith("{")
        if verdict.failure is not None:
            assert verdict.failure.reason == "unreadable"
            assert all(reading.status for reading in verdict.readings)
            continue
        rated = [reading.rating for reading in verdict.readings if reading.status == "rated"]
        assert all(1 <= (rating or 0) <= 5 for rating in rated)
    assert any(verdict.failure is None for verdict in found)
