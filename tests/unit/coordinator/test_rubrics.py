"""One rubric or several: how they are written, named, and told apart."""

import pytest

from prefmill.contracts.recipe import Recipe
from prefmill.coordinator.domain.resolved import Resolved, resolve
from prefmill.coordinator.submission import desired_of
from prefmill.ledger.desired import Desired, subsets, target_of
from prefmill.plugins.errors import RecipeError

HONEST = {"ultrafeedback": ["honesty"]}
HELPFUL = {"ultrafeedback": ["helpfulness", "honesty"]}


def resolved(rubric: object, **changes: object) -> Resolved:
    value = {
        "name": "r",
        "source": {"inline": ["hi"]},
        "models": {a: {"engine": "simulated", "model": a} for a in "ab"},
        "judges": {j: {"engine": "simulated", "model": j} for j in "jk"},
        "judge": {"rubric": rubric},
    }
    return resolve(Recipe.model_validate({**value, **changes}))


def wanted(made: Resolved) -> Desired:
    models = (*made.models, *made.judges)
    return desired_of(made, {model.key: number for number, model in enumerate(models, 1)})


@pytest.mark.parametrize("rubric", ["ultrafeedback", HONEST, [HONEST], ["ultrafeedback"]])
def test_one_rubric_may_stand_alone_or_in_a_list(rubric: object) -> None:
    made = resolved(rubric)
    assert [rubric.label for rubric in made.rubrics] == ["ultrafeedback"]
    assert [judge.label for judge in made.judges] == ["j", "k"]


def test_each_judge_with_each_rubric_is_a_slot_and_equal_aspects_are_told_apart() -> None:
    made = resolved([HONEST, HELPFUL])
    labels = ["j/ultrafeedback", "k/ultrafeedback", "j/ultrafeedback-2", "k/ultrafeedback-2"]
    assert [judge.label for judge in made.judges] == labels
    assert len({judge.key for judge in made.judges}) == 4
    desired = wanted(made)
    assert desired.aspects == ("ultrafeedback-honesty", "helpfulness", "ultrafeedback-2-honesty")
    assert desired.judges == ("j", "k")


def test_no_rubric_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 1 item"):
        resolved([])


def test_a_bad_rubric_in_a_list_is_named_by_its_place() -> None:
    with pytest.raises(RecipeError, match=r"judge\.rubric\.1: no rubric named 'ultrafedback'"):
        resolved([HONEST, "ultrafedback"])


def test_an_aspect_to_score_by_must_be_judged() -> None:
    with pytest.raises(RecipeError, match=r"pool\.of: 'honest' is not judged; did you mean"):
        resolved(HONEST, pool={"of": ["honest"]})


def test_a_rubric_has_parameters_of_its_own_over_those_of_the_step_and_below_the_judges() -> None:
    step = {"max_tokens": 900, "temperature": 0.5}
    critique = {"critique": None, "params": {"max_new_tokens": 1024}}
    judges: dict[str, object] = {j: {"engine": "simulated", "model": j} for j in "jk"}
    judges["k"] = {"engine": "simulated", "model": "k", "params": {"max_tokens": 300}}
    made = resolved([HONEST, critique], judge={"rubric": [HONEST, critique], "params": step})
    assert {j.label: j.params.max_tokens for j in made.judges if j.alias == "j"} == {
        "j/ultrafeedback": 900, "j/critique": 1024,
    }  # fmt: skip
    assert {judge.params.temperature for judge in made.judges} == {0.5}
    changed = {"judge": {"rubric": [HONEST, critique], "params": step}, "judges": judges}
    own = resolved([HONEST, critique], **changed)
    assert {j.params.max_tokens for j in own.judges if j.alias == "k"} == {300}


def test_parameters_of_a_rubric_ask_anew_for_its_verdicts_alone() -> None:
    before = resolved([HONEST, "critique"])
    after = resolved([HONEST, {"critique": None, "params": {"max_tokens": 1024}}])
    changed = [
        new.label
        for old, new in zip(before.judges, after.judges, strict=True)
        if old.key != new.key
    ]
    assert changed == ["j/critique", "k/critique"]
    assert wanted(before).rubrics[1].hash == wanted(after).rubrics[1].hash


def test_a_wrong_parameter_of_a_rubric_is_named_with_its_place() -> None:
    with pytest.raises(RecipeError, match=r"judge\.rubric\.1\.params\.max_tokns: unknown key; did"):
        resolved([HONEST, {"critique": None, "params": {"max_tokns": 9}}])


def test_an_edited_template_changes_the_cells_of_its_aspect_alone() -> None:
    texts = [((1, 0), b"a" * 32), ((2, 0), b"b" * 32)]

    def targets(aspects: dict[str, str]) -> dict[str, bytes]:
        (rubric,) = wanted(resolved(HELPFUL)).rubrics
        desired = Desired(models={}, rubrics=(rubric.model_copy(update={"aspects": aspects}),))
        return {cell.key.aspect: cell.key.target for cell in desired.verdicts(texts)}

    before = targets({"helpfulness": "aa", "honesty": "bb"})
    after = targets({"helpfulness": "cc", "honesty": "bb"})
    assert before["honesty"] == after["honesty"]
    assert before["helpfulness"] != after["helpfulness"]


def test_pairs_are_asked_in_both_orders_and_single_texts_once() -> None:
    assert subsets("all", 3) == ((0, 1, 2),)
    assert subsets("each", 3) == ((0,), (1,), (2,))
    assert subsets("pairs", 3) == ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1))
    assert subsets("pairs", 1) == ()


def test_what_an_older_version_stored_is_still_wanted_by_the_same_keys() -> None:
    old = {
        "models": {"a": 1, "b": 2},
        "judges": {"j": 3},
        "rubric": "ultrafeedback",
        "rubric_hash": "ff",
        "aspects": ["honesty"],
        "least_generations": 2,
        "rows": None,
    }
    desired = Desired.model_validate(old)
    texts = [((1, 0), b"a" * 32), ((2, 0), b"b" * 32)]
    (cell,) = desired.verdicts(texts)
    assert (cell.judge, cell.key) == ("j", (3, "honesty", 0, target_of(texts)))
    assert Desired.model_validate(desired.model_dump(mode="json")) == desired
