"""`output: {listing: FILE}`: a list of what a dataset consists of."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from prefmill.contracts.base import Strict
from prefmill.plugins.destination import DestinationError


class ListingOptions(Strict):
    """What it understands."""

    listing: Path = Field(description="The file to write.")


class Listing:
    """Names and sizes of all files, sorted."""

    Options: ClassVar[type[Strict]] = ListingOptions

    def __init__(self, options: Strict) -> None:
        assert isinstance(options, ListingOptions)
        self._file = options.listing

    def publish(self, folder: Path) -> str:
        """Written anew each time, so it can be repeated."""
        files = sorted(p for p in folder.rglob("*") if p.is_file() and ".prefmill" not in str(p))
        lines = [f"{path.stat().st_size} {path.relative_to(folder)}" for path in files]
        try:
            self._file.write_text("\n".join(lines) + "\n")
        except OSError as error:
            raise DestinationError(f"{self._file} cannot be written: {error.strerror}") from error
        return str(self._file)
