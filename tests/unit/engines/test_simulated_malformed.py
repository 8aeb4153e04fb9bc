"""Malformed verdicts: each form is what its name says, and says what may be read of it."""

from pathlib import Path

import pytest

from prefmill.engines.simulated.malformed import INJECTED, MALFORMED, Malformed
from prefmill.engines.simulated.verdicts import Verdict, write_verdicts

GOLDEN = Path(__file__).parent / "test_simulated_malformed.golden.txt"

PLAIN = (
    Verdict(1, 2, "It strays."),
    Verdict(2, 5, "It is right."),
    Verdict(3, 4, "It is nearly right."),
)
TYPED = (
    Verdict(1, 2, "Two slips.", ("1", "3"), "Half of it."),
    Verdict(2, 5, "No slips.", (), "All of it."),
)


def written() -> str:
    """Every form, of the plain verdicts if it can be told there, and else of the typed."""
    parts = [
        f"===== {form.name}: {form.outcome}, {form.touches}\n"
        + form.write(PLAIN if form.applies(PLAIN) else TYPED).replace("\r", "<CR>")
        for form in MALFORMED.values()
    ]
    return "\n".join(parts) + "\n"


def test_every_form_is_written_as_the_golden_file_has_it() -> None:
    assert written() == GOLDEN.read_text()


@pytest.mark.parametrize("form", MALFORMED.values(), ids=list(MALFORMED))
def test_every_form_leaves_the_layout_that_was_asked_for(form: Malformed) -> None:
    said = [verdicts for verdicts in (PLAIN, TYPED, TYPED[:1]) if form.applies(verdicts)]
    assert said
    assert all(form.write(verdicts) != write_verdicts(verdicts) for verdicts in said)


def test_a_form_that_touches_the_first_text_leaves_the_others_readable() -> None:
    assert MALFORMED["ten"].allowed(PLAIN) == {1: {None}, 2: {5.0}, 3: {4.0}}
    assert MALFORMED["prose"].allowed(PLAIN) == {1: {None}, 2: {None}, 3: {None}}
    assert MALFORMED["swapped"].allowed(PLAIN) == {1: {2.0}, 2: {5.0}, 3: {4.0}}


def test_no_injected_form_may_be_read_as_a_wrong_rating() -> None:
    for form in INJECTED:
        for verdict in PLAIN:
            assert form.allowed(PLAIN)[verdict.number] <= {None, float(verdict.rating)}
    assert MALFORMED["half"] not in INJECTED


def test_forms_that_need_several_texts_or_types_apply_only_there() -> None:
    assert not MALFORMED["swapped"].applies(PLAIN[:1])
    assert not MALFORMED["types-and"].applies(PLAIN)
    assert MALFORMED["types-and"].applies(TYPED)


@pytest.mark.parametrize("aspect", ["honesty", "overall-rating", "truthfulness"])
@pytest.mark.parametrize("name", MALFORMED)
def test_the_reader_makes_of_each_form_what_may_be_made_of_it(name: str, aspect: str) -> None:
    aspects = pytest.importorskip("prefmill.judge.rubrics.aspects")
    form = MALFORMED[name]
    verdicts = TYPED if aspect == "truthfulness" else PLAIN
    if not form.applies(verdicts):
        return
    readings = aspects.ASPECTS[aspect].layout.read(form.write(verdicts), len(verdicts))
    allowed = form.allowed(verdicts)
    assert len(readings) == len(verdicts)
    for verdict, reading in zip(verdicts, readings, strict=True):
        assert reading.rating in allowed[verdict.number]
        if form.outcome == "unspoken" and verdict is verdicts[0]:
            assert (reading.status == "not-applicable") == (aspect == "honesty")
