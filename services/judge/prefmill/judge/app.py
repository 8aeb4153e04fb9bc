"""The judge as a process: the only place here that knows the real world."""

from faststream import FastStream

# Else the first batch waits for it.
import prefmill.judge.rubrics.ultrafeedback  # noqa: F401 # pyright: ignore[reportUnusedImport]
from prefmill.judge.handlers import Judging
from prefmill.judge.settings import JudgeSettings
from prefmill.messaging.service import serve_worker, worker_app


def build(settings: JudgeSettings) -> FastStream:
    """The application, to be made inside a running loop."""
    return worker_app(Judging(plugin_files=settings.plugin_files), settings)


def main(settings: JudgeSettings | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return. SystemExit 1, with one line, if NATS
    is not there; exit code 1 if the engine of a lane has died."""
    settings = settings or JudgeSettings()
    serve_worker(Judging(plugin_files=settings.plugin_files), settings)


if __name__ == "__main__":
    main()
