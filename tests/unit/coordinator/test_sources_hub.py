import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefmill.coordinator.sources.hub import HubOptions, HubSource
from prefmill.coordinator.sources.slices import Slice, parse_split
from prefmill.plugins.errors import RecipeError

SERVER = Path(__file__).with_name("hub_server.py")


def hub(where: Path | str, **options: Any) -> HubSource:
    return HubSource(HubOptions.model_validate({"hub": str(where), **options}))


def shard(start: int, stop: int) -> bytes:
    numbers = list(range(start, stop))
    table = pa.table({"prompt": [f"p{n}" for n in numbers], "n": numbers})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


FILES = {
    "data/train-00000-of-00002.parquet": shard(0, 60),
    "data/train-00001-of-00002.parquet": shard(60, 100),
    "data/test-00000-of-00001.parquet": shard(1000, 1010),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dataset")
    for name, content in FILES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(content)
    return root


def numbers(source: HubSource, skip: int = 0) -> list[Any]:
    return [prompt.metadata["n"] for prompt in source.read(skip)]


@pytest.mark.parametrize(
    ("split", "wanted"),
    [
        ("train", range(100)),
        ("train[:7]", range(7)),
        ("train[55:65]", range(55, 65)),
        ("train[10%:20%]", range(10, 20)),
        ("train[-3:]", range(97, 100)),
        ("train[:-95]", range(5)),
        ("train[98:1000]", range(98, 100)),
        ("test[:2]+train[:1%]", [1000, 1001, 0]),
    ],
)
def test_slices_of_a_folder_are_streamed(folder: Path, split: str, wanted: Any) -> None:
    assert numbers(hub(folder, split=split)) == list(wanted)


@pytest.mark.slow
def test_reading_on_gives_what_a_whole_reading_gives(folder: Path) -> None:
    for options in ({}, {"shuffle_seed": 3}, {"split": "train[20:70]", "rows": 30}):
        whole = numbers(hub(folder, **options))

        assert numbers(hub(folder, **options), 17) == whole[17:]


def test_a_shuffle_is_seeded_and_keeps_to_the_slice(folder: Path) -> None:
    one = numbers(hub(folder, split="train[:50]", shuffle_seed=1))

    assert one == numbers(hub(folder, split="train[:50]", shuffle_seed=1))
    assert one != numbers(hub(folder, split="train[:50]", shuffle_seed=2))
    assert one != sorted(one) == list(range(50))


def test_the_size_is_known_from_bounds_where_the_dataset_does_not_say(folder: Path) -> None:
    assert hub(folder, split="train[:7]+test[2:4]").size() == 9
    assert hub(folder, split="train[:70]", rows=3).size() == 3
    assert hub(folder).size() is None


def test_the_fingerprint_of_a_folder_changes_with_its_files(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"prompt": "a"}\n')
    before = hub(tmp_path).fingerprint()

    assert hub(tmp_path).fingerprint() == before
    (tmp_path / "train.jsonl").write_text('{"prompt": "ab"}\n')
    assert hub(tmp_path).fingerprint() != before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"split": "dev"}, r"split 'dev': Bad split: dev\. Available splits: \['train', 'test'\]"),
        ({"config": "de"}, "'de' not found"),
        ({"columns": {"prompt": "question"}}, "no column 'question'.*; there are: prompt, n"),
        ({"split": "train[50:50]"}, "holds no rows"),
    ],
)
def test_what_a_dataset_does_not_have_is_one_clear_line(
    folder: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(RecipeError, match=words) as raised:
        list(hub(folder, **options).read())
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "split", ["", "train[", "train[1:2:3]", "train[a:]", "train[:101%]", "a b"]
)
def test_a_split_that_cannot_be_read_is_refused_at_once(split: str) -> None:
    with pytest.raises(RecipeError, match=r"source\.split"):
        hub("some/repo", split=split)


def test_a_folder_that_is_not_there_is_refused_at_once() -> None:
    with pytest.raises(RecipeError, match="there is no folder /no/such/folder"):
        hub("/no/such/folder")


@given(
    st.integers(min_value=0, max_value=500),
    st.none() | st.integers(min_value=-600, max_value=600),
    st.none() | st.integers(min_value=-600, max_value=600),
)
def test_slices_are_those_of_python(size: int, start: int | None, stop: int | None) -> None:
    text = f"train[{'' if start is None else start}:{'' if stop is None else stop}]"
    (part,) = parse_split(text)
    first, last = part.rows(lambda: size)

    assert list(range(size))[first:last] == list(range(size))[start:stop]


@given(st.integers(min_value=0, max_value=5000), st.integers(min_value=0, max_value=100))
def test_percentages_cut_a_split_without_gap_or_overlap(size: int, cut: int) -> None:
    before, after = parse_split(f"train[:{cut}%]+train[{cut}%:]")

    assert before.rows(lambda: size)[1] == after.rows(lambda: size)[0]
    assert before == Slice("train", None, f"{cut}%")


CASES = {
    "whole": {"hub": "me/data", "rows": 3},
    "slice": {"hub": "me/data", "split": "train[58:62]"},
    "commit": {"hub": "me/data", "revision": "main", "split": "test[:1]"},
    "unknown": {"hub": "me/nothing"},
    "revision": {"hub": "me/data", "revision": "v9"},
    "split": {"hub": "me/data", "split": "dev"},
    "gated": {"hub": "me/gated"},
    "name": {"hub": "not a name!"},
}

SCRIPT = """
import json, sys
from prefmill.coordinator.sources.hub import HubOptions, HubSource
from prefmill.plugins.errors import RecipeError
found = {}
for name, options in json.loads(sys.argv[1]).items():
    source = HubSource(HubOptions(**options))
    try:
        rows = [prompt.instruction for prompt in source.read()]
        found[name] = [rows, source.fingerprint()]
    except RecipeError as error:
        found[name] = str(error)
print(json.dumps(found))
"""


def read_from(endpoint: str, home: Path, cases: dict[str, Any], **more: str) -> dict[str, Any]:
    """What another process finds: the libraries read their settings when they are imported."""
    settings = {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(home)}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(cases)],
        env=kept | settings | more,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    spec = spec_from_file_location("hub_server", SERVER)
    assert spec is not None
    assert spec.loader is not None
    server = module_from_spec(spec)
    spec.loader.exec_module(server)
    with server.serving({"me/data": FILES, "me/gated": FILES}, gated="me/gated") as endpoint:
        yield endpoint


def test_a_repository_is_streamed_and_every_fault_is_one_line(address: str, tmp_path: Path) -> None:
    found = read_from(address, tmp_path, CASES)

    assert found["whole"][0] == ["p0", "p1", "p2"]
    assert found["slice"][0] == ["p58", "p59", "p60", "p61"]
    assert found["commit"] == [["p1000"], found["whole"][1]]
    for name, words in {
        "unknown": "me/nothing, revision 'main': no such dataset; ",
        "revision": "me/data, revision 'v9': no such branch",
        "split": "Available splits: ['train', 'test']",
        "gated": "it is gated; ask for access on its page, and set HF_TOKEN",
        "name": "not a name!",
    }.items():
        assert words in found[name]
        assert "\n" not in found[name]


@pytest.mark.slow
def test_a_token_opens_a_gated_repository_and_an_absent_hub_is_one_line(
    address: str, tmp_path: Path
) -> None:
    gated = {"gated": CASES["gated"] | {"rows": 1}}

    assert read_from(address, tmp_path, gated, HF_TOKEN="hf_x")["gated"][0] == ["p0"]
    absent = read_from("http://127.0.0.1:9", tmp_path, {"absent": CASES["whole"]})["absent"]
    assert "check the connection" in absent
    assert "\n" not in absent
