"""The generator as a process: the only place here that knows the real world."""

from faststream import FastStream

from prefmill.generator.handlers import Generating
from prefmill.generator.settings import GeneratorSettings
from prefmill.messaging.service import serve_worker, worker_app


def build(settings: GeneratorSettings) -> FastStream:
    """The application, to be made inside a running loop."""
    return worker_app(Generating(), settings)


def main(settings: GeneratorSettings | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return. SystemExit 1, with one line, if NATS
    is not there; exit code 1 if the engine of a lane has died."""
    serve_worker(Generating(), settings or GeneratorSettings())


if __name__ == "__main__":
    main()
