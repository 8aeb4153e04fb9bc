"""What may pass by itself: a server that restarts, a connection that is lost."""

from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError

from prefmill.messaging.held import NATS_TROUBLE

TROUBLE: Final = (*NATS_TROUBLE, DBAPIError, InterfaceError)


def line_of(error: BaseException) -> str:
    """What happened, in one short line."""
    lines = str(getattr(error, "orig", None) or error).splitlines()
    return lines[0][:300] if lines else type(error).__name__
