"""What the judge can be told."""

from pydantic import Field

from prefmill.settings.service import WorkerSettings


class JudgeSettings(WorkerSettings):
    """From the environment, `PREFMILL_NATS_URL` and so on, or from the code that starts it."""

    plugin_files: bool = Field(
        default=False,
        description="Load rubrics from local files that a batch names: only for stacks of one's "
        "own.",
    )
