"""`prefmill deploy model`: adds a model or judge to an overlay for Kubernetes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
import yaml

from prefmill.cli.stop import WRONG, Stop

if TYPE_CHECKING:
    from prefmill.contracts.workers import LaneSpec

_SIDES = {"generator": "models", "judge": "judges"}

_KUSTOMIZATION = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../../../../worker/{worker}]
nameSuffix: -{name}
labels:
  - pairs: {{prefmill.dev/lane: {name}}}
    includeSelectors: true
{device}configMapGenerator:
  - name: prefmill-deployed
    files: [{name}.yaml]
replacements:
  - source: {{kind: Deployment, fieldPath: metadata.name}}
    targets:
      - {{select: {{kind: ScaledObject}}, fieldPaths: [spec.scaleTargetRef.name]}}
  - source: {{kind: Deployment, fieldPath: "metadata.labels.[prefmill.dev/lane]"}}
    targets:
      - {{select: {{kind: ScaledObject}}, fieldPaths: [spec.triggers.0.metadata.consumer]}}
"""

_DEVICE = """\
  - pairs: {prefmill.dev/device: gpu}
    includeTemplates: true
"""
"""What the component `gpu` goes by."""

_DEVICES = """\
patches:
  # As many devices as the model's own file says; memory is the host's.
  - target: {{kind: Deployment}}
    patch: |-
      - op: replace
        path: /spec/template/spec/containers/0/resources
        value:
          requests: {{cpu: "4", memory: 16Gi, nvidia.com/gpu: "{gpus}"}}
          limits: {{memory: 64Gi, nvidia.com/gpu: "{gpus}"}}
"""


@click.group()
def deploy() -> None:
    """Change what an overlay of deploy/k8s brings up."""


@deploy.command()
@click.argument("name")
@click.argument("spec", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--overlay",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder of the overlay, such as deploy/k8s/overlays/gpu.",
)
@click.option(
    "--worker", type=click.Choice(tuple(_SIDES)), default="generator", help="Who serves it."
)
def model(name: str, spec: Path, overlay: Path, worker: str) -> None:
    """Deploy what the file SPEC says (engine, model, options, as in a recipe) under NAME.

    Recipes then name it: `models: [NAME]`. Writes a folder of the overlay and names it in the
    overlay's kustomization.yaml; nothing is applied.
    """
    side = _SIDES[worker]
    folder = overlay / side / name
    if folder.exists():
        raise Stop(WRONG, f"error: {folder} is there already; change its {name}.yaml")
    text = spec.read_text("utf-8")
    gpus = _devices(name, side, text)
    folder.mkdir(parents=True)
    (folder / f"{name}.yaml").write_text(text)
    (folder / "kustomization.yaml").write_text(_kustomization(name, worker, gpus))
    _enter(overlay / "kustomization.yaml", side, name)
    click.echo(f"wrote {folder}; see it with: kubectl kustomize {overlay}")
    if gpus and "components/gpu" not in (overlay / "kustomization.yaml").read_text("utf-8"):
        click.echo(f"{overlay} lacks the component ../../components/gpu, which {name} needs")


def _kustomization(name: str, worker: str, gpus: int) -> str:
    device, devices = (_DEVICE, _DEVICES.format(gpus=gpus)) if gpus else ("", "")
    return _KUSTOMIZATION.format(name=name, worker=worker, device=device) + devices


def _devices(name: str, side: str, text: str) -> int:
    """How many the model wants. What the worker would say at its start is said now."""
    found = _spec(name, side, text).options.get("gpus")
    gpus = found if isinstance(found, int) else 0
    if gpus and side == "judges":
        raise Stop(
            WRONG,
            f"error: {name} runs on devices of its own, and the judges' image has no vLLM: serve "
            "it by `vllm serve`, and deploy {engine: openai, model: …, base_url: …}",
        )
    return gpus


def _spec(name: str, side: str, text: str) -> "LaneSpec":
    import tempfile

    from prefmill.plugins.errors import RecipeError
    from prefmill.settings.deployed import read_deployed

    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / side
        place.mkdir()
        try:
            (place / f"{name}.yaml").write_text(text)
            (spec,) = read_deployed(Path(scratch)).all_lanes()
        except (RecipeError, OSError) as error:
            said = str(error).replace(f"{place}/", "")
            raise Stop(WRONG, f"error: {said}") from error
    return spec


def _enter(file: Path, side: str, name: str) -> None:
    """Name the folder among the resources, and its file in the coordinator's list. Comments of
    the file stay: lines are put in, none is rewritten."""
    lines = file.read_text("utf-8").splitlines()
    value = cast("dict[str, Any]", yaml.safe_load("\n".join(lines)))
    last = max(n for n, line in enumerate(lines) if line.startswith("  - ") and _listed(lines, n))
    lines.insert(last + 1, f"  - {side}/{name}")
    entry = f"{side}/{name}/{name}.yaml"
    generators = {each["name"] for each in value.get("configMapGenerator", ())}
    if f"prefmill-{side}" in generators:
        start = lines.index(f"  - name: prefmill-{side}")
        lines[start + 1] = lines[start + 1].replace("[", f"[{entry}, ").replace(", ]", "]")
    else:
        lines += ["configMapGenerator:"] if not generators else []
        at = lines.index("configMapGenerator:") + 1
        lines[at:at] = [f"  - name: prefmill-{side}", f"    files: [{entry}]"]
    file.write_text("\n".join(lines) + "\n")


def _listed(lines: list[str], number: int) -> bool:
    """Whether the line stands under `resources:`."""
    heads = [line for line in lines[:number] if line and not line[0].isspace() and line[0] != "#"]
    return bool(heads) and heads[-1] == "resources:"
