"""A coordinator that is not ours: files go to it, datasets come back, its paths stay its own."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from prefmill.cli.client import Client
from prefmill.cli.stop import Stop
from prefmill.contracts.api import ExportRequest, RunRequest
from prefmill.contracts.recipe import Recipe
from prefmill.plugins.errors import RecipeError
from tests.e2e.command import PREFMILL, tables, until

from .test_service_probes import free_port

SIMULATED: dict[str, Any] = {
    "name": "away",
    "models": {a: {"engine": "simulated", "model": f"sim-{a}"} for a in ("a", "b")},
    "judges": {"j": {"engine": "simulated", "model": "sim-j"}},
    "judge": {"rubric": {"ultrafeedback": ["honesty"]}},
    "output": {"formats": ["raw", "trl"]},
}


@dataclass(frozen=True)
class Elsewhere:
    """Services with folders of their own, and a person's folder."""

    url: str
    server: Path
    here: Path

    @property
    def client(self) -> Client:
        return Client(self.url)

    def recipe(self, **changes: Any) -> Path:
        """A recipe that names a file beside it."""
        known = SIMULATED | {
            "source": {"jsonl": "prompts.jsonl"},
            "judge": {"rubric": {"ultrafeedback": ["honesty"], "templates": "mine"}},
        }
        path = self.here / "away.yaml"
        path.write_text(yaml.safe_dump(known | changes))
        return path

    def command(self, *args: str | Path, code: int = 0) -> str:
        process = subprocess.run(
            [PREFMILL, *map(str, args), "--api", self.url],
            cwd=self.here,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=100,
            check=False,
        )
        assert process.returncode == code, process.stdout
        return process.stdout


@contextmanager
def service(name: str, folder: Path, **env: str) -> Generator[None]:
    """A service as a container starts it, in a folder of its own."""
    folder.mkdir(exist_ok=True)
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", f"prefmill.{name}.app"],
            cwd=folder,
            env=os.environ | env,
            stdout=log,
            stderr=log,
        )
        try:
            yield
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def elsewhere(
    database_url: str, nats_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Generator[Elsewhere]:
    """The coordinator, and what else of the line a test names."""
    server, here, port = tmp_path / "server", tmp_path / "here", free_port()
    here.mkdir()
    lines = [json.dumps({"prompt": f"What are tides, point {n}?"}) for n in range(4)]
    (here / "prompts.jsonl").write_text("\n".join(lines))
    (here / "mine").mkdir()
    (here / "mine" / "honesty.system.jinja2").write_text("You judge for the person of this test.")
    (here / "mine" / "honesty.user.jinja2").write_text("{{ instruction }} {{ generations }}")
    env = {
        "PREFMILL_NATS_URL": nats_url,
        "PREFMILL_DATABASE_URL": database_url,
        "PREFMILL_EXPORTS_DIR": str(server / "exports"),
        "PREFMILL_EXPORT_TICK_S": "0.1",
        "PREFMILL_UPLOAD_BYTES": "4000",
        "PREFMILL_HOST_ANY": "true",
        "PREFMILL_PORT": str(port),
    }
    with ExitStack() as stack:
        for name in ("coordinator", *getattr(request, "param", ())):
            stack.enter_context(service(name, server, **env))
        client = Client(f"http://127.0.0.1:{port}")
        until(client.ready, "coordinator")
        yield Elsewhere(client.url, server, here)


@pytest.mark.parametrize("elsewhere", [("generator", "judge", "sink")], indirect=True)
def test_submit_sends_files_along_and_fetches_the_dataset(elsewhere: Elsewhere) -> None:
    breaks = {"filter": "id != '2' or id > 4"}  # a text and a number
    recipe = elsewhere.recipe(output={"formats": ["raw", "trl"], "transforms": [breaks]})
    said = elsewhere.command("submit", recipe, "--watch", "--yes", "--output", "mine-out")

    assert "sending prompts.jsonl" in said
    assert f"dataset: {elsewhere.here / 'mine-out'}" in said
    written = tables(elsewhere.here / "mine-out")
    assert len(written["raw"]) == 3
    failed = elsewhere.command("failures", "away")
    assert re.search(
        r"^2 +after pooling +output-transform-failed .*TypeError", failed, re.MULTILINE
    )
    manifest = json.loads((elsewhere.here / "mine-out" / "run.json").read_text())
    assert re.fullmatch(
        r"upload:[0-9a-f]{64}/prompts\.jsonl", manifest["recipe"]["source"]["jsonl"]
    )
    assert "the person of this test" in json.dumps(manifest["recipe"]["judge"]["rubric"])
    assert str(elsewhere.here) not in json.dumps(manifest)

    again = elsewhere.command(
        "submit", elsewhere.recipe(), "--watch", "--yes", "--output", "mine-out"
    )
    assert "sending" not in again
    exported = elsewhere.command("export", elsewhere.recipe(), "--format", "kto")
    assert "is not as revision" not in exported
    assert f"dataset: {elsewhere.here / 'out' / 'away-export'}" in exported
    assert list(tables(elsewhere.here / "out" / "away-export")) == ["kto"]
    assert elsewhere.client._ask("GET", "/v1/dead") == []  # noqa: SLF001
    with pytest.raises(Stop, match="no dead batch 7"):
        elsewhere.client._ask("POST", "/v1/dead/7/replay")  # noqa: SLF001
    assert "no answer or verdict had failed" in elsewhere.command("retry", "away")


def test_a_recipe_from_elsewhere_reads_no_path_of_the_server(elsewhere: Elsewhere) -> None:
    secret = elsewhere.server / "secret.jsonl"
    secret.write_text('{"prompt": "secret"}')
    ready = yaml.safe_load(elsewhere.recipe().read_text())
    for changes in (
        {"source": {"jsonl": str(secret)}},
        {"source": {"jsonl": "secret.jsonl"}},
        {"source": {"hub": str(elsewhere.server)}},
        {"source": {"inline": ["a"]}, "judge": {"rubric": {"template": str(secret)}}},
        {"source": {"jsonl": f"upload:{'0' * 64}/../secret.jsonl"}},
    ):
        recipe = Recipe.model_validate({**ready, "judge": {"rubric": "ultrafeedback"}} | changes)
        for ask in (elsewhere.client.plan, elsewhere.client.submit):
            with pytest.raises(RecipeError, match=r"prefmill submit|is no upload"):
                ask(RunRequest(recipe=recipe))
    inline = Recipe.model_validate(
        {**ready, "source": {"inline": ["a"]}, "judge": {"rubric": "ultrafeedback"}}
    )
    for folder in ("/srv/anywhere", "../out", "file:///srv/x"):
        with pytest.raises(RecipeError, match="outside of the sink's folder"):
            elsewhere.client.submit(RunRequest(recipe=inline, directory=folder))
    assert elsewhere.client.runs() == []


def test_a_dataset_is_not_asked_for_where_somebody_elses_files_are(elsewhere: Elsewhere) -> None:
    theirs = elsewhere.server / "exports" / "theirs"
    theirs.mkdir(parents=True)
    (theirs / "thesis.txt").write_text("years of work")
    recipe = Recipe.model_validate(SIMULATED | {"source": {"inline": ["One?"]}})
    with pytest.raises(RecipeError, match=r"theirs holds files that prefmill did not write"):
        elsewhere.client.submit(RunRequest(recipe=recipe, directory="theirs"))
    assert elsewhere.client.runs() == []
    run = elsewhere.client.submit(RunRequest(recipe=recipe))
    with pytest.raises(RecipeError, match=r"theirs holds files that prefmill did not write"):
        elsewhere.client.export(run.id, ExportRequest(directory="theirs"))
    assert elsewhere.client.status(run.id).exports == ()


def test_an_upload_beyond_the_limit_is_refused(elsewhere: Elsewhere) -> None:
    (elsewhere.here / "prompts.jsonl").write_text('{"prompt": "long"}\n' * 1000)
    said = elsewhere.command("submit", elsewhere.recipe(), "--yes", code=1)
    assert "an upload may have 4000 bytes" in said
    assert not list((elsewhere.server / "exports").glob("uploads/*/content"))


@pytest.mark.slow
def test_a_run_puts_its_dataset_to_a_store(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(SIMULATED | {"source": {"inline": ["One?"]}}))
    there = f"file://{tmp_path}/store/one"
    process = subprocess.run(
        [PREFMILL, "run", "r.yaml", "--yes", "--output", there],
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=100,
        check=False,
    )
    assert process.returncode == 0, process.stdout
    assert f"dataset: {there}" in process.stdout
    assert len(tables(tmp_path / "store" / "one")["raw"]) == 1
