"""Whose a folder for a dataset is: asked before anything is made, and again by whoever writes.

Comes in: a folder. Goes out: why no dataset may go there. Never does: change it.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

OWN: Final = ".prefmill-export"
"""By it a folder is known as ours; it holds what an export notes for itself."""


def taken(folder: Path, configs: Iterable[str] = ()) -> str:
    """Why a dataset with these configs may not go there, and what to do: a sentence that ends in
    `folder`. Empty if it may."""
    try:
        return _taken(folder, configs)
    except OSError as error:
        return f"{folder} cannot be read ({error.strerror}): name another folder"


def marked(folder: Path) -> list[str]:
    """The configs in a folder that are ours."""
    try:
        return json.loads((folder / OWN / "marker.json").read_text(encoding="utf-8"))["configs"]
    except (FileNotFoundError, ValueError):
        return []


def _taken(folder: Path, configs: Iterable[str]) -> str:
    if folder.exists() and not folder.is_dir():
        return f"{folder} is a file: name a folder"
    if not (folder / OWN / "marker.json").exists() and _holds_any(folder):
        return f"{folder} holds files that prefmill did not write: empty it, or name another folder"
    ours = marked(folder)
    for config in configs:
        if config not in ours and (folder / config).exists():
            return f"{folder / config} was not written by prefmill: move it, or name another folder"
    return ""


def _holds_any(folder: Path) -> bool:
    """Whether anything is in it that a listing shows."""
    return folder.exists() and any(not entry.name.startswith(".") for entry in folder.iterdir())
