"""`helpsteer`: one record a response, its attributes as columns."""

from prefmill.contracts.reasons import MISSING_RATING, NOT_JUDGED, RATED, TOO_FEW_VERDICTS
from prefmill.contracts.results import Reading
from prefmill.contracts.rows import Verdict

ATTRIBUTES = ("correctness", "coherence", "complexity", "verbosity", "helpfulness")


def labelled(judge, *labels):
    """A verdict with five labels for each response; None where they could not be read."""
    readings = tuple(
        Reading(status=MISSING_RATING, attributes={"coherence": 4.0})
        if given is None
        else Reading(
            status=RATED,
            rating=given[-1],
            attributes=dict(zip(ATTRIBUTES, map(float, given), strict=True)),
        )
        for given in labels
    )
    return Verdict(judge=judge, rubric="helpsteer", aspect="attributes", readings=readings)


def written(making, verdicts, texts, **options):
    context = making.context(judges=("strict", "kind"), aspects=("attributes",))
    form = making.plugin("formats", "helpsteer", context, **options)
    (row,) = making.scored([making.row(0, texts, verdicts)], context)
    return form.write(row)["helpsteer"]


def labels_of(made):
    return [tuple(record[name] for name in ATTRIBUTES) for record in made.records]


def test_every_response_is_a_record_with_its_own_labels(making):
    made = written(making, [labelled("strict", (3, 4, 1, 2, 0), (0, 1, 2, 3, 4))], ["One.", "Two."])
    assert labels_of(made) == [(3, 4, 1, 2, 0), (0, 1, 2, 3, 4)]
    assert [record["response"] for record in made.records] == ["One.", "Two."]
    assert [record["judge_model"] for record in made.records] == ["strict", "strict"]


def test_a_shift_moves_every_label(making):
    made = written(
        making,
        [labelled("strict", (0, 4, 1, 2, 3))],
        ["One."],
        shift=1,
    )
    assert labels_of(made) == [(1, 5, 2, 3, 4)]


def test_where_the_first_judge_lacks_an_attribute_the_next_one_speaks(making):
    verdicts = [labelled("kind", (1, 1, 1, 1, 1), (2, 2, 2, 2, 2)), labelled("strict", None, None)]
    assert labels_of(written(making, verdicts, ["One.", "Two."])) == [(1,) * 5, (2,) * 5]


def test_a_row_without_whole_labels_is_dropped_and_says_why(making):
    made = written(making, [labelled("strict", None)], ["One."])
    assert (made.outcome, made.reason, made.records) == ("dropped", TOO_FEW_VERDICTS, ())


def test_verdicts_of_another_rubric_are_not_called_too_few(making):
    other = Verdict(
        judge="strict",
        rubric="ultrafeedback",
        aspect="attributes",
        readings=(Reading(status=RATED, rating=4.0),),
    )
    assert written(making, [other], ["One."]).reason == NOT_JUDGED
    assert written(making, [other, labelled("kind", None)], ["One."]).reason == TOO_FEW_VERDICTS
