"""Where a dataset may go: a folder that is ours or empty, or the address of an object store."""

from pathlib import Path
from typing import Final, TypeGuard

from prefmill.cli.stop import WRONG, Stop

OWN: Final = ".prefmill-export"
"""By it `run`, `submit` and `export` know a folder as theirs."""


def is_store(output: str | None) -> TypeGuard[str]:
    """Whether an output is an address of an object store, not a folder."""
    return output is not None and "://" in output


def refuse_foreign(folder: Path) -> None:
    """Stop if the folder is a file, or holds what prefmill did not write."""
    if folder.exists() and not folder.is_dir():
        raise Stop(WRONG, f"error: {folder} is a file; name a folder with --output")
    ours = (folder / OWN).exists()
    shown = folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir())
    if shown and not ours:
        raise Stop(
            WRONG,
            f"error: {folder} holds files that prefmill did not write; empty it, or name another "
            "folder with --output",
        )
