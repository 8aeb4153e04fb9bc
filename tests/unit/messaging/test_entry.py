"""When a connection that was cut off is given up, and when it is waited for."""

import asyncio
import ssl
from itertools import cycle
from typing import Any, cast

import nats.errors
import pytest

from prefmill.messaging.entry import shut_out

REFUSED = nats.errors.Error("nats: 'Authorization Violation'")
AWAY = ConnectionRefusedError(111, "Connection refused")
EXPIRED = ssl.SSLCertVerificationError(1, "certificate verify failed: certificate has expired")


class Cut:
    """A connection that no server takes back; each glance finds the next error."""

    is_closed = is_connected = False

    def __init__(self, *errors: Exception) -> None:
        self._errors = cycle(errors)
        self.glances = 0

    @property
    def last_error(self) -> Exception:
        self.glances += 1
        return next(self._errors)


@pytest.mark.parametrize("errors", [(AWAY,), (REFUSED, REFUSED, AWAY), (EXPIRED,)])
async def test_a_connection_is_waited_for_unless_it_is_refused_all_the_time(
    errors: tuple[Exception, ...],
) -> None:
    nc = Cut(*errors)
    watching = asyncio.create_task(shut_out(cast("Any", nc), "nats://a@b", print, patience_s=0.2))
    while nc.glances < 2 * len(errors) + 2 and not watching.done():
        await asyncio.sleep(0.05)
    assert not watching.done()
    watching.cancel()


async def test_a_connection_that_is_refused_all_the_time_is_given_up() -> None:
    told: list[str] = []
    nc = cast("Any", Cut(REFUSED))
    line = await shut_out(nc, "nats://judge:secret@b:4222", told.append, patience_s=0.2)
    assert line == (
        "NATS at nats://b:4222 does not let user 'judge' in any more "
        "(nats: 'Authorization Violation'): set PREFMILL_NATS_URL to a user and password that it "
        "knows"
    )
    assert set(told) == {line}
