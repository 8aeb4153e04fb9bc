import subprocess
import sys
from collections import Counter
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefmill.coordinator.samplers.all import AllOptions, AllSampler
from prefmill.coordinator.samplers.on_policy import OnPolicyOptions, OnPolicySampler
from prefmill.coordinator.samplers.pairs import meetings
from prefmill.coordinator.samplers.sample import SampleOptions, SampleSampler
from prefmill.coordinator.samplers.shares import apportion, shares_of
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.registry import named_options

SEEDS = st.integers(min_value=0, max_value=2**63 - 1)


@st.composite
def pools(draw: st.DrawFn) -> tuple[list[str], int]:
    models = draw(st.integers(min_value=1, max_value=20))
    return [f"m{i}" for i in range(models)], draw(st.integers(min_value=1, max_value=models))


def sampler(pool: list[str], size: int, seed: int, **options: object) -> SampleSampler:
    chosen = SampleOptions.model_validate({"sample": size, **options})
    return SampleSampler(chosen, pool, seed)


def counts_of(draws: list[tuple[str, ...]]) -> Counter[str]:
    return Counter(alias for draw in draws for alias in draw)


def meetings_of(draws: list[tuple[str, ...]]) -> Counter[tuple[str, str]]:
    return Counter(pair for draw in draws for pair in combinations(draw, 2))


def test_all_draws_the_whole_pool_in_its_order() -> None:
    everyone = AllSampler(AllOptions(), ["b", "a"], seed=1)

    assert everyone.draw(0) == everyone.draw(10**9) == ("b", "a")


def test_an_empty_pool_is_refused_by_both_samplers() -> None:
    with pytest.raises(RecipeError, match="no model to draw"):
        AllSampler(AllOptions(), [], seed=1)
    with pytest.raises(RecipeError, match="`models` has 0"):
        sampler([], 1, 0)


@settings(max_examples=20)
@given(pools(), SEEDS, st.integers(min_value=1000, max_value=1500))
def test_after_a_thousand_rows_and_more_every_model_has_its_share(
    pool_and_size: tuple[list[str], int], seed: int, rows: int
) -> None:
    pool, size = pool_and_size
    draws = sampler(pool, size, seed)
    drawn = [draws.draw(row) for row in range(rows)]

    assert all(len(set(draw)) == size for draw in drawn)
    share = Fraction(size * rows, len(pool))
    assert all(abs(counts_of(drawn)[alias] - share) < 1 for alias in pool)


@pytest.mark.slow
@settings(max_examples=6)
@given(pools(), SEEDS)
def test_over_ten_thousand_rows_all_pairs_meet_equally_often_within_five_per_cent(
    pool_and_size: tuple[list[str], int], seed: int
) -> None:
    pool, size = pool_and_size
    draws = sampler(pool, size, seed)
    met = meetings_of([draws.draw(row) for row in range(10_000)])

    mean = 10_000 * size * (size - 1) / max(1, len(pool) * (len(pool) - 1))
    assert all(abs(met[pair] - mean) <= 0.05 * mean for pair in combinations(pool, 2))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("models", [19, 20])
def test_pairs_are_balanced_where_they_are_rarest(models: int, seed: int) -> None:
    pool = [f"m{i}" for i in range(models)]
    draws = sampler(pool, 2, seed)
    met = meetings_of([draws.draw(row) for row in range(10_000)])

    mean = 10_000 * 2 / (models * (models - 1))
    assert max(met.values()) <= 1.05 * mean
    assert min(met[pair] for pair in combinations(pool, 2)) >= 0.95 * mean


@st.composite
def weighted(draw: st.DrawFn) -> tuple[dict[str, float], int]:
    weight = st.one_of(st.sampled_from([1, 2, 3]), st.floats(min_value=0.2, max_value=5))
    weights = draw(st.lists(weight, min_size=2, max_size=20))
    size = draw(st.integers(min_value=1, max_value=len(weights)))
    return {f"m{i}": round(value, 3) for i, value in enumerate(weights)}, size


@settings(max_examples=12)
@given(weighted(), SEEDS, st.integers(min_value=0, max_value=500))
def test_weighted_models_have_their_shares_at_every_thousand_rows_and_nearly_between(
    weights_and_size: tuple[dict[str, float], int], seed: int, more: int
) -> None:
    weights, size = weights_and_size
    shares = shares_of(list(weights.values()), size)
    draws = sampler(list(weights), size, seed, weights=weights)
    drawn = [draws.draw(row) for row in range(1000 + more)]

    exactly, later = counts_of(drawn[:1000]), counts_of(drawn)
    assert all(len(set(draw)) == size for draw in drawn)
    for alias, share in zip(weights, shares, strict=True):
        assert abs(exactly[alias] - 1000 * share) < 1
        assert abs(later[alias] - len(drawn) * share) <= max(
            Fraction(5, 2), len(drawn) * share / 100
        )


@pytest.mark.slow
@settings(max_examples=4)
@given(weighted(), SEEDS)
def test_equally_weighted_models_meet_equally_often_beside_others(
    weights_and_size: tuple[dict[str, float], int], seed: int
) -> None:
    weights, size = weights_and_size
    draws = sampler(list(weights), size, seed, weights=weights)
    met = meetings_of([draws.draw(row) for row in range(10_000)])

    by_weight: dict[float, list[int]] = {}
    for one, other in combinations(weights, 2):
        if weights[one] == weights[other]:
            by_weight.setdefault(weights[one], []).append(met[one, other])
    for counts in by_weight.values():
        mean = sum(counts) / len(counts)
        assert all(abs(count - mean) <= max(2.5, 0.05 * mean) for count in counts)


def test_a_draw_is_a_function_of_the_position_alone() -> None:
    pool = [f"m{i}" for i in range(7)]
    for options in ({}, {"weights": {"m0": 2.5}}):
        forward, scattered = sampler(pool, 3, 9, **options), sampler(pool, 3, 9, **options)
        places = [25_003, 4, 10_006, 10_005, 999, 0, 1_000, 25_003]

        drawn = {place: forward.draw(place) for place in sorted(places)}

        assert [scattered.draw(place) for place in places] == [drawn[place] for place in places]


def test_draws_are_the_same_in_another_process() -> None:
    code = (
        "from prefmill.coordinator.samplers.sample import *\n"
        "o = SampleOptions(sample=2, weights={'b': 1.7})\n"
        "s = SampleSampler(o, ['a', 'b', 'c', 'd'], 3)\n"
        "print([s.draw(i) for i in range(50)])"
    )
    there = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": salt},
            capture_output=True,
            check=True,
        ).stdout
        for salt in ("1", "2")
    ]
    here = sampler(["a", "b", "c", "d"], 2, 3, weights={"b": 1.7})

    assert there[0] == there[1] == f"{[here.draw(i) for i in range(50)]}\n".encode()


def test_another_seed_draws_otherwise_and_the_options_seed_wins() -> None:
    pool = list("abcdef")
    one, two = sampler(pool, 2, 1), sampler(pool, 2, 2)
    own = SampleSampler(SampleOptions(sample=2, seed=1), pool, 2)

    assert [one.draw(i) for i in range(100)] != [two.draw(i) for i in range(100)]
    assert [one.draw(i) for i in range(100)] == [own.draw(i) for i in range(100)]


def test_aliases_come_in_the_order_of_the_pool() -> None:
    pool = ["zephyr", "alpaca", "notus", "llama"]
    draws = sampler(pool, 3, 5)

    assert all(
        sorted(draw, key=pool.index) == list(draw) for draw in (draws.draw(i) for i in range(100))
    )


def test_rows_of_a_batch_share_a_draw_and_batches_are_balanced() -> None:
    pool = list("abcd")
    draws = sampler(pool, 2, 5, per="batch", batch=10)
    drawn = [draws.draw(row) for row in range(1000)]

    assert all(len(set(drawn[start : start + 10])) == 1 for start in range(0, 1000, 10))
    assert set(counts_of(drawn).values()) == {500}


def test_a_sample_as_large_as_the_pool_draws_everyone() -> None:
    assert sampler(list("abc"), 3, 1, weights={"a": 9}).draw(17) == ("a", "b", "c")


def test_a_pool_smaller_than_the_sample_is_refused() -> None:
    with pytest.raises(RecipeError, match="4 models are to answer a row, but `models` has 3"):
        sampler(list("abc"), 4, 1)


def test_a_weight_of_an_unknown_model_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"'zephir' is no model.*did you mean 'zephyr'"):
        sampler(["zephyr", "notus"], 1, 1, weights={"zephir": 2})


@pytest.mark.parametrize("weight", [0, -1, float("inf"), float("nan")])
def test_a_weight_that_is_none_is_refused(weight: float) -> None:
    with pytest.raises(RecipeError, match="must be greater than 0"):
        sampler(["a", "b"], 1, 1, weights={"a": weight})


def test_a_weight_too_small_to_be_kept_is_refused() -> None:
    with pytest.raises(RecipeError, match="'b' would answer fewer than one row in 10,000"):
        sampler(["a", "b"], 1, 1, weights={"b": 1e-6})


def test_a_model_whose_share_would_pass_one_is_always_drawn_and_the_rest_shared_out() -> None:
    assert shares_of([10, 1, 1, 2], 2) == (1, Fraction(1, 4), Fraction(1, 4), Fraction(1, 2))

    draws = sampler(list("abcd"), 2, 1, weights={"a": 10, "d": 2})
    counts = counts_of([draws.draw(row) for row in range(1000)])
    assert counts == {"a": 1000, "b": 250, "c": 250, "d": 500}


@given(weighted())
def test_shares_sum_to_the_sample_and_keep_the_order_of_the_weights(
    weights_and_size: tuple[dict[str, float], int],
) -> None:
    weights, size = weights_and_size
    shares = shares_of(list(weights.values()), size)

    assert sum(shares) == size
    assert all(0 <= share <= 1 for share in shares)
    ranked = sorted(zip(weights.values(), shares, strict=True))
    assert [share for _, share in ranked] == sorted(shares)


@given(weighted(), st.integers(min_value=0, max_value=30_000))
def test_apportioned_counts_are_shares_rounded_up_or_down(
    weights_and_size: tuple[dict[str, float], int], rows: int
) -> None:
    weights, size = weights_and_size
    shares = shares_of(list(weights.values()), size)
    counts = apportion(shares, size, rows)

    assert sum(counts) == rows * size
    assert all(abs(count - share * rows) < 1 for count, share in zip(counts, shares, strict=True))


def test_meetings_of_equal_shares_are_those_of_drawing_by_lot() -> None:
    table = meetings([0.4] * 10, 4)

    assert all(
        table[one][other] == pytest.approx(4 * 3 / (10 * 9))
        for one, other in combinations(range(10), 2)
    )


def test_meetings_leave_every_model_its_share() -> None:
    shares = [0.9, 0.6, 0.3, 0.15, 0.05]
    table = meetings(shares, 2)

    assert [sum(line) for line in table] == pytest.approx(shares, rel=1e-6)


def test_samplers_come_in_by_their_names() -> None:
    plugin, options = named_options("samplers", {"sample": 2, "seed": 7}, "generate.sampler")

    assert plugin is SampleSampler
    assert options == SampleOptions(sample=2, seed=7)
    assert named_options("samplers", {"all": None}, "generate.sampler")[0] is AllSampler


def on_policy(pool: list[str], seed: int = 7, **options: object) -> OnPolicySampler:
    return OnPolicySampler(OnPolicyOptions.model_validate(options), pool, seed)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 3), st.integers(1, 6), st.data(), SEEDS)
def test_own_models_answer_every_row_and_the_others_share_the_rest(
    own: int, others: int, data: st.DataObject, seed: int
) -> None:
    size = data.draw(st.integers(1, others))
    mine, rest = [f"own{n}" for n in range(own)], [f"m{n}" for n in range(others)]
    draws = on_policy([*rest, *mine], seed, **{"on-policy": mine, "others": size})
    alone = sampler(rest, size, seed)
    drawn = [draws.draw(row) for row in range(1_000)]
    assert all(draw == (*mine, *alone.draw(row)) for row, draw in enumerate(drawn))
    counts = counts_of(drawn)
    assert {counts[alias] for alias in mine} == {1_000}
    assert all(abs(counts[alias] - 1_000 * size / others) < 1 for alias in rest)


def test_others_of_the_own_model_are_weighted_seeded_and_drawn_by_batch_as_in_a_sample() -> None:
    shared: dict[str, object] = {"weights": {"b": 3}, "per": "batch", "batch": 4}
    draws = on_policy(["a", "mine", "b", "c"], 11, **{"on-policy": "mine", **shared})
    alone = sampler(["a", "b", "c"], 1, 11, **shared)
    assert [draws.draw(row)[1:] for row in range(400)] == [alone.draw(row) for row in range(400)]
    assert {len(set(map(draws.draw, range(n, n + 4)))) for n in range(0, 400, 4)} == {1}
    assert counts_of([draws.draw(row) for row in range(4_000)])["b"] == 2_400


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"on-policy": "mien"},
            "on-policy: 'mien' is no model of this recipe; did you mean 'mine'",
        ),
        ({"on-policy": []}, "name the model that is trained"),
        ({"on-policy": "mine", "others": 3}, "others: 3 other models .* has 2 besides mine"),
        ({"on-policy": "mine", "weights": {"mine": 2}}, "'mine' answers every row"),
        ({"on-policy": "mine", "weights": {"c": 2}}, "'c' is no model of this recipe"),
    ],
)
def test_an_on_policy_draw_that_cannot_be_is_refused(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        on_policy(["mine", "a", "b"], **options)


def test_on_policy_comes_in_by_its_name_and_needs_its_model() -> None:
    plugin, options = named_options(
        "samplers", {"on-policy": "mine", "others": 2}, "generate.sampler"
    )
    assert plugin is OnPolicySampler
    assert (options.own, options.others) == ("mine", 2)
    with pytest.raises(RecipeError, match="on-policy: this key is missing"):
        named_options("samplers", {"on-policy": None}, "generate.sampler")
