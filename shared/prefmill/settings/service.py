"""What every service can be told, and what every worker can."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from prefmill.contracts.workers import LaneSpec


class ServiceSettings(BaseSettings):
    """Of every service: where NATS is, and how it is watched."""

    model_config = SettingsConfigDict(env_prefix="PREFMILL_", frozen=True, extra="forbid")

    nats_url: str = Field(
        default="nats://127.0.0.1:4222", description="Of one server, or several with commas."
    )
    nats_ca: Path | None = Field(
        default=None, description="File of the authority that vouches for the server: TLS."
    )
    nats_wait_s: float = Field(default=10.0, ge=0, description="How long to wait for it at start.")
    ack_wait_s: float = Field(
        default=60.0, gt=0, description="As the consumers have it; heartbeats come every third."
    )
    replicas: int = Field(default=1, ge=1, description="Of every stream; 3 on a cluster.")
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR.")
    log_format: Literal["text", "json"] = Field(
        default="text", description="One line, or one JSON object, an event."
    )
    probe_port: int | None = Field(
        default=None, description="Serve /healthz, /readyz and /metrics there; not at all if none."
    )
    probe_host: str = Field(default="127.0.0.1", description="Address for the probes.")
    deployed: Path | None = Field(
        default=None, description="Folder of the models and judges that recipes may name."
    )


class WorkerSettings(ServiceSettings):
    """Of generators and judges."""

    host_any: bool = Field(
        default=False,
        description="Open every lane that the coordinator names and that needs no device: the "
        "local mode.",
    )
    host_lanes: tuple[str, ...] = Field(
        default=(), description="Open the lanes of these slugs when the coordinator names them."
    )
    lanes: tuple[LaneSpec, ...] = Field(default=(), description="Lanes that it serves by itself.")
    serve: str = Field(
        default="", description="Names of deployed models to serve, with commas between them."
    )
    concurrency: int | None = Field(
        default=None, ge=1, description="Calls in flight for each lane; the lane's own if none."
    )
    drain_s: float = Field(
        default=25.0, ge=0, description="How long calls may go on after the signal to stop."
    )
    announce_s: float = Field(default=2.0, gt=0, description="Between two signs of life.")
    permits: Any = Field(
        default=None, exclude=True, description="A limit on calls shared with other lanes."
    )
