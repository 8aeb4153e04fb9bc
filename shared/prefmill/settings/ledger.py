"""Where the ledger is: what coordinator, sink and migrations are told alike."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class LedgerSettings(BaseSettings):
    """As PREFMILL_… variables."""

    model_config = SettingsConfigDict(env_prefix="PREFMILL_", frozen=True, extra="forbid")

    database_url: str = Field(
        default="postgresql+asyncpg://127.0.0.1/prefmill", description="Where the ledger is."
    )
    database_wait_s: float = Field(default=10.0, ge=0, description="How long to wait at start.")
    migrate: bool = Field(
        default=True,
        description="Bring the schema to this version at start; on a cluster a job does it.",
    )
