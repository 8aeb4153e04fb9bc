"""What a card says of the judges' ratings."""

from prefmill.sink.destinations.measured import measured


def figures(distribution):
    ratings = {"honesty": {"distribution": distribution, "entropy_bits": 0.81}}
    return {
        "agreement": {"aspects": {}, "effective_judges": None},
        "judges": {"j": {"unusable_share": 0.25, "ratings": ratings}},
        "bias": {"position": {}, "length": {}, "family": {}},
    }


def test_a_card_tells_how_often_a_judge_gave_each_rating():
    said = measured(figures({"1": 1, "5": 3}))
    assert "| judge | aspect | how often each rating | entropy, bits |" in said
    assert "| j | honesty | 1: 25%, 5: 75% | 0.81 |" in said
    assert "| j | 25.0% |" in said


def test_of_many_ratings_a_card_tells_the_range():
    said = measured(figures({str(n): 1 for n in range(30)}))
    assert "| j | honesty | 30 different ones from 0 to 29 | 0.81 |" in said
