"""What `prefmill export` makes of its options."""

from typing import Any

import pytest

from prefmill.cli.commands.export import _Asked, _pool
from prefmill.cli.stop import Stop


def asked(
    pool: str | None = None, aspects: tuple[str, ...] = (), formats: tuple[str, ...] = ()
) -> Any:
    made = _Asked("r", formats, _pool(pool, aspects), {}, None, (), away=False).request(None)
    return made.model_dump(mode="json", exclude_unset=True)


@pytest.mark.parametrize(
    ("pool", "aspects", "step"),
    [
        ("median", (), {"judges": {"median": None}, "aspects": {"median": None}}),
        ("{judges: median}", (), {"judges": {"median": None}}),
        ("{trimmed: 0.1}", (), {"judges": {"trimmed": 0.1}, "aspects": {"trimmed": 0.1}}),
        (None, ("wit",), {"judges": {"mean": None}, "aspects": {"mean": None}, "of": ["wit"]}),
    ],
)
def test_a_pool_is_for_both_steps_unless_it_names_them(
    pool: str | None, aspects: tuple[str, ...], step: dict[str, Any]
) -> None:
    assert asked(pool, aspects)["pool"] == step


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pool": "{judges: mean"}, "error: '{judges: mean' is not YAML; quote it"),
        ({"formats": ("{kto",)}, "error: '{kto' is not YAML; quote it"),
        ({"pool": "3"}, "error: pool.judges: should be a mapping; not 3"),
        ({"pool": "{judge: mean, aspects: mean}"}, "error: pool.judge: unknown key"),
        ({"formats": ("[kto]",)}, "error: formats.0: should be a mapping; not a list"),
    ],
)
def test_an_option_that_cannot_be_meant_is_told_in_a_line(
    options: dict[str, Any], said: str
) -> None:
    with pytest.raises(Stop) as stopped:
        asked(**options)
    assert stopped.value.lines[0] == said
    assert stopped.value.code == 2
