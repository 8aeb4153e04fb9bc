"""What a person sees when something is wrong: one clear line, the right exit code, no traceback,
and one bad row is one failed row."""

import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from .command import Folder, simulator, tables

pytestmark = pytest.mark.slow

SIMULATED: dict[str, Any] = {
    "name": "bad",
    "source": {"inline": ["One?", "Two?"]},
    "models": {alias: {"engine": "simulated", "model": f"sim-{alias}"} for alias in ("a", "b")},
    "judges": {"j": {"engine": "simulated", "model": "sim-j"}},
    "judge": {"rubric": {"ultrafeedback": ["overall-rating"]}},
    "output": {"formats": ["raw", "trl"]},
}

WRONG_RECIPES: dict[str, tuple[dict[str, Any], str]] = {
    "misspelt key": ({"jugdes": {}}, "r.yaml:25: jugdes: unknown key; did you mean 'judges'?"),
    "pool too small": (
        {"generate": {"sampler": {"sample": 3}}},
        "generate.sampler.sample: 3 models are to answer a row, but `models` has 2",
    ),
    "judge named nowhere": ({"judges": {}}, "there is a `judge:` step but no judge"),
    "weight named nowhere": (
        {"generate": {"sampler": {"sample": 1, "weights": {"a": 1, "c": 1}}}},
        "generate.sampler.weights: 'c' is no model of this recipe; there are: a, b",
    ),
    "empty source": ({"source": {"inline": []}}, "source.inline: holds no rows"),
    "empty file": ({"source": {"jsonl": "empty.jsonl"}}, "empty.jsonl: holds no rows"),
    "no file": ({"source": {"jsonl": "none.jsonl"}}, "No such file or directory; check the path"),
    "missing column": (
        {"source": {"jsonl": "rows.jsonl", "columns": {"prompt": "promt"}}},
        "no column 'promt' (asked for as 'prompt' by `columns`); did you mean 'prompt'?",
    ),
    "not text": ({"source": {"jsonl": "bytes.jsonl"}}, "bytes.jsonl line 1, byte 1: not UTF-8"),
}

ROWS: list[tuple[bytes, str | None]] = [
    (b'{"id": "fine", "prompt": "What are tides?"}', None),
    (b'{"id": "again", "prompt": "What are tides?"}', None),
    (b'{"id": "null", "prompt": null}', "missing-instruction"),
    (b'{"id": "empty", "prompt": ""}', "missing-instruction"),
    (b'{"id": "blank", "prompt": " \\n"}', "missing-instruction"),
    (b'{"id": "absent", "other": 1}', "missing-instruction"),
    (b'{"id": "long", "prompt": "' + b"x" * 1_000_000 + b'"}', "too-long"),
    (b'{"id": "number", "prompt": 42}', "not-text"),
    (b'{"id": "record", "prompt": {"a": 1}}', "not-text"),
    (b'{"id": "fine", "prompt": "The same id"}', "duplicate-id"),
    (b'{"id": "bytes", "prompt": "\xff\xfe"}', "bad-row"),
    (b"no JSON", "bad-row"),
    (b'["a", "list"]', "bad-row"),
    (b'{"id": "nul", "prompt": "with \\u0000 in it"}', None),
    (b'{"id": "cut", "prompt": "the file ends in the mid', "bad-row"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "bytes.jsonl").write_bytes(b"\x80\x81\n")
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(row for row, _ in ROWS))
    return Folder(tmp_path)


@pytest.mark.parametrize(("change", "said"), WRONG_RECIPES.values(), ids=list(WRONG_RECIPES))
def test_a_wrong_recipe_is_refused_with_a_line_that_says_where(
    folder: Folder, change: dict[str, Any], said: str
) -> None:
    recipe = folder.recipe("r.yaml", SIMULATED | change)
    output = folder.run("check", recipe, code=2)
    assert said in output
    assert output.startswith("error: ")
    assert len(output.splitlines()) == 1


def test_one_bad_row_is_one_failed_row_with_a_reason(folder: Folder) -> None:
    recipe = folder.recipe("r.yaml", SIMULATED | {"source": {"jsonl": "rows.jsonl"}})
    output = folder.run("run", recipe, "--yes", "--output", "out")
    lost = Counter(reason for _, reason in ROWS if reason)
    failures = [json.loads(line) for line in _lines(folder.path / "out/failures.jsonl")]
    assert Counter(failure["reason"] for failure in failures) == lost
    assert all(failure["detail"] for failure in failures)
    sums = json.loads((folder.path / "out/run.json").read_text())["outcome"]["raw"]
    assert sums["prompts"] == len(ROWS) == sums["out"] + sum(sums["dropped"].values())
    assert sums["dropped"] == lost
    assert f"{sum(lost.values())} prompts could not be used; see" in output


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines()


def test_a_port_in_use_is_named(folder: Folder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}" in folder.run(
            "simulate", "--port", str(port), code=2
        )
        assert f"cannot listen on port {port}" in folder.run("up", "--port", str(port), code=2)


def test_a_home_of_an_older_version_is_left_alone(folder: Folder) -> None:
    home = folder.path / "home"
    home.mkdir()
    (home / "VERSION").write_text("prefmill home, layout 0\n")
    output = folder.run("run", folder.recipe("r.yaml", SIMULATED), "--home", home, code=1)
    assert "made by an older prefmill (layout 0; this one uses layout 1)" in output
    assert [path.name for path in home.iterdir()] == ["VERSION"]


def test_a_service_without_its_nats_says_where_it_looked(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFMILL_NATS_URL", "nats://u:secret@127.0.0.1:1")
    monkeypatch.setenv("PREFMILL_NATS_WAIT_S", "0")
    output = folder.run("service", "sink", code=1)
    assert output.startswith("error: no NATS server answers at nats://127.0.0.1:1 ")
    assert len(output.splitlines()) == 1


def test_an_engine_that_answers_with_web_pages_stops_the_run_with_its_words(
    folder: Folder,
) -> None:
    with simulator("--faults", "html=1") as server:
        models = {alias: server.model(f"sim-{alias}") for alias in ("a", "b")}
        recipe = SIMULATED | {"models": models, "source": {"inline": [f"{n}?" for n in range(30)]}}
        output = folder.run("run", folder.recipe("r.yaml", recipe), "--yes", code=1)
    assert "20 calls in succession failed alike, the last: sim-a at 127.0.0.1" in output
    assert "it answered with a web page" in output
    assert "the same command goes on" in output


class Odd(BaseHTTPRequestHandler):
    """An OpenAI-compatible server: `nul` answers with NULs, `poor` runs out of quota until it is
    given some."""

    rich = threading.Event()
    asked: ClassVar[Counter[str]] = Counter()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is given
        """Nothing."""

    def do_GET(self) -> None:
        self._send(200, {"data": [{"id": "nul"}, {"id": "poor"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        model = body["model"]
        self.asked[model] += 1
        if model == "poor" and self.asked[model] > 2 and not self.rich.is_set():
            said = {"message": "You exceeded your current quota", "code": "insufficient_quota"}
            self._send(429, {"error": said})
            return
        text = "A\0B" if model == "nul" else f"An answer to {body['messages'][-1]['content']}"
        message = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
        self._send(200, message | {"model": model})

    def _send(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def odd_server() -> Iterator[str]:
    Odd.rich.clear()
    Odd.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Odd)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_quota_gone_in_mid_run_pauses_one_lane_and_the_same_command_goes_on(
    folder: Folder,
) -> None:
    with odd_server() as url:
        models = {
            name: {"engine": "openai", "model": name, "base_url": url, "concurrency": 1}
            for name in ("nul", "poor")
        }
        source = {"inline": [f"Question {n}?" for n in range(6)]}
        recipe = folder.recipe("r.yaml", SIMULATED | {"models": models, "source": source})
        output = folder.run("run", recipe, "--yes", "--output", "out", code=1)
        assert "models.nul: done, 6 answers" in output
        assert "models.poor: unusable: poor at 127.0.0.1" in output
        assert "the account behind OPENAI_API_KEY has no quota left" in output
        Odd.rich.set()
        folder.run("run", recipe, "--yes", "--output", "out")
        assert Odd.asked["nul"] == 6
    rows = tables(folder.path / "out")["raw"]
    assert [row["generations"] for row in rows] == [
        ["A\N{REPLACEMENT CHARACTER}B", f"An answer to Question {n}?"] for n in range(6)
    ]
