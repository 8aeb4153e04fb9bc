"""The process that a service is: guarded while it has children, ended with the right exit code.

Only a service that has its process to itself gets one; several in one process, as in tests, do
not.
"""

import logging
import os
import sys
from collections.abc import Callable
from typing import Final

from prefmill.messaging.guard import guard_children

log: Final = logging.getLogger("prefmill.worker")


class OwnProcess:
    """How the process is to end. `stop` asks the service to end in good order."""

    def __init__(self) -> None:
        self.stop: Callable[[], None] = _not_started
        self._code = 0
        self._at_once = False
        self._guarded = False

    def guard(self) -> None:
        """Have what this process starts from now on end with it, however it ends."""
        if not self._guarded:
            self._guarded = True
            if not guard_children():
                log.warning("models outlive this worker if it is killed: run it from a shell")

    def died(self) -> None:
        """The engine has ended: end as well, and say so by the exit code."""
        self._code, self._at_once = 1, True
        self.stop()

    def fail(self) -> None:
        """End now, with exit code 1."""
        self._code, self._at_once = 1, True
        self.leave()

    def abandon(self) -> None:
        """Something is left that cannot be ended in good order, as a model that still loads."""
        self._at_once = True

    def leave(self) -> None:
        """The service has ended. Where threads or processes would hold its end up, they do not."""
        if self._at_once:
            logging.shutdown()
            sys.stdout.flush()
            os._exit(self._code)


def _not_started() -> None:
    """There is nothing to be stopped yet."""
