"""What is shown of a run is a plain function of its status."""

import pytest
from rich.console import Console

from prefmill.cli.commands.runs import status_lines
from prefmill.cli.show.lines import done_to, milestones, progress
from prefmill.cli.show.live import picture
from prefmill.cli.show.numbers import count, seconds
from prefmill.cli.show.outcome import (
    export_lines,
    nothing_made,
    run_lines,
    sum_line,
    text_of,
)
from prefmill.cli.show.pace import Pace
from prefmill.cli.show.plan import beyond_cap, cost_of, paid_calls, plan_lines
from prefmill.contracts.api import (
    ExportStatus,
    FormatOutcome,
    RunPlan,
    RunStatus,
    SlotPlan,
    SlotStatus,
)
from prefmill.contracts.money import dollars
from prefmill.contracts.standing import standing, trouble


def slot(alias: str, **values: object) -> SlotStatus:
    known = {"kind": "generate", "model": f"{alias}-7b", "wanted": 100, "done": 0, "failed": 0}
    return SlotStatus.model_validate({"alias": alias, "health": "ready", **known, **values})


def run(*slots: SlotStatus, **values: object) -> RunStatus:
    known = {"id": 1, "name": "r", "state": "running", "rows": 100, "source_done": True}
    return RunStatus.model_validate({**known, "slots": slots, **values})


def test_a_plain_line_says_how_far_each_is_how_fast_and_how_long_still() -> None:
    pace = Pace()
    for second, a, j in ((0, 0, 0), (2, 8, 0), (4, 16, 2), (6, 24, 4), (8, 32, 6)):
        pace.add(second, run(slot("a", done=a), slot("j", kind="judge", wanted=50, done=j)))
    now = run(slot("a", done=38, failed=2), slot("j", kind="judge", wanted=50, done=10))
    now = now.model_copy(update={"cost_usd": 0.0421})
    pace.add(10.0, now)
    assert progress(now, pace, 75.0) == (
        "1 min 15 s  a 40/100 (2 failed)  j 10/50  5.0 calls/s  $0.042  about 30 s left"
    )


def test_no_time_is_told_before_a_few_steps_or_while_prompts_still_come() -> None:
    pace = Pace()
    now = run(slot("a", done=1))
    pace.add(0.0, now)
    assert progress(now, pace, 1.0) == "    1 s  a 1/100  – calls/s  $0.00"
    for second in (1, 2, 3):
        later = run(slot("a", done=1 + 10 * second))
        pace.add(second, later)
        told = progress(later, pace, second).partition("$0.00")[2]
        assert told == ("  about 7 s left" if second == 3 else "")
    loading = later.model_copy(update={"source_done": False})
    assert progress(loading, pace, 3.0).endswith("$0.00")


def test_the_time_left_does_not_count_how_long_the_first_batch_took() -> None:
    pace = Pace()
    looks = [(0.25 * look, 32 * max(0, look // 4 - 4)) for look in range(40)]  # from second 5 on
    for second, done in looks:
        pace.add(second, run(slot("a", wanted=1000, done=done)))
    done = looks[-1][1]
    assert pace.left(slot("a", wanted=1000, done=done)) == (1000 - done) / 32


def test_the_time_left_grows_while_a_batch_is_overdue() -> None:
    pace = Pace()
    for second, done in ((0, 0), (1, 10), (2, 20), (3, 30)):
        pace.add(second, run(slot("a", done=done)))
    assert pace.left(slot("a", done=30)) == 7
    pace.add(9.0, run(slot("a", done=30)))
    assert pace.left(slot("a", done=30)) == 70 * 7 / 20


def test_the_pace_forgets_what_is_long_ago() -> None:
    pace = Pace()
    for second, done in ((0, 0), (100, 10), (110, 60)):
        pace.add(second, run(slot("a", done=done)))
    assert pace.rate(slot("a")) == 5.0


def test_a_lane_without_a_worker_is_named_with_the_rows_that_wait() -> None:
    absent = {"health": None, "detail": "no worker serves it yet"}
    assert trouble(slot("a", **absent, waiting=1200)) == (
        "no worker serves it yet; 1,200 rows wait for it"
    )
    assert trouble(slot("a", health=None, waiting=12)) == "", "its first worker may still come"
    assert trouble(slot("a", health="unusable", detail="401: wrong key", waiting=1)) == (
        "unusable: 401: wrong key; 1 row waits for it"
    )
    assert trouble(slot("a", health=None, waiting=0)) == ""
    assert trouble(slot("a", detail="rate limited, waits 3 s", waiting=5)) == (
        "rate limited, waits 3 s"
    )


def test_a_lane_without_a_worker_is_told_while_another_one_is_still_probed() -> None:
    before = run(slot("a", waiting=9, health=None), state="probing")
    alone = slot("a", waiting=9, health=None, detail="no worker serves it yet")
    assert milestones(before, run(alone, state="probing")) == [
        "models.a: no worker serves it yet; 9 rows wait for it"
    ]


def test_the_status_of_a_run_that_goes_on_says_once_what_stands_still() -> None:
    alone = slot("a", waiting=9, health=None, detail="no worker serves it yet")
    slow = slot("b", waiting=5, detail="rate limited, waits 3 s")
    reason = standing([alone, slow])
    assert reason == "models.a: no worker serves it yet; 9 rows wait for it"
    going = "\n".join(status_lines(run(alone, reason=reason)))
    assert going.count("no worker serves it yet; 9 rows wait for it") == 1
    assert "(no key)" in status_lines(run(alone, reason="no key", state="failed"))[0]


def test_the_status_of_a_run_that_failed_for_several_causes_has_a_line_for_each() -> None:
    lines = status_lines(run(reason="models.a: no key\njudges.j: 404", state="failed"))
    assert lines[0].startswith("r: failed · ")
    assert lines[1:3] == ["  models.a: no key", "  judges.j: 404"]


def test_the_status_tells_of_the_dataset_and_then_of_the_newest_one_made_otherwise() -> None:
    made = [
        ExportStatus(id=1, state="written", directory="out/r"),
        ExportStatus(id=3, state="written", directory="out/r-export", own=False),
        ExportStatus(id=2, state="failed", directory="out/old", own=False),
    ]
    told = [line for line in status_lines(run(exports=made)) if "dataset" in line]
    assert told == ["dataset written: out/r", "another dataset written: out/r-export"]


def test_what_stands_still_has_a_line_for_each_model_and_judge() -> None:
    alone = slot("a", waiting=9, health=None, detail="no worker serves it yet")
    wrong = slot("j", kind="judge", waiting=2, health="unusable", detail="404")
    assert standing([alone, wrong]).splitlines() == [
        "models.a: no worker serves it yet; 9 rows wait for it",
        "judges.j: unusable: 404; 2 rows wait for it",
    ]


def test_milestones_are_told_once() -> None:
    first = run(slot("a", done=99), state="loading", source_done=False)
    second = run(slot("a", done=99))
    done = slot("a", done=99, failed=1, reused=4, input_tokens=12_345, output_tokens=99)
    third = run(done)
    assert milestones(None, first) == ["loading prompts"]
    assert milestones(first, second) == ["100 prompts loaded", "running"]
    assert milestones(second, third) == [
        "models.a: done, 99 answers, 4 reused, 1 failed, 12.3k tokens read, 99 written, –"
    ]
    assert milestones(third, third) == []


def test_the_last_models_are_done_before_all_calls_are() -> None:
    before = run(slot("a", done=99))
    assert milestones(before, run(slot("a", done=100), state="finished")) == [
        "models.a: done, 100 answers, 0 tokens read, 0 written, –",
        "all calls are done",
    ]


def test_a_lane_that_stands_is_told_when_it_begins_to_and_when_the_reason_changes() -> None:
    fine = run(slot("a", waiting=9))
    alone = run(slot("a", waiting=9, health=None, detail="no worker serves it yet"))
    broken = run(slot("a", waiting=8, health="unusable", detail="404: no such model"))
    assert milestones(fine, alone) == ["models.a: no worker serves it yet; 9 rows wait for it"]
    assert milestones(alone, alone) == []
    assert milestones(alone, broken) == [
        "models.a: unusable: 404: no such model; 8 rows wait for it"
    ]


def test_why_a_run_stopped_is_left_to_its_end_and_a_paused_one_tells_how_to_go_on() -> None:
    going = run()
    assert milestones(going, run(state="failed", reason="no key")) == ["stopped"]
    assert milestones(going, run(state="paused")) == ["paused; go on with: prefmill resume r"]


def test_an_export_is_told_when_it_is_begun() -> None:
    wanted = ExportStatus(id=4, state="wanted")
    writing = ExportStatus(id=4, state="writing", directory="/data/r")
    assert milestones(run(exports=(wanted,)), run(exports=(writing,))) == [
        "writing the dataset to /data/r"
    ]


def test_a_dataset_so_far_is_told_with_the_formats_that_failed() -> None:
    begun = ExportStatus(id=4, state="writing", so_far=True)
    made = ExportStatus(id=4, state="written", so_far=True, directory="hub/x")
    broken = made.model_copy(update={"error": "the format f is not written: why"})
    assert milestones(run(exports=(begun,)), run(exports=(made,))) == [
        "the dataset so far is at hub/x"
    ]
    assert milestones(run(exports=(begun,)), run(exports=(broken,))) == [
        "the dataset so far is at hub/x; the format f is not written: why"
    ]


def test_the_sum_of_a_format_adds_up_and_names_the_reasons() -> None:
    sums = FormatOutcome(
        prompts=805, out=790, ties=10, dropped={"below-margin": 4, "bad-row": 1}, records=790
    )
    assert sum_line("trl", sums) == (
        "trl: 805 prompts = 790 out + 10 ties + 5 dropped (1 bad-row, 4 below-margin)"
    )
    many = sums.model_copy(update={"records": 1580, "dropped": {}})
    assert sum_line("kto", many).endswith("+ 0 dropped; 1,580 records")


def test_the_end_says_what_was_paid_and_what_failed() -> None:
    ended = run(
        slot("a", done=99, failed=1, cost_usd=0.5, reused=3),
        slot("b", done=100),
        input_tokens=1000,
        output_tokens=20,
        cost_usd=0.5,
        rows_failed=2,
    )
    assert run_lines(ended) == [
        (
            "paid: 1,000 tokens read, 20 written, $0.50 (no price known for b); "
            "3 answers and verdicts reused"
        ),
        ("2 prompts could not be used, 1 answer or verdict failed for good; see failures.jsonl"),
    ]


def test_responses_that_came_blank_have_failed_but_are_not_tried_again() -> None:
    labelled = run(slot("human", kind="given", done=98, failed=2), slot("j", kind="judge"))
    assert run_lines(labelled)[1] == "2 answers or verdicts failed for good; see failures.jsonl"
    said = done_to("retry", labelled, labelled)
    assert said == "r: no answer or verdict had failed; it is looked at once more"
    broken = run(*labelled.slots[:1], slot("j", kind="judge", failed=1))
    assert done_to("retry", broken, broken) == "r: 1 failed answer or verdict will be tried again"


def test_the_end_of_a_run_that_went_on_says_what_was_paid_now_and_what_in_all() -> None:
    spent = {"input_tokens": 1000, "output_tokens": 20, "cost_usd": 0.5}
    before = run(slot("a", done=99, reused=3, cost_usd=0.5), **spent)
    assert run_lines(before, before) == [
        "paid: 0 tokens read, 0 written, $0.00 now; in all: 1,000 tokens read, 20 written, $0.50"
    ]
    more = {"input_tokens": 1500, "output_tokens": 30, "cost_usd": 0.75}
    after = run(slot("a", done=120, reused=4, cost_usd=0.75), **more)
    assert run_lines(after, before) == [
        (
            "paid: 500 tokens read, 10 written, $0.25 now; "
            "in all: 1,500 tokens read, 30 written, $0.75; 1 answer or verdict reused"
        )
    ]
    assert run_lines(before, run(slot("a"))) == run_lines(before), "all of it was paid now"


def test_the_end_says_that_a_transform_failed_after_pooling() -> None:
    sums = FormatOutcome(
        prompts=5, out=2, ties=0, dropped={"output-transform-failed": 3}, records=2
    )
    made = ExportStatus(id=4, state="written", directory="/d", outcome={"raw": sums, "trl": sums})
    assert run_lines(run(exports=(made,)))[1] == (
        "a transform after pooling failed on 3 prompts; see /d/failures.jsonl"
    )


def test_calls_that_were_killed_are_told_apart_from_what_was_paid() -> None:
    assert run_lines(run(asked_again=96))[1] == (
        "96 calls were with workers when everything was killed, and made again: what those that "
        "had begun cost the first time is not known, and not in that sum"
    )
    assert len(run_lines(run(asked_again=0))) == 1


def test_the_table_of_a_terminal_holds_every_model_and_what_is_wrong() -> None:
    pace = Pace()
    now = run(
        slot("a", done=5, cost_usd=0.01),
        slot("j", kind="judge", health="unusable", detail="401: wrong key", waiting=95),
    )
    pace.add(0.0, now)
    console = Console(width=120, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as captured:
        console.print(picture(now, pace, 3.0))
    shown = captured.get()
    assert "r: running · 100 prompts · 3 s · $0.00" in shown
    assert "a-7b" in shown
    assert "j: unusable: 401: wrong key; 95 rows wait for it" in shown


def test_a_plan_shows_changes_sums_and_warnings() -> None:
    plan = RunPlan(
        rows=10,
        new_revision=True,
        changes=("judges.k: added",),
        slots=(
            SlotPlan(
                kind="generate",
                alias="a",
                model="m",
                calls=0,
                stored=30,
                input_tokens=0,
                output_tokens=0,
                cost_usd=0.0,
                paid=False,
            ),
            SlotPlan(
                kind="judge",
                alias="k",
                model="gpt-x",
                calls=40,
                stored=0,
                input_tokens=52_000,
                output_tokens=9_000,
                cost_usd=None,
                paid=True,
                warnings=("no price is known",),
            ),
        ),
    )
    assert plan_lines(plan) == [
        "the recipe has changed:",
        "  judges.k: added",
        "10 prompts; about:",
        "             model  calls  stored  tokens read  written   cost",
        "  model   a  m          0      30            0      ≤ 0   free",
        "  judge   k  gpt-x     40                52.0k  ≤ 9,000      –",
        "  in all               40      30        52.0k  ≤ 9,000  $0.00",
        "  ! judges.k: no price is known",
    ]
    assert paid_calls(plan) == 40
    assert cost_of(plan) == "about $0.00, the unknown price of k aside"
    fresh = [slot.model_copy(update={"stored": 0}) for slot in plan.slots]
    assert plan_lines(plan.model_copy(update={"slots": fresh}))[3:5] == [
        "             model  calls  tokens read  written   cost",
        "  model   a  m          0            0      ≤ 0   free",
    ]


def test_a_plan_that_calls_nothing_is_what_changed_and_one_line() -> None:
    known = {"kind": "judge", "alias": "j", "model": "m", "calls": 0, "stored": 9, "paid": True}
    known |= {"input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0}
    plan = RunPlan(rows=9, slots=(SlotPlan.model_validate(known),))
    nothing = "nothing is to be called: every answer and verdict is stored"
    assert plan_lines(plan) == [nothing]
    changed = plan.model_copy(update={"changes": ("limits: added",)})
    assert plan_lines(changed) == ["the recipe has changed:", "  limits: added", nothing]


def test_an_estimate_beyond_the_cap_says_how_far_the_run_will_come() -> None:
    known = {"kind": "generate", "model": "m", "calls": 9, "stored": 0, "paid": True}
    known |= {"input_tokens": 1, "output_tokens": 1}
    costs = {"a": 6.0, "b": 4.0, "c": None}
    slots = [
        SlotPlan.model_validate({"alias": a, "cost_usd": c, **known}) for a, c in costs.items()
    ]
    plan = RunPlan(rows=9, slots=tuple(slots))
    assert beyond_cap(plan, None) == beyond_cap(plan, 10.0) == beyond_cap(plan, 12, spent=2.0) == []
    assert beyond_cap(plan.model_copy(update={"slots": ()}), 1.0, spent=2.0) == []
    (line,) = beyond_cap(plan, 2.5)
    assert line.startswith(
        "limits.cost_usd: the estimate, $10.00, exceeds the cap of $2.50: the run stops there, "
        "after about 25% of these calls if "
    )
    (line,) = beyond_cap(plan, 4, spent=3.0)
    assert "$10.00 (beside $3.00 that are spent), exceeds the cap of $4.00" in line
    assert "about 10% of these calls" in line
    assert "about 0% of these calls" in beyond_cap(plan, 1, spent=3.0)[0]


def test_numbers_are_short_and_say_something() -> None:
    assert [count(n) for n in (0, 9_999, 12_345, 999_950, 4_100_000)] == [
        "0",
        "9,999",
        "12.3k",
        "1.0M",
        "4.1M",
    ]
    assert [dollars(d) for d in (None, 0, 3e-7, 0.0042, 0.01, 0.0999, 0.5, 1234.5)] == [
        "–",
        "$0.00",
        "$0.0000003",
        "$0.0042",
        "$0.01",
        "$0.10",
        "$0.50",
        "$1,234.50",
    ]
    assert [seconds(s) for s in (None, 0.4, 59, 61, 3 * 3600 + 120)] == [
        "–",
        "0 s",
        "59 s",
        "1 min 1 s",
        "3 h 2 min",
    ]


def test_one_record_of_what_trainers_read_is_shown(tmp_path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    (tmp_path / "trl").mkdir()
    said = [{"role": "assistant", "content": "Because\n  of the " + "air " * 100}]
    record = {
        "prompt": [{"role": "user", "content": "Why?"}],
        "chosen": said,
        "rejected": said,
        "chosen_rating": 4.5,
    }
    parquet.write_table(pa.Table.from_pylist([record]), tmp_path / "trl" / "test-00000.parquet")
    sums = {"prompts": 1, "out": 1, "ties": 0, "dropped": {}, "records": 1}
    outcome = {"raw": FormatOutcome(**sums), "trl": FormatOutcome(**sums, test=1)}
    export = ExportStatus(id=1, state="written", directory=str(tmp_path), outcome=outcome)
    load, *lines = export_lines(export)[3:]
    assert load == f'load it:  datasets.load_dataset("{tmp_path}", "trl", split="test")'
    assert lines[:2] == ["one record of trl:", "  prompt:         Why?"]
    assert lines[2].startswith("  chosen:         Because of the air air")
    assert lines[2].endswith("…")
    assert lines[-1] == "  chosen_rating:  4.5"


def test_a_dataset_without_a_record_is_not_to_be_loaded(tmp_path) -> None:
    nothing = FormatOutcome(prompts=1, out=0, ties=1, dropped={}, records=0)
    filled = FormatOutcome(prompts=1, out=1, ties=0, dropped={}, records=1)
    export = ExportStatus(id=1, state="written", directory=str(tmp_path), outcome={"trl": nothing})
    assert export_lines(export)[1:] == [
        f"ties and dropped prompts: {tmp_path}/dropped.jsonl",
        f"dataset: {tmp_path}",
    ]
    assert nothing_made(export) == "there is not one record to load; the sums say why"
    assert (
        nothing_made(export.model_copy(update={"outcome": {"trl": nothing, "raw": filled}})) == ""
    )


@pytest.mark.parametrize(
    ("reason", "says"),
    [("not-finished", "go on with the run first"), ("not-judged", "no judge of the run was asked")],
)
def test_an_empty_dataset_says_what_was_lacking(reason: str, says: str) -> None:
    lacking = FormatOutcome(prompts=1, out=0, ties=0, dropped={reason: 1}, records=0)
    assert says in nothing_made(ExportStatus(id=1, state="written", outcome={"trl": lacking}))


def test_of_messages_the_last_is_shown() -> None:
    assert text_of([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]) == "b"
    assert text_of(["x"]) == "['x']"


def test_a_lane_that_waits_for_its_server_says_so_once_and_is_marked_in_every_line() -> None:
    fine = run(slot("a", waiting=9))
    said = "waiting: {} failures in succession, the last: a at h: time-out"
    waits = run(slot("a", waiting=9, detail=said.format(5)))
    still = run(slot("a", waiting=9, detail=said.format(25)))
    assert milestones(fine, waits) == [f"models.a: {said.format(5)}"]
    assert milestones(waits, still) == []
    assert "a 0/100 (see above)" in progress(still, Pace(), 9.0)


def test_a_probe_that_gets_no_answer_is_told_while_a_worker_still_to_come_is_not() -> None:
    before = run(slot("a", waiting=9, health=None), state="probing")
    waits = slot("a", waiting=9, health="probing", detail="waiting: 1 failure: cannot connect")
    assert milestones(None, before)[-1] == "asking every model and judge for a sign of life"
    assert milestones(before, run(waits, state="probing")) == [
        "models.a: waiting: 1 failure: cannot connect; nothing else is called before it answers"
    ]


def test_a_run_that_ends_with_fewer_verdicts_than_were_expected_says_why() -> None:
    before = run(slot("j", kind="judge", done=95))
    judge = slot("j", kind="judge", wanted=95, done=95, not_asked=5)
    after = run(judge, state="finished")
    said = "5 verdicts not asked for: too few usable answers"
    tokens = "0 tokens read, 0 written, –"
    assert f"judges.j: done, 95 verdicts, {tokens}; {said}" in milestones(before, after)
    assert f"  j: {said}" in status_lines(after)


def test_prompts_that_the_recipe_wants_no_more_are_told_beside_those_that_are_loaded() -> None:
    limited = run(slot("a"), rows_wanted=20)
    told = "100 prompts, of which the recipe wants the first 20"
    assert told in status_lines(limited)[0]
    console = Console(width=120)
    with console.capture() as captured:
        console.print(picture(limited, Pace(), 1.0))
    assert told in captured.get()
    assert "100 prompts loaded, of which the recipe wants the first 20" in milestones(None, limited)
