"""What may be set from outside, as PREFMILL_… variables."""

from pathlib import Path

from pydantic import Field, SecretStr

from prefmill.settings.ledger import LedgerSettings
from prefmill.settings.service import ServiceSettings


class CoordinatorSettings(ServiceSettings, LedgerSettings):
    """Settings of the coordinator. Times in seconds."""

    host: str = Field(default="127.0.0.1", description="Address the HTTP API listens on.")
    port: int = Field(default=8400, ge=0, description="Port of the HTTP API.")
    token: SecretStr | None = Field(
        default=None, description="Bearer token; needed to listen beyond loopback."
    )
    tick_s: float = Field(default=1.0, gt=0, description="Longest wait between two looks.")
    linger_s: float = Field(default=0.01, ge=0, description="Gathers notices before a look.")
    pace_s: float = Field(default=0.03, ge=0, description="From a look to the next, under load.")
    fed_pace_s: float = Field(
        default=0.1, ge=0, description="The same while every lane has half its window out."
    )
    reconcile_s: float = Field(default=5.0, gt=0, description="Between looks for lost batches.")
    window_floor: int = Field(default=1024, ge=1, description="Least calls in flight, a lane.")
    worker_grace_s: float = Field(
        default=15.0, ge=0, description="Wait for a lane's first worker before publishing to it."
    )
    local: bool = Field(
        default=False,
        description="Recipes may name files of this machine: only for stacks of one's own.",
    )
    exports_dir: Path = Field(
        default=Path("exports"), description="Where the sink writes; uploads go below it."
    )
    uploads_dir: Path | None = Field(
        default=None, description="Where files sent by `submit` are kept; EXPORTS_DIR/uploads."
    )
    upload_bytes: int = Field(default=20 * 2**30, ge=1, description="Most bytes of one upload.")
    upload_days: float = Field(
        default=7.0, gt=0, description="An upload that no stored recipe names is kept so long."
    )
    reset_on_start: bool = Field(
        default=False,
        description="No worker can hold a batch from before: clear the work streams at start.",
    )
    pause_on_start: bool = Field(
        default=False,
        description="Runs that were under way wait until they are submitted again: for a stack "
        "that one command starts for one run.",
    )
    killed_before: bool = Field(
        default=False,
        description="With RESET_ON_START: workers were killed, so batches they had may have cost "
        "something; they are counted as asked again.",
    )

    @property
    def uploads_folder(self) -> Path:
        """Where uploads are kept."""
        return self.uploads_dir or self.exports_dir / "uploads"
