"""What may be set from outside, as PREFMILL_… variables."""

from pathlib import Path

from pydantic import Field

from prefmill.settings.service import ServiceSettings


class SinkSettings(ServiceSettings):
    """Settings of the sink. Times in seconds."""

    database_url: str = Field(
        default="postgresql+asyncpg://127.0.0.1/prefmill", description="Where the ledger is."
    )
    database_wait_s: float = Field(default=10.0, ge=0, description="How long to wait at start.")
    exports_dir: Path = Field(
        default=Path("exports"), description="Where exports go that name no folder."
    )
    replies_at_once: int = Field(default=64, ge=1, description="Most replies in a transaction.")
    linger_s: float = Field(default=0.01, ge=0, description="Gathers replies for a transaction.")
    export_tick_s: float = Field(default=2.0, gt=0, description="Between two looks for exports.")
    export_stale_s: float = Field(
        default=60.0, gt=0, description="An export whose sink is silent so long is taken over."
    )
