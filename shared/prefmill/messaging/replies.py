"""Replies in parts that fit into a NATS message."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from msgspec import structs

from prefmill.contracts.chat import Failure
from prefmill.contracts.reasons import REJECTED
from prefmill.contracts.results import Completed, Reply

MOST_BYTES: Final = 900_000
"""Of one message's JSON; a server refuses more than 1 MB by default."""

_ENVELOPE_BYTES: Final = 4_096


def messages_of(reply: Reply, most_bytes: int = MOST_BYTES) -> Iterator[bytes]:
    """The reply's JSON, or those of its parts: all but the last are not `final`.

    A cell that is too large by itself becomes a failure that says so; so does one that its reader
    would not take: a plugin has put into it what does not belong there.
    """
    try:
        whole = reply.json()
        type(reply).read(whole)
    except (ValueError, TypeError):
        reply = reply.replace(cells=tuple(map(_readable, _cells(reply))))
        whole = reply.json()
    if len(whole) <= most_bytes:
        yield whole
        return
    groups = list(_groups(_cells(reply), most_bytes - _ENVELOPE_BYTES))
    for place, cells in enumerate(groups, start=1):
        final = place == len(groups)
        yield reply.replace(cells=tuple(cells), final=final).json()


def _groups(cells: Sequence[Completed], most_bytes: int) -> Iterator[list[Completed]]:
    group: list[Completed] = []
    size = 0
    for whole in cells:
        cell, length = _fitting(whole, most_bytes)
        if group and size + length > most_bytes:
            yield group
            group, size = [], 0
        group.append(cell)
        size += length + 1
    yield group


def _fitting(cell: Completed, most_bytes: int) -> tuple[Completed, int]:
    length = len(cell.json())
    if length <= most_bytes:
        return cell, length
    failed = _without_texts(cell, f"an answer of {length} bytes does not fit into a message")
    return failed, len(failed.json())


def _readable(cell: Completed) -> Completed:
    try:
        return type(cell).read(cell.json())
    except (ValueError, TypeError) as error:
        why = f"a bug in the engine or the rubric: {error}"
        keys = {f.name: getattr(cell, f.name) for f in structs.fields(cell) if f.required}
        failed = type(cell)(**keys, failure=Failure(reason=REJECTED, detail=why))
        for name in ("usage", "model", "latency_ms"):  # what was paid was paid
            with suppress(ValueError, TypeError):
                paid = failed.replace(**{name: getattr(cell, name)})
                failed = type(cell).read(paid.json())
        return failed


def _without_texts(cell: Completed, why: str) -> Completed:
    failure = Failure(reason=REJECTED, detail=f"{why}; ask for fewer tokens")
    empty = {"text": None, "raw": "", "readings": ()}
    update = {name: value for name, value in empty.items() if name in cell.__struct_fields__}
    return cell.replace(**update, failure=failure)


def _cells(reply: Reply) -> Sequence[Completed]:
    return getattr(reply, "cells", ())
