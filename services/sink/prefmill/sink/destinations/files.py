"""`files`: a folder on a disk."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field, JsonValue

from prefmill.contracts.base import Strict
from prefmill.plugins.format import Format
from prefmill.sink.destinations.shards import ShardWriter
from prefmill.sink.domain.splitting import UNSPLIT, Split


class FilesOptions(Strict):
    """`{files: DIRECTORY}`."""

    directory: Path = Field(alias="files", description="The folder; made if it is not there.")


class FilesDestination:
    """Opens exports into one folder."""

    Options: ClassVar = FilesOptions

    def __init__(self, options: FilesOptions) -> None:
        self.directory = options.directory.expanduser().absolute()

    def open(
        self,
        formats: Sequence[Format],
        shard_rows: int,
        spec: JsonValue,
        split: Split = UNSPLIT,
    ) -> ShardWriter:
        """An export, new or going on. DestinationError if the folder cannot take it."""
        return ShardWriter(self.directory, formats, shard_rows, spec, split)
