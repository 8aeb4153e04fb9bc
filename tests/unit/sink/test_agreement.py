"""Agreement and bias from counts: equal to what reference libraries give on published data."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefmill.sink.domain import agreement, bias, summary
from prefmill.sink.domain.agreement import table_of
from prefmill.sink.domain.figures import figures_of

OBSERVERS = {
    "a": [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    "b": [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    "c": [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    "d": [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
}
"""Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", example C."""

PAIRS = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=2)


def counted(by_judge):
    parts = summary.empty()
    agreement.count(parts, "honesty", by_judge)
    return parts


def of_pair(first, second):
    return table_of(counted({"a": first, "b": second})["joint"]["honesty\ta\tb"])


def test_alpha_is_the_published_one():
    table = table_of(counted(OBSERVERS)["coincidence"]["honesty"])
    # Published to three places; krippendorff 0.9.0 gives the same.
    assert agreement.alpha(table, "nominal") == pytest.approx(0.743, abs=0.0005)
    assert agreement.alpha(table, "ordinal") == pytest.approx(0.815, abs=0.0005)
    assert agreement.alpha(table, "interval") == pytest.approx(0.849, abs=0.0005)


@pytest.mark.parametrize(
    ("pair", "kappa", "tau", "r"),
    [
        ("ab", 0.9395973154362416, 0.9124211282466753, 0.949070752956621),
        ("ac", 0.5384615384615384, 0.5740378478819279, 0.6831300510639732),
        ("ad", 0.5524861878453038, 0.6102571532587294, 0.5828155051501961),
        ("bc", 0.8571428571428572, 0.8219529433756427, 0.9185586535436918),
        ("bd", 0.8709677419354839, 0.8423970023882502, 0.8835615926620028),
        ("cd", 0.8920863309352518, 0.854016820293798, 0.907360256126026),
    ],
)
def test_figures_of_two_judges_are_those_of_the_reference_libraries(pair, kappa, tau, r):
    # scikit-learn 1.9.1 (quadratic weights) and scipy 1.17.1 on the pairs of the same example.
    table = of_pair(*(OBSERVERS[name] for name in pair))
    assert agreement.kappa(table) == pytest.approx(kappa)
    assert agreement.tau_b(table) == pytest.approx(tau)
    assert agreement.correlation(table) == pytest.approx(r)


def test_tau_b_is_that_of_the_example_in_scipys_manual():
    table = of_pair([12, 2, 1, 12, 2], [1, 4, 7, 1, 0])
    assert agreement.tau_b(table) == pytest.approx(-0.4714045207910316)


def test_kappa_of_two_classes_is_cohens():
    # The example of 50 grant proposals, https://en.wikipedia.org/wiki/Cohen's_kappa.
    first = [1] * 20 + [1] * 5 + [0] * 10 + [0] * 15
    second = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    assert agreement.kappa(of_pair(first, second)) == pytest.approx(0.4)


@given(PAIRS)
def test_quadratic_kappa_is_lins_concordance(pairs):
    first, second = zip(*pairs, strict=True)
    mean = [sum(side) / len(side) for side in (first, second)]
    spread = [sum((x - m) ** 2 for x in s) for s, m in zip((first, second), mean, strict=True)]
    both = sum((x - mean[0]) * (y - mean[1]) for x, y in pairs)
    apart = sum(spread) + len(pairs) * (mean[0] - mean[1]) ** 2
    kappa = agreement.kappa(of_pair(first, second))
    assert kappa is None if apart == 0 else kappa == pytest.approx(2 * both / apart)


@given(PAIRS)
def test_tau_b_is_what_counting_all_pairs_gives(pairs):
    def sign(a, b):
        return (a > b) - (a < b)

    found = [(sign(x, v), sign(y, w)) for i, (x, y) in enumerate(pairs) for v, w in pairs[i + 1 :]]
    untied = sum(a != 0 for a, _ in found) * sum(b != 0 for _, b in found)
    tau = agreement.tau_b(of_pair(*zip(*pairs, strict=True)))
    balance = sum(a * b for a, b in found)
    assert tau is None if not untied else tau == pytest.approx(balance / math.sqrt(untied))


def test_judges_who_say_the_same_are_worth_one():
    assert agreement.effective_judges(9, 1.0) == 1.0
    assert agreement.effective_judges(9, 0.0) == 9.0
    assert agreement.effective_judges(9, 0.44) == pytest.approx(1.99, abs=0.01)
    assert agreement.effective_judges(3, -0.2) == 3.0


def test_entropy_is_in_bits():
    assert agreement.entropy({"1": 4, "2": 4}) == 1.0
    assert agreement.entropy({"5": 7}) == 0.0


def test_counts_of_two_parts_add_up_to_the_counts_of_the_whole(making):
    rows = making.scored(making.all_kinds(), making.context())
    whole, first, second = summary.empty(), summary.empty(), summary.empty()
    for place, row in enumerate(rows):
        summary.count(whole, row)
        summary.count(first if place < 3 else second, row)
    summary.add(first, second)
    assert figures_of(first) == figures_of(whole)


def test_a_judge_that_prefers_what_it_sees_first_is_seen(making):
    summed = summary.empty()
    for place in range(20):
        order = (0, 1) if place % 2 else (1, 0)
        ratings = [5, 3] if place % 2 else [3, 5]
        shown = making.verdict("strict", "honesty", ratings).replace(order=order)
        row = making.row(place, ["a", "b"], [shown])
        summary.count(summed, making.scored([row], making.context())[0])
    first, second = figures_of(summed)["bias"]["position"]["strict"]
    assert (first["position"], first["texts"], first["mean_rating"]) == (1, 20, 5)
    assert (first["above_others"], second["above_others"]) == (1, -1)


def test_a_judge_that_prefers_long_texts_is_seen(making):
    row = making.row(0, ["a", "b" * 11, "c" * 21], [making.verdict("strict", "honesty", [1, 2, 3])])
    summed = summary.empty()
    summary.count(summed, making.scored([row], making.context())[0])
    assert figures_of(summed)["bias"]["length"] == {"strict": 1}


def test_texts_that_are_judged_one_by_one_are_compared_all_the_same(making):
    alone = [
        making.verdict("strict", "overall-score", [n + 1 if n == place else None for n in range(3)])
        for place in range(3)
    ]
    hidden = [
        verdict.replace(
            shows="each",
            order=(place,),
            readings=tuple(
                given if n == place else given.replace(status="not-shown")
                for n, given in enumerate(verdict.readings)
            ),
        )
        for place, verdict in enumerate(alone)
    ]
    row = making.row(0, ["a", "b" * 11, "c" * 21], hidden)
    summed = summary.empty()
    summary.count(summed, making.scored([row], making.context(aspects=("overall-score",)))[0])
    found = figures_of(summed)["bias"]
    assert found["length"] == {"strict": 1}
    assert found["position"] == {}, "a text that is shown alone has no position"


def test_a_judge_that_prefers_its_family_is_compared_with_the_others(making):
    models = ("openai/gpt-4o", "anthropic/claude-3-opus")
    verdicts = [
        making.verdict(judge, "honesty", ratings).replace(judge_model=model)
        for judge, model, ratings in (
            ("strict", "gpt-4-turbo", [5, 3]),
            ("kind", "meta-llama/Meta-Llama-3-70B", [4, 4]),
        )
    ]
    row = making.row(0, ["a", "b"], verdicts)
    generations = tuple(
        given.replace(model_id=model) for given, model in zip(row.generations, models, strict=True)
    )
    summed = summary.empty()
    row = row.replace(generations=generations)
    summary.count(summed, making.scored([row], making.context())[0])
    assert figures_of(summed)["bias"]["family"] == {
        "strict": {
            "texts": 1,
            "above_others": 1,
            "as_other_judges_see_it": 0,
            "self_preference": 1,
        }
    }


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("meta-llama/Meta-Llama-3-8B-Instruct", "llama"),
        ("gpt-4-turbo-2024-04-09", "gpt"),
        ("openai/gpt-4o", "gpt"),
        ("claude-3-haiku-20240307", "claude"),
        ("mistralai/Mixtral-8x7B", "mistral"),
        ("org/olmo-7b", "olmo"),
        ("7b", "7b"),
    ],
)
def test_a_family_is_told_by_the_name_of_the_model(model, family):
    assert bias.family_of(model) == family


def test_what_a_judge_could_not_be_read_in_is_a_share_of_its_verdicts(making):
    summed = summary.empty()
    for row in making.scored(making.all_kinds(), making.context()):
        summary.count(summed, row)
    judges = figures_of(summed)["judges"]
    assert judges["kind"]["unusable_share"] == pytest.approx(
        3 / judges["kind"]["verdicts"], abs=1e-4
    )
    assert judges["strict"]["ratings"]["honesty"]["distribution"]["5"] > 0


def test_one_judge_alone_has_no_agreement(making):
    summed = summary.empty()
    row = making.row(0, ["a", "b"], [making.verdict("strict", "honesty", [1, 2])])
    summary.count(summed, making.scored([row], making.context())[0])
    assert figures_of(summed)["agreement"] == {"aspects": {}, "effective_judges": None}
