from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefmill.contracts.reasons import BAD_ROW
from prefmill.coordinator.sources.parquet import ParquetOptions, ParquetSource
from prefmill.plugins.errors import RecipeError


def parquet(path: Path, **options: Any) -> ParquetSource:
    return ParquetSource(ParquetOptions.model_validate({"parquet": str(path), **options}))


def numbered(path: Path, start: int, rows: int, group: int) -> None:
    table = pa.table({"prompt": [f"p{i}" for i in range(start, start + rows)]})
    pq.write_table(table, path, row_group_size=group)


def test_files_and_row_groups_are_read_in_order_from_any_row(tmp_path: Path) -> None:
    numbered(tmp_path / "a.parquet", 0, 700, 300)
    numbered(tmp_path / "b.parquet", 700, 300, 100)
    source = parquet(tmp_path / "*.parquet")

    assert [prompt.instruction for prompt in source.read()] == [f"p{i}" for i in range(1000)]
    assert source.size() == 1000
    for skip in (1, 299, 300, 650, 699, 700, 850, 999):
        first = next(source.read(skip))
        assert (first.id, first.instruction) == (str(skip), f"p{skip}")
    assert list(source.read(1000)) == []


def test_columns_of_all_kinds_become_json(tmp_path: Path) -> None:
    when = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    table = pa.table(
        {
            "prompt": ["Hi", None],
            "when": pa.array([when, None], pa.timestamp("ns", tz="UTC")),
            "fine": pa.array([1, None], pa.timestamp("ns")),
            "score": [float("nan"), 1.5],
            "tags": [["a", None], []],
            "who": [{"name": "x", "age": 3}, None],
            "big": pa.array([2**63 + 1, 0], pa.uint64()),
        }
    )
    pq.write_table(table, tmp_path / "p.parquet")
    first, second = parquet(tmp_path / "p.parquet").read()

    assert first.metadata == {
        "when": "2024-05-06T07:08:09+00:00",
        "fine": "1970-01-01 00:00:00.000000001",
        "score": None,
        "tags": ["a", None],
        "who": {"name": "x", "age": 3},
        "big": 2**63 + 1,
    }
    assert second.failure is not None
    assert second.metadata["score"] == 1.5


def test_conversations_and_responses_come_as_structs(tmp_path: Path) -> None:
    table = pa.table(
        {
            "messages": [[{"role": "user", "content": "Hi"}]],
            "answers": [{"m1": "one", "m2": None}],
        }
    )
    pq.write_table(table, tmp_path / "p.parquet")
    (prompt,) = parquet(tmp_path / "p.parquet", columns={"responses": "answers"}).read()

    assert prompt.instruction == "Hi"
    assert [(given.model, given.text) for given in prompt.responses] == [
        ("m1", "one"),
        ("m2", None),
    ]


def test_a_text_that_is_not_utf8_fails_its_row_alone(tmp_path: Path) -> None:
    raw = pa.array([b"a", b"caf\xe9", b"c"], pa.binary())
    broken = pa.StringArray.from_buffers(3, raw.buffers()[1], raw.buffers()[2])
    pq.write_table(pa.table({"prompt": broken}), tmp_path / "p.parquet")
    prompts = list(parquet(tmp_path / "p.parquet").read())

    assert [prompt.instruction for prompt in prompts] == ["a", "", "c"]
    failure = prompts[1].failure
    assert failure is not None
    assert failure.reason == BAD_ROW
    assert failure.detail == "p.parquet row 1: a text is not UTF-8 (0xe9 at byte 4)"


def test_a_corrupt_or_foreign_file_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    numbered(path, 0, 5000, 500)
    whole = path.read_bytes()
    for content in (b"", b"no parquet at all", whole[:-100]):
        path.write_bytes(content)
        with pytest.raises(RecipeError, match="no readable Parquet file") as raised:
            list(parquet(path).read())
        assert str(path) in str(raised.value)

    path.write_bytes(whole[:2000] + b"\xff" * 3000 + whole[5000:])
    with pytest.raises(RecipeError, match=r"p\.parquet: cannot be read on from row \d+"):
        list(parquet(path).read())


def test_an_empty_file_and_a_missing_column_are_clear_errors(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "e.parquet")
    with pytest.raises(RecipeError, match="holds no rows"):
        list(parquet(tmp_path / "e.parquet").read())

    pq.write_table(pa.table({"text": ["a"], "n": [1]}), tmp_path / "t.parquet")
    with pytest.raises(RecipeError, match=r"no column 'prompt', .* there are: text, n"):
        list(parquet(tmp_path / "t.parquet").read())
