"""Which cells a row lacks: the planner's only rule, checked against a plain simulation of a run."""

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from prefmill.contracts.chat import Turn
from prefmill.contracts.recipe import Recipe
from prefmill.coordinator.domain.cells import lacking, usable
from prefmill.coordinator.domain.plan import Plan, conversation
from prefmill.coordinator.domain.resolved import ResolvedModel, resolve
from prefmill.ledger.desired import Desired, DesiredRubric, answer_key
from prefmill.ledger.row_states import CellKey, RowState
from prefmill.plugins.principles import Drawn

ALIASES = ("a", "b", "c")


def plan(attempts: int = 3, least: int = 2) -> Plan:
    recipe = Recipe.model_validate(
        {
            "name": "cells",
            "source": {"inline": ["hi"]},
            "models": {a: {"engine": "simulated", "model": f"sim-{a}"} for a in ALIASES},
            "judges": {j: {"engine": "simulated", "model": f"sim-{j}"} for j in ("j", "k")},
            "judge": {"rubric": {"ultrafeedback": ["honesty", "helpfulness"]}},
            "limits": {"attempts": attempts},
        }
    )
    rubric = DesiredRubric(
        label="ultrafeedback",
        aspects={"honesty": "aa", "helpfulness": "bb"},
        judges={"j": 11, "k": 12},
        least=least,
    )
    models = {alias: index + 1 for index, alias in enumerate(ALIASES)}
    desired = Desired(models=models, rubrics=(rubric,))
    return Plan(1, 1, resolve(recipe), desired, {}, reuse=False)


PLAN = plan()


def row(*models: str) -> RowState:
    return RowState(0, b"content" * 4, models or ALIASES, given=False)


def answer(state: RowState, slot: int) -> None:
    state.answers[slot, 0] = bytes([slot]) * 32


def test_a_new_row_lacks_the_answers_drawn_for_it_and_nothing_else() -> None:
    cells = lacking(row("a", "c"), PLAN)
    assert [cell.key for cell in cells] == [answer_key((1, 0)), answer_key((3, 0))]


def test_a_closed_batch_makes_cells_of_its_own_slot_wanted_and_the_last_answer_all_verdicts() -> (
    None
):
    state = row("a", "b")
    assert [cell.key.slot_id for cell in lacking(state, PLAN, {1})] == [1]
    assert lacking(state, PLAN, {11}) == []
    answer(state, 1)
    assert lacking(state, PLAN, {1}) == []
    answer(state, 2)
    assert lacking(state, PLAN, {2}) == lacking(state, PLAN)
    assert {cell.key.slot_id for cell in lacking(state, PLAN, {12})} == {12}
    assert lacking(state, PLAN, {99}) == []


def test_verdicts_are_wanted_only_when_every_answer_is_closed() -> None:
    state = row("a", "b")
    answer(state, 1)
    assert [cell.key.slot_id for cell in lacking(state, PLAN)] == [2]
    answer(state, 2)
    wanted = [(cell.key.slot_id, cell.key.aspect) for cell in lacking(state, PLAN)]
    assert wanted == [
        (11, "honesty"),
        (11, "helpfulness"),
        (12, "honesty"),
        (12, "helpfulness"),
    ]


def test_a_row_goes_on_without_a_failed_answer_if_two_are_left() -> None:
    state = row()
    answer(state, 1)
    answer(state, 3)
    state.failures.add(answer_key((2, 0)))
    cells = lacking(state, PLAN)
    assert len(cells) == 4
    assert all(len(cell.order) == 2 for cell in cells)


def test_a_row_with_one_usable_answer_is_not_judged() -> None:
    state = row("a", "b")
    answer(state, 1)
    state.failures.add(answer_key((2, 0)))
    assert lacking(state, PLAN) == []


def test_verdicts_on_other_texts_do_not_count() -> None:
    state = row("a", "b")
    answer(state, 1)
    answer(state, 2)
    state.verdicts = {cell.key for cell in lacking(state, PLAN)}
    assert lacking(state, PLAN) == []
    state.answers[2, 0] = b"x" * 32
    assert len(lacking(state, PLAN)) == 4


def test_an_attempt_asks_anew_with_another_seed_and_order_and_the_last_is_marked() -> None:
    state = row("a", "b")
    first = lacking(state, PLAN)[0]
    state.attempts[first.key] = (2, 2)
    again = lacking(state, PLAN)[0]
    assert (first.attempt, first.last, again.attempt, again.last) == (0, False, 2, True)
    assert first.seed != again.seed
    assert first.digest == again.digest, "whichever was answered, the cell is"


def test_forgiven_attempts_do_not_count_but_are_not_repeated() -> None:
    state = row("a")
    key = answer_key((1, 0))
    state.attempts[key] = (3, 0)
    (cell,) = lacking(state, PLAN)
    assert (cell.attempt, cell.last) == (3, False)


def test_a_model_no_longer_named_is_left_out_of_the_row() -> None:
    assert [cell.key.slot_id for cell in lacking(row("a", "gone", "b"), PLAN)] == [1, 2]


def test_orders_are_uniform_over_rows() -> None:
    firsts = [0, 0, 0]
    for index in range(3000):
        state = RowState(0, index.to_bytes(32, "big"), ALIASES, given=False)
        for slot in (1, 2, 3):
            answer(state, slot)
        cell = lacking(state, PLAN)[0]
        assert sorted(cell.order) == [0, 1, 2]
        firsts[cell.order[0]] += 1
    assert all(880 < count < 1120 for count in firsts), firsts


@given(st.integers(min_value=0, max_value=2**32), st.integers(min_value=1, max_value=4))
@settings(max_examples=60)
def test_any_order_of_results_and_failures_ends_with_every_cell_closed_once(
    seed: int, attempts: int
) -> None:
    chance = random.Random(seed)
    plan_ = plan(attempts)
    state = row()
    asked: dict[CellKey, int] = {}
    for _ in range(200):
        cells = lacking(state, plan_)
        if not cells:
            break
        cell = chance.choice(cells)
        asked[cell.key] = asked.get(cell.key, 0) + 1
        close(state, cell, chance)
    assert lacking(state, plan_) == []
    assert max(asked.values()) <= attempts
    expected = 3 + (4 if len(usable(state, plan_)) >= 2 else 0)
    assert len(state.answers) + len(state.verdicts) + len(state.failures) == expected


def close(state: RowState, cell: object, chance: random.Random) -> None:
    key, last, attempt = cell.key, cell.last, cell.attempt  # type: ignore[attr-defined]
    if chance.random() < 0.4:
        made, counted = state.attempts.get(key, (0, 0))
        state.attempts[key] = (attempt + 1, counted + 1)
        assert made == attempt
        if last:
            state.failures.add(key)
    elif key.aspect:
        state.verdicts.add(key)
    else:
        answer(state, key.slot_id)


def test_a_principle_follows_the_rows_or_the_recipes_system_prompt_folded_if_need_be() -> None:
    keeps = PLAN.resolved.models[0]
    folds = replace(keeps, spec=keeps.spec.model_copy(update={"system": "fold"}))
    user, own = {"role": "user", "content": "hi"}, {"role": "system", "content": "Own."}
    drawn = Drawn("honesty", "Be honest.")

    def sent(model: ResolvedModel, *messages: Turn) -> list[str]:
        return [turn["content"] for turn in conversation(messages, model, "Recipe's.", drawn)]

    assert sent(keeps, user) == ["Recipe's.\n\nBe honest.", "hi"]
    assert sent(keeps, own, user) == ["Own.\n\nBe honest.", "hi"]
    assert sent(folds, own, user) == ["Own.\n\nBe honest.\n\nhi"]
