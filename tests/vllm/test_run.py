"""The whole line on real vLLM: two models answer, a third judges, one of them is killed midway."""

import asyncio
import json
import os
import re
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from prefmill.cli.client import Client
from prefmill.contracts.api import RunRequest, RunStatus, SlotStatus
from prefmill.contracts.recipe import Recipe
from prefmill.messaging.connection import connect, jetstream_of
from tests.e2e.command import PROMPTS, Folder, tables, until
from tests.vllm.tiny import make_model

ROWS = 64
TOKENS = 48
LOAD_S = 400.0
"""Three engines are six processes that import vLLM, on as few as two cores."""


def recipe(folder: Path) -> dict[str, Any]:
    """Answers of one length, and a judge that ends a rationale soon: it is held to the rubric's
    schema, and likes quotation marks."""
    models = {name: make_model(folder / name, seed=n) for n, name in enumerate(["a", "b", "judge"])}

    def local(name: str) -> dict[str, Any]:
        small = {"enforce_eager": True, "max_model_len": 4096, "max_num_seqs": 16}
        small |= {"distributed_executor_backend": "uni"}
        return {"engine": "vllm", "model": str(models[name]), **small}

    vocabulary = json.loads((models["judge"] / "tokenizer.json").read_text())["model"]["vocab"]
    brief = {"logit_bias": {str(vocabulary['"']): 4.0}}
    return {
        "name": "vllm",
        "seed": 7,
        "source": {"inline": [*PROMPTS[:ROWS], "the quick brown fox " * 4000]},
        "models": {"a": local("a"), "b": local("b")},
        "generate": {
            "params": {"max_tokens": TOKENS, "temperature": 0.7, "extra_body": {"ignore_eos": True}}
        },
        "judges": {"judge": local("judge")},
        "judge": {
            "rubric": {"ultrafeedback": ["honesty"]},
            "params": {"max_tokens": 200, "temperature": 1.0, "extra_body": brief},
        },
        "output": {"formats": ["raw"]},
    }


@contextmanager
def stack(folder: Folder) -> Generator[Client]:
    """`prefmill up`, which keeps the models loaded from run to run."""
    process = folder.start("up", "--port", "0")
    address = folder.path / ".prefmill" / "api.json"
    try:
        until(address.exists, "address of the coordinator")
        public = json.loads(address.read_text())
        yield Client(public["url"], public["token"])
    finally:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert re.search(r"generator-a-\S+ ended \(killed by SIGKILL\) and is started again", said)


def submitted(client: Client, made: dict[str, Any], out: Path, fresh: bool = False) -> RunStatus:
    wanted = Recipe.model_validate(made)
    return client.submit(RunRequest(recipe=wanted, fresh=fresh, directory=str(out)))


def finished(client: Client, run: int) -> RunStatus:
    """The run when its dataset is there."""

    def ended() -> RunStatus | None:
        time.sleep(0.2)
        status = client.status(run)
        assert status.state != "failed", status.reason
        made = status.exports and status.exports[0].state in ("written", "failed")
        return status if status.state == "finished" and made else None

    return until(ended, "end of the run", LOAD_S)


def slot(status: RunStatus, alias: str) -> SlotStatus:
    return next(slot for slot in status.slots if slot.alias == alias)


def kill_midway(folder: Folder, client: Client, run: int) -> None:
    """Kill the worker of `a` when it has given some answers and has others in hand."""

    def begun() -> SlotStatus | None:
        found = slot(client.status(run), "a")
        return found if found.done else None

    logs = folder.path / ".prefmill" / "logs"
    until(lambda: any("ready after" in p.read_text() for p in logs.glob("*-a-*")), "load", LOAD_S)
    lane = until(begun, "answers", LOAD_S).lane
    (pid_file,) = folder.path.glob(".prefmill/run/generator-a-*.pid")
    os.kill(int(pid_file.read_text()), signal.SIGKILL)
    assert asyncio.run(in_hand(folder, lane)) > 0, "the kill hit nothing"
    assert slot(client.status(run), "a").done < ROWS


async def in_hand(folder: Folder, lane: str) -> int:
    """Batches that a worker of the lane has been handed, and has not answered."""
    nats = folder.path / ".prefmill" / "nats"
    (ports,) = nats.glob("*.ports")
    port = json.loads(ports.read_text())["nats"][0].rpartition(":")[2]
    nc = await connect(f"nats://{(nats / 'token').read_text()}@127.0.0.1:{port}", "test")
    found = await jetstream_of(nc).consumer_info("GENERATE", lane)
    await nc.close()
    return found.num_ack_pending or 0


def check_whole(status: RunStatus) -> None:
    """Every cell has closed once, and every prompt has its outcome."""
    for alias in ("a", "b"):
        model = slot(status, alias)
        assert (model.done, model.failed, model.reused) == (ROWS, 1, 0), "one is too long"
        assert model.output_tokens == TOKENS * ROWS, "an answer was counted twice"
    judge = slot(status, "judge")
    assert judge.done + judge.failed == ROWS
    assert judge.done > ROWS / 2
    outcome = status.exports[0].outcome["raw"]
    assert outcome.prompts == ROWS + 1
    assert outcome.out + outcome.ties + sum(outcome.dropped.values()) == ROWS + 1


@pytest.mark.timeout(600)
def test_a_generator_killed_in_the_middle_costs_nothing_and_changes_no_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFMILL_CPU_MODELS", "3")
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # so that `uni` holds on a CPU
    folder = Folder(tmp_path)
    made = recipe(tmp_path)
    with stack(folder) as client:
        run = submitted(client, made, tmp_path / "killed")
        kill_midway(folder, client, run.id)
        killed = finished(client, run.id)
        check_whole(killed)
        again = submitted(client, made, tmp_path / "killed")
        assert finished(client, again.id).slots == killed.slots, "something was asked again"
        fresh = submitted(client, made, tmp_path / "whole", fresh=True)
        check_whole(finished(client, fresh.id))
    texts = tables(tmp_path / "killed")["raw"]
    assert all(all(row["generations"]) for row in texts[:ROWS])
    assert texts == tables(tmp_path / "whole")["raw"]
    overflow = (tmp_path / "killed" / "failures.jsonl").read_text()
    assert overflow.count("the model takes 4096 in all (max_model_len)") == 2
    said = folder.run("run", folder.recipe("vllm.yaml", made), "--yes", "--output", tmp_path / "c")
    assert "is being loaded" not in said, "what is stored needs no model"
