"""What `prefmill export` makes of its options."""

from pathlib import Path
from typing import Any

import pytest

from prefmill.cli.commands.export import _Asked, _pool
from prefmill.cli.main import prefmill
from prefmill.cli.stop import Stop


def asked(
    pool: str | None = None, aspects: tuple[str, ...] = (), formats: tuple[str, ...] = ()
) -> Any:
    made = _Asked("r", formats, _pool(pool, aspects), {}, None, (), away=False).request()
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


def test_a_folder_that_is_not_ours_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    theirs, home = tmp_path / "theirs", tmp_path / "home"
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("years of work")
    with pytest.raises(Stop, match="holds files that prefmill did not write") as stopped:
        prefmill.main(
            ["export", "r", "--output", str(theirs), "--home", str(home)], standalone_mode=False
        )
    assert stopped.value.code == 2
    assert not home.exists()
