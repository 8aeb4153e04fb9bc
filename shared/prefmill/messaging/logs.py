"""How a service logs: one line an event for a person, or one JSON object for a collector."""

import json
import logging
import sys
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Literal, NoReturn

log: Final = logging.getLogger("prefmill.service")

Form = Literal["text", "json"]

FIELDS = ("run", "batch", "lane", "reason")
"""What an event may be about: given as `extra={"run": …}`, a key of its own in JSON. `run` and
`batch` are keys of the ledger, as in traces and in the API."""


class JsonLines(logging.Formatter):
    """`{"time", "level", "logger", "message"}`, the event's own fields, and a traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        event: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        event |= {name: vars(record)[name] for name in FIELDS if name in vars(record)}
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event, ensure_ascii=False, default=str)


def set_up_logging(level: str, form: Form) -> None:
    """To stderr, what Python warns of and what nobody has caught as well."""
    logging.captureWarnings(True)
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if form == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines())
        sys.excepthook = _crashed


def end(said: str, form: Form) -> NoReturn:
    """SystemExit with code 1, and with these last words: a line for a person, a record for a
    collector."""
    if form == "text":
        sys.exit(f"error: {said}")
    log.error("%s", said)
    sys.exit(1)


def _crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    log.critical("%s", error or kind.__name__, exc_info=(kind, error, trace))
