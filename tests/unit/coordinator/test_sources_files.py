import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefmill.contracts.reasons import BAD_ROW, MISSING_INSTRUCTION
from prefmill.contracts.rows import Prompt
from prefmill.coordinator.sources.csv import CsvOptions, CsvSource
from prefmill.coordinator.sources.inline import InlineOptions, InlineSource
from prefmill.coordinator.sources.jsonl import JsonlOptions, JsonlSource
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.registry import named_options


def jsonl(path: Path | list[Path], **options: Any) -> JsonlSource:
    names = [str(p) for p in path] if isinstance(path, list) else str(path)
    return JsonlSource(JsonlOptions.model_validate({"jsonl": names, **options}))


def csv(path: Path, **options: Any) -> CsvSource:
    return CsvSource(CsvOptions.model_validate({"csv": str(path), **options}))


def inline(*items: Any, **options: Any) -> InlineSource:
    return InlineSource(InlineOptions.model_validate({"inline": list(items), **options}))


def written(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def texts(prompts: list[Prompt]) -> list[str]:
    return [prompt.instruction for prompt in prompts]


def details(prompts: list[Prompt]) -> list[str]:
    return [prompt.failure.detail if prompt.failure else "" for prompt in prompts]


def test_sources_come_in_by_their_names() -> None:
    plugin, options = named_options("sources", {"jsonl": "a.jsonl", "rows": 3}, "source")

    assert plugin is JsonlSource
    assert options == JsonlOptions(jsonl="a.jsonl", rows=3)
    for name in ("inline", "csv", "parquet", "hub"):
        value: Any = ["x"] if name == "inline" else "x"
        assert (
            named_options("sources", {name: value}, "source")[0].__name__.lower() == f"{name}source"
        )


def test_inline_takes_texts_and_records_with_our_own_names() -> None:
    record = {"instruction": "Two", "system": "S", "reference": "R", "responses": {"m": "a"}}
    prompts = list(inline("One", record, None).read())

    assert texts(prompts)[:2] == ["One", "Two"]
    assert [turn.role for turn in prompts[1].messages] == ["system", "user"]
    assert prompts[1].reference is not None
    assert prompts[1].responses[0].model == "m"
    assert prompts[2].failure is not None
    assert prompts[2].failure.reason == MISSING_INSTRUCTION
    assert inline("a", "b").size() == 2


def test_inline_prompts_change_the_fingerprint() -> None:
    assert inline("a").fingerprint() == inline("a").fingerprint() != inline("b").fingerprint()


def test_json_lines_are_read_with_bom_crlf_blank_lines_and_no_last_newline(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf{"prompt": "a"}\r\n\r\n  \n{"prompt": "b"}\n{"prompt": "c"}'
    source = jsonl(written(tmp_path / "p.jsonl", content))

    assert texts(list(source.read())) == ["a", "b", "c"]
    assert source.size() == 3


def test_bad_lines_are_failed_rows_and_the_others_go_on(tmp_path: Path) -> None:
    lines = [
        b'{"prompt": "good", "id": 1}',
        b'{"prompt": "broken",',
        b'{"prompt": "caf\xe9"}',
        b"[1, 2]",
        b'"text"',
        b'{"prompt": "lone \\ud800 half"}',
        b'{"prompt": "nul \\u0000"}',
        b'{"prompt": "n", "score": NaN}',
        b"[" * 5000,
        b'{"prompt": "the file ends he',
    ]
    prompts = list(jsonl(written(tmp_path / "p.jsonl", b"\n".join(lines))).read())

    assert [prompt.id for prompt in prompts] == [str(n) for n in (1, 1, 2, 3, 4, 5, 6, 7, 8, 9)]
    assert [i for i, p in enumerate(prompts) if p.failure] == [1, 2, 3, 4, 8, 9]
    assert {p.failure.reason for p in prompts if p.failure} == {BAD_ROW}
    found = details(prompts)
    assert found[1].startswith("p.jsonl line 2: no valid JSON: ")
    assert found[2] == "p.jsonl line 3, byte 16: not UTF-8 (0xe9)"
    assert found[3] == "p.jsonl line 4: list, not a JSON object"
    assert found[9].startswith("p.jsonl line 10: no valid JSON; the file ends in the middle")
    assert texts(prompts)[5:7] == ["lone \ufffd half", "nul \ufffd"]
    assert prompts[7].metadata == {"score": None}


def test_gzip_is_recognized_and_a_stream_cut_short_ends_in_a_failed_row(tmp_path: Path) -> None:
    lines = [json.dumps({"prompt": os.urandom(40).hex()}) for _ in range(2000)]
    whole = gzip.compress("\n".join(lines).encode())
    good = list(jsonl(written(tmp_path / "a.jsonl.gz", whole)).read())
    short = list(jsonl(written(tmp_path / "b.jsonl", whole[: len(whole) // 2])).read())

    assert len(good) == 2000
    assert 500 < len(short) < 1500
    assert texts(short[:-1]) == texts(good[: len(short) - 1])
    assert f"after line {len(short) - 1}: broken gzip data" in details(short)[-1]


def test_files_are_read_in_order_and_patterns_are_sorted(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        written(tmp_path / f"{name}.jsonl", f'{{"prompt": "{name}"}}\n')

    assert texts(list(jsonl(tmp_path / "*.jsonl").read())) == ["a", "b", "c"]
    both = jsonl([tmp_path / "c.jsonl", tmp_path / "a.jsonl"])
    assert texts(list(both.read())) == ["c", "a"]
    assert both.size() == 2


@given(st.integers(min_value=0, max_value=12), st.integers(min_value=1, max_value=12))
def test_reading_on_from_any_row_gives_what_a_whole_reading_gives(skip: int, rows: int) -> None:
    source = inline(*[f"p{i}" for i in range(10)], rows=rows)
    whole = list(source.read())

    assert len(whole) == source.size() == min(rows, 10)
    assert list(source.read(skip)) == whole[skip:]


def test_skipping_counts_rows_not_lines(tmp_path: Path) -> None:
    content = '{"prompt": "a"}\n\nbroken\n{"prompt": "c"}\n'
    for source in (
        jsonl(written(tmp_path / "p.jsonl", content)),
        csv(written(tmp_path / "p.csv", "prompt,n\na,1\n\nragged\nc,3\n")),
    ):
        whole = list(source.read())

        assert [prompt.failure is None for prompt in whole] == [True, False, True]
        assert all(list(source.read(skip)) == whole[skip:] for skip in range(4))
        assert source.size() == 3


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("e.jsonl", b"", "holds no rows"),
        ("e.jsonl", b"\n\n", "holds no rows"),
        ("e.csv", b"", "holds no rows"),
        ("e.csv", b"prompt,id\n", "holds no rows"),
        (
            "array.jsonl",
            b'[\n{"prompt": "a"},\n',
            "can be read; .*one object per line",
        ),
        ("utf16.jsonl", '{"prompt": "a"}\n'.encode("utf-16"), "is UTF-16; save it as UTF-8"),
        ("twice.csv", b"prompt,a,a\nx,1,2\n", "several columns are named a"),
        ("head.csv", b"pr\xffmpt\nx\n", "its header cannot be read: .*not UTF-8"),
        (
            "none.jsonl",
            b'{"text": "a", "n": 1}\n',
            "no column 'prompt'.*: text, n; say",
        ),
    ],
)
def test_a_file_that_spoils_all_rows_is_a_clear_error(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    path = written(tmp_path / name, content)
    source = jsonl(path) if name.endswith("jsonl") else csv(path)

    with pytest.raises(RecipeError, match=words) as raised:
        list(source.read())
    assert str(path) in str(raised.value)


def test_a_missing_column_names_the_file_and_what_there_is(tmp_path: Path) -> None:
    path = written(tmp_path / "p.csv", "question,topic\nx,y\n")

    with pytest.raises(RecipeError) as raised:
        list(csv(path, columns={"prompt": "qestion"}).read())
    assert str(raised.value) == (
        f"{path}: no column 'qestion' (asked for as 'prompt' by `columns`); "
        "did you mean 'question'?; there are: question, topic"
    )


def test_a_column_that_only_some_rows_have_is_not_missing(tmp_path: Path) -> None:
    content = '{"prompt": "a"}\n{"prompt": "b", "hint": "S"}\n'
    source = jsonl(written(tmp_path / "p.jsonl", content), columns={"system": "hint"})

    assert [len(prompt.messages) for prompt in source.read()] == [1, 2]


@pytest.mark.parametrize("name", ["no.jsonl", "*.nothing", "."])
def test_files_that_are_not_there_are_clear_errors(tmp_path: Path, name: str) -> None:
    words = {"no.jsonl": "No such file", "*.nothing": "no file matches", ".": "is a folder"}
    source = jsonl(tmp_path / name)

    for ask in (lambda: list(source.read()), source.size, source.fingerprint):
        with pytest.raises(RecipeError, match=words[name]) as raised:
            ask()
        assert str(tmp_path) in str(raised.value)


def test_the_fingerprint_changes_with_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "p.jsonl", '{"prompt": "a"}\n')
    before = jsonl(path).fingerprint()

    assert jsonl(path).fingerprint() == before
    written(path, '{"prompt": "ab"}\n')
    assert jsonl(path).fingerprint() != before


def test_csv_has_quotes_newlines_commas_and_nuls_within_fields(tmp_path: Path) -> None:
    content = 'prompt,id,"n"\r\n"a, ""b""\r\nc",x,1\r\nd\x00,y,\r\n'
    prompts = list(csv(written(tmp_path / "p.csv", content)).read())

    assert texts(prompts) == ['a, "b"\r\nc', "d\ufffd"]
    assert [(prompt.id, prompt.metadata) for prompt in prompts] == [
        ("x", {"n": "1"}),
        ("y", {"n": ""}),
    ]


def test_rows_that_do_not_fit_the_header_fail_alone(tmp_path: Path) -> None:
    content = b'prompt,n\na,1\nb\nc,3,4\n"d"x,4\ne\xff,5\n,6\nf,7\n"g,8\n'
    prompts = list(csv(written(tmp_path / "p.csv", content)).read())

    assert texts(prompts) == ["a", "", "", "", "", "", "f", ""]
    found = details(prompts)
    assert found[1] == "p.csv line 3: 1 fields, the header has 2"
    assert found[2] == "p.csv line 4: 3 fields, the header has 2"
    assert found[3].startswith("p.csv line 5: ")
    assert found[4] == "p.csv line 6, byte 2: not UTF-8 (0xff)"
    assert found[5] == "prompt is empty"
    assert found[7] == "p.csv line 9: unexpected end of data"
    assert prompts[5].metadata == {"prompt": "", "n": "6"}


def test_tabs_separate_in_a_tsv_and_any_character_on_request(tmp_path: Path) -> None:
    tabbed = csv(written(tmp_path / "p.tsv", "prompt\tn\na,b\t1\n"))
    semicolons = csv(written(tmp_path / "p.csv", "prompt;n\na,b;1\n"), delimiter=";")

    assert list(tabbed.read()) == list(semicolons.read())
    assert texts(list(tabbed.read())) == ["a,b"]


def test_csv_can_be_gzipped_and_be_labelled(tmp_path: Path) -> None:
    content = 'prompt,r\nHi,"{""m"": ""a""}"\n'
    path = written(tmp_path / "p.csv.gz", gzip.compress(content.encode()))
    (prompt,) = csv(path, columns={"responses": "r"}).read()

    assert [(given.model, given.text) for given in prompt.responses] == [("m", "a")]


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_no_bytes_make_a_json_lines_reader_crash(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.jsonl"
    content = b'{"prompt": "first"}\n' + b"\n".join(lines)
    prompts = list(jsonl(written(path, content)).read())

    assert prompts[0].instruction == "first"
    assert len(prompts) == jsonl(path).size()
    rows = sum(1 for line in content.split(b"\n") if line and not line.isspace())
    assert len(prompts) == rows


@given(st.binary(max_size=200))
def test_no_bytes_make_a_csv_reader_crash(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    prompts = list(csv(written(path, b"prompt,n\nfirst,1\n" + content)).read())

    assert prompts[0].instruction == "first"
    assert len(prompts) == csv(path).size()
