"""What the judge can be told: everything is a worker's, nothing is its own."""

from prefmill.settings.service import WorkerSettings


class JudgeSettings(WorkerSettings):
    """From the environment, `PREFMILL_NATS_URL` and so on, or from the code that starts it."""
