"""The streams and consumers: made once by the coordinator, compared ever after, never reset.

Declaring an existing stream resets its limits and its replicas, and an existing durable ignores
what the code says; so what exists is left as it is, and what differs is said.
"""

import logging
from dataclasses import dataclass
from typing import Any, Final

from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import NotFoundError

from prefmill.contracts.channels import DEAD, GENERATE, GENERATED, JUDGE, WORK, subject_of
from prefmill.contracts.work import LaneKind
from prefmill.settings.service import ServiceSettings

log: Final = logging.getLogger("prefmill.nats")

RESULTS_STREAM: Final = "RESULTS"
DEAD_STREAM: Final = "DEAD"
ADVISORIES_STREAM: Final = "ADVISORIES"
SINK: Final = "sink"
"""The durable consumer of RESULTS and of DEAD that all sinks share."""

_DAY_S: Final = 86_400.0


@dataclass(frozen=True)
class Topology:
    """What an installation may choose. Times in seconds."""

    ack_wait_s: float = 60.0
    replicas: int = 1
    duplicate_window_s: float = 120.0
    results_max_bytes: int = 4 << 30
    max_ack_pending: int = 10_000


def topology_of(settings: ServiceSettings) -> Topology:
    """The topology that a service's settings say."""
    return Topology(ack_wait_s=settings.ack_wait_s, replicas=settings.replicas)


async def bootstrap(js: JetStreamContext, topology: Topology) -> tuple[str, ...]:
    """Create the static streams and the sink's consumers where they are missing.

    Returns what of the existing differs from what was wanted, a line each; it stays as it is.
    """
    differences: list[str] = []
    for stream in _streams(topology):
        differences += await _ensure_stream(js, stream)
    for stream in (RESULTS_STREAM, DEAD_STREAM):
        differences += await _ensure_consumer(js, stream, _durable(SINK, topology))
    return _said(differences)


async def open_lane(
    js: JetStreamContext, kind: LaneKind, slug: str, topology: Topology
) -> tuple[str, ...]:
    """Create the lane's durable pull consumer if it is missing; returns what differs.

    Raises nats.js.errors.NotFoundError if its stream is missing: bootstrap, then try again.
    """
    config = _durable(slug, topology, subject_of(kind, slug))
    return _said(await _ensure_consumer(js, str(WORK[kind].stream), config))


def _streams(topology: Topology) -> tuple[StreamConfig, ...]:
    return (
        _work_queue(str(GENERATE.stream), f"{GENERATE.subject}*", topology),
        _work_queue(str(JUDGE.stream), f"{JUDGE.subject}*", topology),
        _work_queue(
            RESULTS_STREAM,
            f"{GENERATED.subject.rpartition('.')[0]}.*",
            topology,
            max_bytes=topology.results_max_bytes,
        ),
        _kept(DEAD_STREAM, [f"{DEAD.subject}>"], 30, topology),
        _kept(
            ADVISORIES_STREAM,
            [
                "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>",
                "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>",
            ],
            7,
            topology,
        ),
    )


def _work_queue(name: str, subject: str, topology: Topology, max_bytes: int = -1) -> StreamConfig:
    """Messages leave when they are acknowledged; a full stream refuses new ones."""
    return StreamConfig(
        name=name,
        subjects=[subject],
        retention=RetentionPolicy.WORK_QUEUE,
        discard=DiscardPolicy.NEW,
        storage=StorageType.FILE,
        num_replicas=topology.replicas,
        duplicate_window=topology.duplicate_window_s,
        max_bytes=max_bytes,
    )


def _kept(name: str, subjects: list[str], days: int, topology: Topology) -> StreamConfig:
    """Messages stay for some days, whoever reads them."""
    return StreamConfig(
        name=name,
        subjects=subjects,
        retention=RetentionPolicy.LIMITS,
        discard=DiscardPolicy.OLD,
        storage=StorageType.FILE,
        num_replicas=topology.replicas,
        max_age=days * _DAY_S,
        max_bytes=-1,
    )


def _durable(name: str, topology: Topology, subject: str | None = None) -> ConsumerConfig:
    """No `backoff`: it would replace the ack wait. No delivery limit: the worker counts, since
    the server would leave the message in the queue, invisible."""
    return ConsumerConfig(
        durable_name=name,
        filter_subject=subject,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=topology.ack_wait_s,
        max_deliver=-1,
        max_ack_pending=topology.max_ack_pending,
    )


async def _ensure_stream(js: JetStreamContext, wanted: StreamConfig) -> list[str]:
    try:
        found = (await js.stream_info(str(wanted.name))).config
    except NotFoundError:
        await js.add_stream(wanted)  # pyright: ignore[reportUnknownMemberType]
        return []
    names = ("subjects", "retention", "discard", "storage", "num_replicas", "max_age", "max_bytes")
    if wanted.duplicate_window:
        names += ("duplicate_window",)
    return _compare(f"stream {wanted.name}", found, wanted, names)


async def _ensure_consumer(js: JetStreamContext, stream: str, wanted: ConsumerConfig) -> list[str]:
    try:
        found = (await js.consumer_info(stream, str(wanted.durable_name))).config
    except NotFoundError:
        await js.add_consumer(stream, wanted)  # pyright: ignore[reportUnknownMemberType]
        return []
    names = ("filter_subject", "ack_policy", "ack_wait", "max_deliver", "max_ack_pending")
    return _compare(f"consumer {wanted.durable_name} of {stream}", found, wanted, names)


def _compare(what: str, found: Any, wanted: Any, names: tuple[str, ...]) -> list[str]:
    pairs = ((name, getattr(found, name), getattr(wanted, name)) for name in names)
    return [
        f"{what}: {name} is {_plain(is_)}, the settings say {_plain(wants)}; left as it is"
        for name, is_, wants in pairs
        if (is_ or None) != (wants or None)
    ]


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)


def _said(differences: list[str]) -> tuple[str, ...]:
    for line in differences:
        log.warning("NATS %s", line)
    return tuple(differences)
