"""Times as `prefmill simulate` takes them."""

import click
import pytest

from prefmill.cli.simulate import _milliseconds, simulate


def read(value: str) -> float:
    return _milliseconds(click.Context(simulate), simulate.params[0], value)


@pytest.mark.parametrize(
    ("said", "milliseconds"), [("150ms", 150), ("1.5s", 1500), ("10m", 600_000), ("20", 20)]
)
def test_a_time_is_a_number_with_a_unit_and_milliseconds_without(
    said: str, milliseconds: float
) -> None:
    assert read(said) == milliseconds


@pytest.mark.parametrize("said", ["", "s", "10 m", "-1s", "1h", "1m30s"])
def test_another_unit_is_refused_with_those_there_are(said: str) -> None:
    with pytest.raises(click.BadParameter, match=r"is no time; write 150ms, 1\.5s or 10m"):
        read(said)
