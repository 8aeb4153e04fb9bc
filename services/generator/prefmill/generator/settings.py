"""What the generator can be told: everything is a worker's, nothing is its own."""

from prefmill.settings.service import WorkerSettings


class GeneratorSettings(WorkerSettings):
    """From the environment, `PREFMILL_NATS_URL` and so on, or from the code that starts it."""
