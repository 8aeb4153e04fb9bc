"""What a model's or an adapter's folder lacks, found without loading it."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, cast

_WEIGHTS: Final = ("*.safetensors", "*.bin", "*.pt", "*.gguf", "consolidated*")
_INDEX: Final = "model.safetensors.index.json"


def folder_of(name: str) -> Path | None:
    """The folder that a model's name means; None if it is an id of the Hub."""
    path = Path(name).expanduser()
    if path.exists() or path.is_absolute() or name.startswith((".", "~")):
        return path
    return None


def model_problem(folder: Path, *, weights: bool = True) -> str:
    """Why no model can be loaded from the folder, in one line; empty if nothing is seen."""
    if folder.is_file():
        return ""
    if not folder.is_dir():
        return f"there is no model folder {folder}"
    config = folder / "config.json"
    if not config.is_file() and not (folder / "params.json").is_file():
        return f"{folder} holds no config.json: it is no model's folder, or not written completely"
    if config.is_file() and not isinstance(_json(config), dict):
        return f"{config} cannot be read: write the model's folder again"
    return _weights_problem(folder) if weights else ""


def adapter_problem(folder: Path) -> str:
    """Why no LoRA adapter can be loaded from the folder; empty if nothing is seen."""
    if not folder.is_dir():
        return f"there is no adapter folder {folder}"
    if not isinstance(_json(folder / "adapter_config.json"), dict):
        return f"{folder} holds no readable adapter_config.json: it is no LoRA adapter's folder"
    return _weights_problem(folder)


def rank_of(folder: Path) -> int | None:
    """The rank of a LoRA adapter, if its folder tells."""
    config = _json(folder / "adapter_config.json")
    rank = cast("dict[str, Any]", config).get("r") if isinstance(config, dict) else None
    return rank if isinstance(rank, int) else None


def _weights_problem(folder: Path) -> str:
    files = {path.name: path for pattern in _WEIGHTS for path in folder.glob(pattern)}
    if missing := sorted(_indexed(folder) - files.keys()):
        return f"{folder} lacks {', '.join(missing)}, which {_INDEX} lists: it is half-written"
    if not files:
        return f"{folder} holds no weights (*.safetensors or *.bin): it is half-written"
    cut = sorted(name for name, path in files.items() if _cut_short(path))
    return f"{folder / cut[0]} is cut short: it is half-written; copy it again" if cut else ""


def _indexed(folder: Path) -> set[str]:
    index = _json(folder / _INDEX)
    if not isinstance(index, dict):
        return set()
    shards: Any = cast("dict[str, Any]", index).get("weight_map")
    return set(cast("Iterable[str]", shards.values())) if isinstance(shards, dict) else set()


def _cut_short(path: Path) -> bool:
    """Whether a safetensors file ends before its header says."""
    if path.suffix != ".safetensors":
        return path.stat().st_size == 0
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if not 0 < size <= path.stat().st_size - 8:
            return True
        try:
            header = cast("dict[str, Any]", json.loads(file.read(size)))
        except ValueError:
            return True
    ends = [int(t["data_offsets"][1]) for n, t in header.items() if n != "__metadata__"]
    return path.stat().st_size < 8 + size + max(ends, default=0)


def _json(path: Path) -> object:
    """What the file holds; None if it cannot be read."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
