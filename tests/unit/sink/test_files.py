"""The folder an export writes: shards, resuming, replacing, and what `datasets` makes of it."""

import json
import os
import re
import resource
import shutil
import signal
from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefmill.contracts.recipe import Output, Pairing
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.files import plugin_files
from prefmill.plugins.format import Written
from prefmill.plugins.outputs import formats_of
from prefmill.plugins.transform import Chain, transforms_of
from prefmill.sink.destinations.card import CardFacts
from prefmill.sink.destinations.disk import DestinationError
from prefmill.sink.destinations.files import FilesDestination, FilesOptions

FACTS = CardFacts(
    name="tiny",
    version="0.1.0",
    models={"model-0": "org/model-0", "model-1": "org/model-1", "model-2": "org/model-2"},
    judges={"strict": "org/strict-judge", "kind": "org/kind-judge"},
    rubric="ultrafeedback",
    aspects=("honesty", "truthfulness"),
    judges_pool="mean",
    aspects_pool="mean",
    quorum=1,
    pairing=Pairing(),
    seed=1,
    cost_usd=0.5,
    recipe="name: tiny\nnote: ```\n",
)
NAMES = ("raw", "preference", "trl", "kto", "sft", "distilabel")
PLACE = "output.transforms"
FAILURE = {"id": "row-8", "cell": None, "reason": "not-text", "detail": "eine Größe"}


@pytest.fixture
def opened(making, tmp_path):
    def opened(names=NAMES, spec="one", folder=None, shard_rows=3):
        context = making.context()
        formats = [making.plugin("formats", name, context) for name in names]
        options = FilesOptions(directory=folder or tmp_path / "out")
        return FilesDestination(options).open(formats, shard_rows, spec)

    return opened


class Own:
    """A format of somebody's, with one column of the type named, filled by `give`."""

    training = True
    place = ""

    def __init__(self, give, kind="float64"):
        self.give = give
        self.kind = getattr(pa, kind)() if isinstance(kind, str) else kind

    def configs(self):
        return {"own": lambda: pa.schema([("id", pa.string()), ("x", self.kind)])}

    def write(self, row):
        record = self.give(row.row.position)
        return {"own": Written((record,), "out") if record else Written((), "tie")}


@pytest.fixture
def beside(making, tmp_path):
    """An export of `trl` and a format of somebody's own."""

    def beside(own, spec="one"):
        formats = [making.plugin("formats", "trl", making.context()), own]
        options = FilesOptions(directory=tmp_path / "out")
        return FilesDestination(options).open(formats, 3, spec)

    return beside


@pytest.fixture
def rows(making):
    return making.scored(making.all_kinds(), making.context())


def export(writer, rows, failures=(FAILURE,), facts=FACTS):
    with writer:
        for row in rows:
            if row.row.position >= writer.next_position:
                writer.add(row)
        return writer.finish(facts, {"recipe": {"name": "tiny"}}, failures)


def visible(folder):
    """Path → bytes of everything but our own notes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".prefmill-export" not in path.parts
    }


def x(value, at=4):
    """A record for each row; in that of one row stands another value."""
    return lambda position: {"id": "i", "x": value if position == at else 1.0}


COUNTS = pa.list_(pa.struct([("name", pa.string()), ("counts", pa.list_(pa.int64()))]))


def counts(last):
    """A record for each row; in that of row 4 stands another number."""
    return lambda position: {
        "id": "i",
        "x": [
            None,
            {"name": "a"},
            {"name": "b", "counts": [1, None, last if position == 4 else 2]},
        ],
    }


@pytest.mark.parametrize(
    ("own", "says"),
    [
        (Own(counts(1.5), COUNTS), r"row 'row-4' has list<.*> in it \(1.5 is no whole number"),
        (Own(x("high", at=0), COUNTS), "and row 'row-0' has string in it"),
        (Own(x("high")), "the column 'x' is double, and row 'row-4' has string in it"),
        (Own(x([1])), "the column 'x' is double, and row 'row-4' has list<item: int64> in it"),
        (Own(x(1.5), "int64"), r"is int64, and row 'row-4' has double in it \(1.5 is no whole num"),
        (Own(x(2**70), "int64"), "is int64, and row 'row-4' has int in it"),
        (Own(lambda n: {"id": "i"} if n == 4 else None), "row 'row-4' has no column 'x'"),
        (Own(lambda n: 1 // (4 - n) and None), r"ZeroDivisionError: .* \(row 'row-4'\); see the"),
    ],
)
def test_a_format_that_fails_is_left_out_alone_with_one_line(
    beside, rows, tmp_path, own, says, caplog
):
    alone = export(beside(Own(lambda n: None), spec="whole"), rows)["trl"]
    writer = beside(own)
    outcome = export(writer, rows)
    (line,) = writer.problems
    assert line.startswith("the format own is not written: ")
    assert re.search(says, line)
    assert outcome == {"trl": alone}
    assert not (tmp_path / "out" / "own").exists()
    manifest = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (list(manifest["outcome"]), manifest["not_written"]) == (["trl"], ["own"])
    card = (tmp_path / "out" / "README.md").read_text()
    assert "config_name: own" not in card
    assert "Asked for and not written, since the format failed: `own`." in card
    assert line in caplog.text


def test_a_whole_number_may_come_as_a_float(beside, rows, tmp_path):
    assert "own" in export(beside(Own(counts(2.0), COUNTS)), rows)
    written = pq.read_table(tmp_path / "out" / "own").column("x").to_pylist()
    assert {row[2]["counts"][2] for row in written} == {2}


def test_a_format_in_a_file_that_fails_is_told_with_its_place(beside, rows, caplog):
    own = Own(x("high"))
    own.place = "mine.py:7"
    writer = beside(own)
    export(writer, rows)
    assert "is not written: mine.py:7: the column 'x' is double" in writer.problems[0]


def test_a_format_in_a_file_that_raises_is_told_with_the_line_that_did(beside, rows, caplog):
    def give(position):
        raise RecipeError("mine.py:9: own: KeyError: 'x'")

    own = Own(give)
    own.place = "mine.py:7"
    writer = beside(own)
    export(writer, rows)
    assert "is not written: mine.py:9: own: KeyError: 'x' (row" in writer.problems[0]


def test_an_export_that_goes_on_still_knows_which_format_failed(beside, rows, caplog):
    own = Own(x("high", at=0))
    with beside(own) as cut:
        for row in rows[:4]:
            cut.add(row)
    writer = beside(own)
    assert writer.next_position == 3
    assert list(export(writer, rows)) == ["trl"]
    assert "row 'row-0' has string" in writer.problems[0]


def test_an_export_of_which_every_format_fails_has_failed_at_once(tmp_path, rows, caplog):
    options = FilesOptions(directory=tmp_path / "out")
    writer = FilesDestination(options).open([Own(x("high", at=0))], 3, "one")
    left = iter(rows)
    with pytest.raises(RecipeError, match="the format own is not written: the column 'x'"):
        export(writer, left)
    assert next(left).row.position == 4, "the first shard was whole with the row before"


def test_a_row_on_which_a_transform_failed_is_dropped_and_told_among_the_failures(
    opened, rows, tmp_path
):
    chosen = transforms_of([{"filter": "id != 'row-1' and metadata.id > 4"}], PLACE)
    made = [Chain(chosen).scored(row) for row in rows]
    with opened(["raw", "trl"]) as cut:
        for row in made[:4]:
            cut.add(row)
    outcome = export(opened(["raw", "trl"]), made)
    for sums in outcome.values():
        assert sums.prompts == 10 == sums.out + sums.ties + sum(sums.dropped.values())
        assert sums.dropped["by-output-filter"] == 1
        assert sums.dropped["output-transform-failed"] == 6
    lines = (tmp_path / "out" / "failures.jsonl").read_text().splitlines()
    first, *others = map(json.loads, lines)
    assert first == FAILURE
    assert [told["id"] for told in others] == [f"row-{n}" for n in (2, 3, 4, 5, 6, 9)]
    said = "output.transforms.0 (filter): UndefinedError: 'dict object' has no attribute 'id'"
    assert others[0] == {
        "id": "row-2", "row": 2, "cell": None, "reason": "output-transform-failed", "detail": said
    }  # fmt: skip


MINE = """
from prefmill.plugins import format

@format(columns={"best": float})
def mine(row):
    return {"best": "none" if row["best"] is None else "high"}
"""


def test_a_column_that_was_renamed_is_told_by_its_new_name_and_its_file(
    tmp_path, making, rows, caplog
):
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    chosen = {"formats": ["raw", "mine"], "columns": {"mine": {"best": "score"}}}
    with plugin_files({str(file): ""}):
        formats = formats_of(Output.model_validate(chosen), making.context())
    writer = FilesDestination(FilesOptions(directory=tmp_path / "out")).open(formats, 3, "one")
    assert list(export(writer, rows)) == ["raw"]
    assert writer.problems[0].startswith(
        f"the format mine is not written: {file}:4: the column 'score' is double, and row 'row-0' "
        "has string in it"
    )


def test_what_is_written_opens_with_datasets(opened, rows, tmp_path):
    import datasets

    outcome = export(opened(["raw", "distilabel", "trl", "preference"]), rows)
    folder, cache = str(tmp_path / "out"), str(tmp_path / "cache")
    first = datasets.load_dataset(folder, split="train", cache_dir=cache)
    assert first.column_names == ["id", "prompt", "chosen", "rejected", "metadata"]
    for config, sums in outcome.items():
        loaded = datasets.load_dataset(folder, config, split="train", cache_dir=cache)
        assert len(loaded) == sums.records
        shard = next((tmp_path / "out" / config).glob("*.parquet"))
        assert loaded.column_names == pq.read_schema(shard).names


def test_data_that_has_changed_is_not_taken_from_the_cache_of_datasets(opened, rows, tmp_path):
    import datasets

    def loaded(folder):
        cache = str(tmp_path / "cache")
        return datasets.load_dataset(str(folder), "raw", split="train", cache_dir=cache)["id"]

    export(opened(["raw"]), rows[:6])
    assert list(loaded(tmp_path / "out")) == [row.row.prompt.id for row in rows[:6]]
    export(opened(["raw"], spec="two"), rows[2:6])
    assert list(loaded(tmp_path / "out")) == [row.row.prompt.id for row in rows[2:6]]
    other = tmp_path / "elsewhere" / "out"
    export(opened(["raw"], folder=other), rows[:1])
    assert list(loaded(other)) == [rows[0].row.prompt.id]


def test_a_config_without_a_record_is_counted_but_does_not_spoil_the_others(opened, rows, tmp_path):
    import datasets

    outcome = export(opened(["trl", "raw"]), rows[5:6])
    assert (outcome["trl"].prompts, outcome["trl"].records) == (1, 0)
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert list(loaded["train"]["id"]) == ["row-5"]
    assert "| trl | 1 | 0 | 0 |" in (tmp_path / "out/README.md").read_text()


def test_an_export_without_any_record_says_why_and_its_notes_are_not_taken_for_data(
    opened, rows, tmp_path
):
    import datasets

    export(opened(["trl"]), rows[8:9])
    with pytest.raises(FileNotFoundError):
        datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert "1 (1 not-text)" in (tmp_path / "out/README.md").read_text()


def test_a_column_that_is_all_null_keeps_its_type(opened, making, tmp_path):
    blank = making.scored([making.row(0, [None, None], [])], making.context())
    export(opened(["raw"]), blank)
    schema = pq.read_schema(tmp_path / "out/raw/train-00000.parquet")
    assert str(schema.field("generations").type) == "list<element: string>"
    assert str(schema.field("scores").type) == "list<element: double>"


def test_prompts_in_are_out_and_ties_and_dropped(opened, rows):
    for sums in export(opened(), rows).values():
        assert sums.prompts == len(rows) == sums.out + sums.ties + sum(sums.dropped.values())


def test_a_shard_holds_a_fixed_range_of_prompts(opened, rows, tmp_path):
    export(opened(["raw"]), rows)
    shards = sorted((tmp_path / "out/raw").iterdir())
    ids = [pq.read_table(shard)["id"].to_pylist() for shard in shards]
    assert ids == [["row-0", "row-1", "row-2"], ["row-3", "row-4", "row-5"], ["row-6"], ["row-9"]]


def test_an_export_killed_between_shards_ends_with_the_same_bytes(opened, rows, tmp_path):
    export(opened(folder=tmp_path / "undisturbed"), rows)
    with opened() as killed:
        for row in rows[:8]:
            killed.add(row)
    again = opened()
    assert again.next_position == 6
    assert again.rows == 6
    export(again, rows)
    assert visible(tmp_path / "out") == visible(tmp_path / "undisturbed")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_an_export_killed_by_the_system_leaves_nothing_in_the_way(opened, rows, tmp_path):
    export(opened(folder=tmp_path / "undisturbed"), rows)
    child = os.fork()
    if child == 0:
        try:
            writer = opened()
            for row in rows[:8]:
                writer.add(row)
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    export(opened(), rows)
    assert visible(tmp_path / "out") == visible(tmp_path / "undisturbed")


def test_a_shard_without_its_counts_is_written_again(opened, rows, tmp_path):
    with opened() as killed:
        for row in rows[:8]:
            killed.add(row)
    (tmp_path / "out/.prefmill-export/shards/00001.json").write_text("{")
    with opened() as again:
        assert again.next_position == 3


def test_a_published_export_can_be_finished_again(opened, rows, tmp_path):
    outcome = export(opened(), rows)
    before = visible(tmp_path / "out")
    again = opened()
    assert again.next_position > rows[-1].row.position
    assert export(again, rows) == outcome
    assert visible(tmp_path / "out") == before


def test_a_shard_that_somebody_removed_is_written_again(opened, rows, tmp_path):
    export(opened(), rows)
    before = visible(tmp_path / "out")
    (tmp_path / "out/raw/train-00001.parquet").unlink()
    export(opened(), rows)
    assert visible(tmp_path / "out") == before


def test_another_export_replaces_shards_and_configs_only_when_it_is_whole(opened, rows, tmp_path):
    export(opened(), rows)
    before = visible(tmp_path / "out")
    with opened(["trl"], spec="two", shard_rows=100) as second:
        for row in rows:
            second.add(row)
        second.close_shard()
        assert visible(tmp_path / "out") == before
        second.finish(FACTS, {}, [])
    assert list(visible(tmp_path / "out")) == [
        "README.md",
        "dropped.jsonl",
        "failures.jsonl",
        "run.json",
        "trl/train-00000.parquet",
    ]
    assert not (tmp_path / "out/raw").exists()


def test_a_publication_that_was_cut_short_is_completed(opened, rows, tmp_path):
    export(opened(["trl"], folder=tmp_path / "undisturbed"), rows)
    export(opened(), rows)
    with opened(["trl"], spec="two") as cut:
        for row in rows:
            cut.add(row)
        cut.close_shard()
        staged = tmp_path / "out/.prefmill-export/staged"
        shutil.move(staged / "trl/train-00000.parquet", tmp_path / "out/trl/train-00000.parquet")
    export(opened(["trl"], spec="two"), rows)
    assert visible(tmp_path / "out") == visible(tmp_path / "undisturbed")


def test_a_folder_that_is_not_ours_is_refused(opened, rows, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("years of work")
    with pytest.raises(DestinationError, match="did not write: empty it, or name another folder"):
        opened()
    assert (tmp_path / "out/thesis.txt").read_text() == "years of work"


def test_a_folder_of_ours_keeps_what_somebody_put_beside_it(opened, rows, tmp_path):
    export(opened(["raw"]), rows)
    (tmp_path / "out/notes.txt").write_text("mine")
    (tmp_path / "out/trl").mkdir()
    with pytest.raises(DestinationError, match="trl was not written by prefmill"):
        opened(["trl"], spec="two")
    (tmp_path / "out/trl").rmdir()
    export(opened(["trl"], spec="two"), rows)
    assert (tmp_path / "out/notes.txt").read_text() == "mine"


def test_a_file_in_place_of_the_folder_is_refused(opened, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(DestinationError, match="is a file"):
        opened()


def test_two_exports_cannot_write_to_one_folder_at_once(opened, rows):
    with opened(), pytest.raises(DestinationError, match="another export is writing"):
        opened()


def test_a_full_disk_is_said_and_leaves_nothing_half_written(opened, rows, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    writer = opened(["raw"])
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
        with pytest.raises(DestinationError, match=r"no space left for .*train-00000"):
            export(writer, rows)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert not [path for path in (tmp_path / "out").rglob("*train*") if path.is_file()]
    export(opened(["raw"]), rows)


def test_rows_out_of_order_are_refused(opened, rows):
    with opened() as writer:
        writer.add(rows[1])
        with pytest.raises(ValueError, match="row 0 after row 1"):
            writer.add(rows[0])


def test_run_json_and_failures_hold_what_they_were_given(opened, rows, tmp_path):
    outcome = export(opened(), rows)
    manifest = json.loads((tmp_path / "out/run.json").read_text())
    assert manifest["recipe"] == {"name": "tiny"}
    assert manifest["outcome"]["kto"] == outcome["kto"].model_dump()
    lines = (tmp_path / "out/failures.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [FAILURE]


def test_every_prompt_that_is_no_data_is_named_with_the_reason_in_each_config(
    opened, rows, tmp_path
):
    with opened() as cut:  # what an earlier attempt wrote counts as well
        for row in rows[:7]:
            cut.add(row)
    outcome = export(opened(), rows)
    told = map(json.loads, (tmp_path / "out/dropped.jsonl").read_text().splitlines())
    named = {line["id"]: line["configs"] for line in told if line["id"] == f"row-{line['row']}"}
    assert list(named) == sorted(named)
    assert named["row-8"] == dict.fromkeys(outcome, "not-text")
    for config, sums in outcome.items():
        reasons = Counter(configs[config] for configs in named.values() if config in configs)
        ties = {"tie": sums.ties} if sums.ties else {}
        assert reasons == {**sums.dropped, **ties}


def test_a_format_that_fails_names_no_prompts(beside, rows, tmp_path, caplog):
    export(beside(Own(lambda n: {"id": "i"} if n == 4 else None)), rows)
    assert '"own"' not in (tmp_path / "out/dropped.jsonl").read_text()


def test_a_card_states_costs_below_a_cent(opened, rows, tmp_path):
    export(opened(), rows, facts=replace(FACTS, cost_usd=0.0042))
    assert "\n$0.0042 (US dollars).\n" in (tmp_path / "out/README.md").read_text()


def test_the_card_states_pairs_outcomes_judges_and_cost(opened, rows, tmp_path):
    export(opened(), rows)
    card = (tmp_path / "out/README.md").read_text()
    assert "The best-scored generation against the worst." in card
    assert "| trl | 10 | 3 | 1 | 6 (1 identical-texts, 1 not-finished, 1 not-text, " in card
    assert "| kind & strict |" in card
    assert "$0.50 (US dollars)." in card
    assert "````yaml\nname: tiny\nnote: ```\n````" in card
    assert card.count("default: true") == 1
