"""What may be set from outside, as PREFMILL_… variables."""

from pathlib import Path

from pydantic import Field

from prefmill.settings.ledger import LedgerSettings
from prefmill.settings.service import ServiceSettings


class SinkSettings(ServiceSettings, LedgerSettings):
    """Settings of the sink. Times in seconds."""

    exports_dir: Path = Field(
        default=Path("exports"), description="Where exports go that name no folder."
    )
    replies_at_once: int = Field(default=64, ge=1, description="Most replies in a transaction.")
    linger_s: float = Field(default=0.01, ge=0, description="Gathers replies for a transaction.")
    pace_s: float = Field(
        default=0.05, ge=0, description="From a transaction to the next, under load."
    )
    export_tick_s: float = Field(default=2.0, gt=0, description="Between two looks for exports.")
    export_stale_s: float = Field(
        default=60.0, gt=0, description="An export whose sink is silent so long is taken over."
    )
