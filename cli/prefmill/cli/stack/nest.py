"""The command's end of a nursery: fork it, give it orders, hear what happens."""

import json
import os
import select
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefmill.cli.stop import FAILED, Stop


class Nest:
    """A nursery with the services it imports, in their order."""

    def __init__(self, *services: str) -> None:
        """Fork it. To be called before anything else makes a thread."""
        self.services = services
        parent = os.getpid()
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            from prefmill.cli.stack import nursery

            nursery.main(theirs, parent, services)
        theirs.close()
        self._channel = ours
        self._buffer = b""
        self._events: list[dict[str, Any]] = []

    def check(self, recipe: dict[str, Any]) -> tuple[list[str], bool]:
        """The problems of a recipe's plugins, found where they are imported; and whether it has
        models that need devices of this machine."""
        self._order("check", recipe=recipe)
        found = self._wait_for("checked")
        return found["problems"], found["devices"]

    def share_permits(self, permits: int) -> None:
        """Let all workers together have so many calls in flight; before they are started."""
        self._order("permits", permits=permits)

    def start(
        self,
        name: str,
        log: Path,
        settings: dict[str, Any],
        again: dict[str, Any] | None = None,
        *,
        service: str | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        """Start a service; `again` holds the settings that differ when it is started again. The
        name is the service's, unless there are several processes of one `service`."""
        pid_file = log.parent.parent / "run" / f"{name}.pid"
        self._order(
            "start",
            name=name,
            service=service or name,
            log=str(log),
            pid_file=str(pid_file),
            settings=settings,
            again=again or {},
            environment=environment or {},
        )

    def end(self, name: str, patience: float) -> None:
        """End a service, as `stop` does, without waiting: the event `gone` says when it is."""
        self._order("end", name=name, patience=patience)

    def stop(self, names: Sequence[str], patience: float) -> None:
        """End these services: SIGTERM, and SIGKILL after `patience` seconds; wait for that."""
        if names:
            self._order("stop", names=list(names), patience=patience)
            self._wait_for("stopped")

    def events(self) -> list[dict[str, Any]]:
        """What happened since the last look. Stop if the nursery itself is gone."""
        while b"\n" in self._buffer or select.select([self._channel], [], [], 0)[0]:
            self._events.append(self._next())
        events, self._events = self._events, []
        return events

    def kill(self) -> None:
        """End the nursery and all its services at once."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            self.leave()

    def leave(self) -> None:
        """Hang up, whereupon it ends, and wait for that."""
        if self.pid:
            self._channel.close()
            os.waitpid(self.pid, 0)
            self.pid = 0

    def _order(self, do: str, **what: Any) -> None:
        try:
            self._channel.sendall(json.dumps({"do": do, **what}).encode() + b"\n")
        except BrokenPipeError:
            raise self._gone() from None

    def _wait_for(self, event: str) -> dict[str, Any]:
        while True:
            found = self._next()
            if found["event"] == event:
                return found
            self._events.append(found)

    def _next(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            try:
                more = self._channel.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                raise self._gone()
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\n")
        event = json.loads(line)
        if event["event"] == "broken":
            raise Stop(FAILED, f"error: the services cannot be loaded: {event['error']}")
        return event

    def _gone(self) -> Stop:
        names = " and ".join(self.services)
        return Stop(FAILED, f"error: the process that runs {names} was killed; run this again")
