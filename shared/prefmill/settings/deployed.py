"""The models and judges that an installation offers by name, one YAML file each.

`models/NAME.yaml` and `judges/NAME.yaml` hold what a recipe would say of them. The coordinator
reads all of them, so that a recipe can name them; a worker those that it serves.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from prefmill.contracts.recipe import ModelSpec
from prefmill.contracts.work import LaneKind
from prefmill.contracts.workers import LaneSpec
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.lanes import engine_of, lane_of
from prefmill.plugins.registry import explain, nearest
from prefmill.settings.service import WorkerSettings

FOLDERS: Final[dict[LaneKind, str]] = {"generate": "models", "judge": "judges"}

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?")


@dataclass(frozen=True)
class Deployed:
    """Name → what is deployed under it, for each side."""

    folder: Path | None = None
    models: Mapping[str, ModelSpec] = field(default_factory=dict[str, ModelSpec])
    judges: Mapping[str, ModelSpec] = field(default_factory=dict[str, ModelSpec])

    def of(self, kind: LaneKind) -> Mapping[str, ModelSpec]:
        """Those of one side."""
        return self.models if kind == "generate" else self.judges

    def spec(self, kind: LaneKind, name: str, where: str) -> ModelSpec:
        """What is deployed under a name. RecipeError lists what is."""
        known = self.of(kind)
        if name not in known:
            raise RecipeError(
                f"{where}: no {FOLDERS[kind][:-1]} is deployed as {name!r}{nearest(name, known)}"
            )
        return known[name]

    def lanes(self, kind: LaneKind, names: Iterable[str] | None = None) -> tuple[LaneSpec, ...]:
        """The lanes of these names, or of all of one side. RecipeError as `spec` and `lane_of`."""
        wanted = self.of(kind) if names is None else names
        return tuple(self._lane(kind, name) for name in wanted)

    def all_lanes(self) -> tuple[LaneSpec, ...]:
        """The lanes of both sides: their consumers exist before anything scales by them."""
        return self.lanes("generate") + self.lanes("judge")

    def _lane(self, kind: LaneKind, name: str) -> LaneSpec:
        where = f"{self.folder}/{FOLDERS[kind]}/{name}.yaml"
        spec = self.spec(kind, name, where)
        _, options = engine_of(where, spec)
        return lane_of(kind, spec, options)


def read_deployed(folder: Path | None) -> Deployed:
    """Read a folder; nothing is deployed without one. RecipeError names file and problem."""
    if folder is None:
        return Deployed()
    if not folder.is_dir():
        raise RecipeError(f"PREFMILL_DEPLOYED: there is no folder {folder}")
    return Deployed(folder, _side(folder / "models"), _side(folder / "judges"))


def served(settings: WorkerSettings, kind: LaneKind) -> tuple[LaneSpec, ...]:
    """The lanes that a worker's settings name. RecipeError if they are not deployed."""
    names = [name.strip() for name in settings.serve.split(",") if name.strip()]
    return read_deployed(settings.deployed).lanes(kind, names) if names else ()


def _side(folder: Path) -> dict[str, ModelSpec]:
    return {file.stem: _spec(file) for file in sorted(folder.glob("*.yaml"))}


def _spec(file: Path) -> ModelSpec:
    import yaml

    from prefmill.plugins.shallow import read_yaml

    if not _NAME.fullmatch(file.stem):
        raise RecipeError(
            f"{file}: {file.stem!r} is no name for a queue; use lower-case letters, digits and "
            "single dashes, 50 characters at most"
        )
    try:
        value: Any = read_yaml(file.read_text("utf-8"))
        return ModelSpec.model_validate({**(value or {}), "lane": file.stem})
    except ValidationError as error:
        raise RecipeError(*explain(error, ModelSpec, str(file))) from error
    except (yaml.YAMLError, TypeError, OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{file}: cannot be read: {str(error).splitlines()[0]}") from error
