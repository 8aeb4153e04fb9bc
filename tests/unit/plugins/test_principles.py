"""Principles are drawn by the odds of the prompt's source, the same whenever it is asked."""

from collections import Counter
from math import sqrt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from prefmill.contracts.recipe import GenerateStep
from prefmill.coordinator.samplers.sample import SampleOptions, SampleSampler
from prefmill.plugins.digest import digest_of
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.principles import Principles, principles_of, profiles, wordings

ROWS = 4_000


def principles(value: object, seed: int = 7) -> Principles:
    step = GenerateStep.model_validate({"principles": value})
    made = principles_of(step.principles, seed)
    assert made is not None
    return made


def content(row: int) -> bytes:
    return digest_of("row", row)


def counted(made: Principles, source: str | None, rows: int = ROWS) -> Counter[str]:
    drawn = (made.draw(content(row), source, "m", 0) for row in range(rows))
    return Counter(one.principle for one in drawn if one)


def assert_shares(counts: Counter[str], odds: dict[str, float]) -> None:
    """Within four standard deviations of a binomial count; nothing is drawn that has no weight."""
    rows, whole = counts.total(), sum(odds.values())
    assert set(counts) <= {name for name, weight in odds.items() if weight}
    for name, weight in odds.items():
        share = weight / whole
        assert abs(counts[name] - rows * share) <= 4 * sqrt(rows * share * (1 - share)), name


@pytest.mark.parametrize("profile", sorted(profiles()))
def test_each_source_of_a_profile_is_drawn_by_its_odds(profile: str) -> None:
    made = principles(profile)
    for source, odds in profiles()[profile].items():
        assert sum(odds.values()) == 100
        assert_shares(counted(made, source), odds)
    helpful = Counter({"helpfulness": 50})
    assert counted(made, "heard nowhere", 50) == counted(made, None, 50) == helpful


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    odds=st.dictionaries(
        st.sampled_from(sorted(wordings())), st.integers(1, 100).map(float), min_size=1
    ),
    seed=st.integers(0, 2**40),
)
def test_any_odds_of_a_recipe_are_kept_over_many_rows(odds: dict[str, float], seed: int) -> None:
    assert_shares(counted(principles({"odds": {"web": odds}}, seed), "web", 1_000), odds)


def test_a_principle_does_not_depend_on_which_models_were_drawn_for_the_row() -> None:
    made, pool = principles("ultrafeedback"), tuple("abcdefgh")
    sampler = SampleSampler(SampleOptions(sample=2), pool, 7)
    by_partner: dict[str, Counter[str]] = {alias: Counter() for alias in pool}
    for row in range(ROWS):
        drawn = sampler.draw(row)
        for alias, partner in (drawn, drawn[::-1]):
            told = made.draw(content(row), "sharegpt", alias, 0)
            assert told is not None
            by_partner[partner][told.principle] += 1
    for counts in by_partner.values():
        assert_shares(counts, profiles()["ultrafeedback"]["sharegpt"])


def test_two_answers_to_a_row_are_told_independently() -> None:
    made = principles({"odds": {"*": ["honesty", "helpfulness"]}})
    for other in (("n", 0), ("m", 1)):
        pairs: Counter[str] = Counter()
        for row in range(ROWS):
            one, two = made.draw(content(row), None, "m", 0), made.draw(content(row), None, *other)
            assert one is not None
            assert two is not None
            pairs[f"{one.principle} {two.principle}"] += 1
        assert_shares(pairs, dict.fromkeys(pairs, 25.0))
        assert len(pairs) == 4


def test_every_wording_of_a_principle_is_told() -> None:
    made = principles({"odds": {"*": ["honesty", "verbalized_calibration"]}})
    told = [made.draw(content(row), None, "m", 0) for row in range(1_000)]
    for name in ("honesty", "verbalized_calibration"):
        texts = Counter(one.wording for one in told if one and one.principle == name)
        assert set(texts) == set(wordings()[name])
        assert_shares(texts, dict.fromkeys(texts, 1.0))


def test_calibration_asks_for_the_confidence_and_every_wording_is_another() -> None:
    assert all("`Confidence: NN%`" in text for text in wordings()["verbalized_calibration"])
    texts = [text for told in wordings().values() for text in told]
    assert len(texts) == len(set(texts)) == 4 * 11 + 3


def test_a_draw_is_the_same_when_made_again_and_after_it_was_stored() -> None:
    made = principles("ultrafeedback")
    stored = Principles.model_validate_json(made.model_dump_json())
    other = principles("ultrafeedback", seed=8)
    draws = [made.draw(content(row), "sharegpt", "m", 0) for row in range(100)]
    assert draws == [stored.draw(content(row), "sharegpt", "m", 0) for row in range(100)]
    assert draws != [other.draw(content(row), "sharegpt", "m", 0) for row in range(100)]
    assert stored.key == made.key != other.key


def test_the_first_draws_of_a_seed_stay_what_they_are() -> None:
    """Stored answers were told these: another version must not draw others."""
    odds = {"*": {"honesty": 1, "helpfulness": 2, "truthfulness": 3}}
    made = principles({"odds": odds, "wordings": {name: [name] for name in odds["*"]}})
    drawn = [made.draw(content(row), None, "m", 0) for row in range(12)]
    assert "".join(one.principle[:2] for one in drawn if one) == "hetrtrhetrtrhetrhotrhehe"


def test_odds_that_change_change_few_of_the_draws() -> None:
    before = principles({"odds": {"*": {"helpfulness": 50, "honesty": 50}}})
    after = principles({"odds": {"*": {"honesty": 52, "helpfulness": 48}}})
    pairs = [
        [made.draw(content(row), None, "m", 0) for made in (before, after)] for row in range(1_000)
    ]
    assert 0 < sum(one != two for one, two in pairs) < 50


def test_odds_of_the_recipe_win_over_those_of_its_profile_source_by_source() -> None:
    spec: dict[str, Any] = {
        "profile": "ultrafeedback",
        "odds": {"flan": "brevity"},
        "wordings": {"brevity": ["Be brief."]},
    }
    made = principles(spec)
    assert set(counted(made, "flan")) == {"brevity"}
    assert_shares(counted(made, "ultrachat"), profiles()["ultrafeedback"]["ultrachat"])
    assert "harmlessness" not in made.wordings


def test_a_source_without_odds_has_no_principle() -> None:
    made = principles({"odds": {"flan": "honesty"}})
    assert made.draw(content(0), "sharegpt", "m", 0) is None
    assert made.draw(content(0), None, "m", 0) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("ultrafeedbak", "principles.profile: 'ultrafeedbak' is not known; did you mean"),
        ({"odds": {"*": ["honest"]}}, "'honest' is not known; did you mean 'honesty'"),
        ({"odds": {"flan": {"honesty": 0}}}, "odds.flan: nothing could be drawn"),
        ({"odds": {"flan": []}}, "odds.flan: nothing could be drawn"),
        ({}, "names neither a `profile` nor `odds`; there are the profiles ultrafeedback and"),
    ],
)
def test_what_cannot_be_drawn_is_named(value: object, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        principles(value)


@pytest.mark.parametrize(
    "value", [{"odds": {"*": {"honesty": -1}}}, {"odds": {"*": {"honesty": float("inf")}}}]
)
def test_a_weight_is_a_number_from_0_on(value: object) -> None:
    with pytest.raises(ValidationError):
        GenerateStep.model_validate({"principles": value})
