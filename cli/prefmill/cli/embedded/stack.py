"""Both servers at once: started side by side, stopped together."""

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from prefmill.cli.embedded.home import Home
from prefmill.cli.embedded.nats import Nats, launch_nats
from prefmill.cli.embedded.postgres import Postgres, launch_postgres


@dataclass(frozen=True)
class Servers:
    """The home and the two servers in it; as a context manager, stops them and gives it back."""

    home: Home
    postgres: Postgres
    nats: Nats

    def wait_ready(self) -> Self:
        """Return when both answer. Raises `EmbeddedError`, with nothing left running."""
        try:
            self.postgres.wait_ready()
            self.nats.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop both, NATS first, and release the home."""
        self.nats.stop()
        self.postgres.stop()
        self.home.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def start_all(
    home: Home | Path | str | None = None,
    *,
    port: int = 0,
    sync: str = "always",
    monitor: bool = False,
) -> Servers:
    """Start both servers in this folder and wait until both answer. Raises `EmbeddedError`."""
    return launch_all(home, port=port, sync=sync, monitor=monitor).wait_ready()


def launch_all(
    home: Home | Path | str | None = None,
    *,
    port: int = 0,
    sync: str = "always",
    monitor: bool = False,
) -> Servers:
    """Start both servers and return at once; import what is heavy, then call `wait_ready`.

    `port`, `sync` and `monitor` are NATS's, see `start_nats`. Raises `EmbeddedError`.
    """
    home = home if isinstance(home, Home) else Home(home)
    postgres = None
    try:
        postgres = launch_postgres(home)
        return Servers(home, postgres, launch_nats(home, port, sync=sync, monitor=monitor))
    except BaseException:
        if postgres is not None:
            postgres.stop()
        home.release()
        raise
