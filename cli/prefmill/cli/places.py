"""Where a dataset may go: a folder that is ours or empty, or the address of an object store."""

from pathlib import Path
from typing import TypeGuard

from prefmill.cli.stop import WRONG, Stop
from prefmill.plugins.folders import taken


def is_store(output: str | None) -> TypeGuard[str]:
    """Whether an output is an address of an object store, not a folder."""
    return output is not None and "://" in output


def refuse_foreign(folder: Path) -> None:
    """Stop if the folder is a file, or holds what prefmill did not write."""
    if why := taken(folder):
        raise Stop(WRONG, f"error: {why} with --output")
