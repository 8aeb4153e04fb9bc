"""Streams, lanes and what the coordinator asks of them, on a real nats-server."""

import json

import pytest
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from prefmill.contracts.work import GenerateBatch
from prefmill.messaging.connection import connect, jetstream_of
from prefmill.messaging.errors import NatsUnavailable
from prefmill.messaging.topology import Topology, bootstrap, open_lane
from prefmill.messaging.work import (
    delete_message,
    epoch_of,
    missing_sequences,
    publish_work,
    purge_work,
    results_drained,
)

SUBJECT = "generate.v1.llama"


def body(name: str) -> bytes:
    return batch(name).json()


def batch(name: str) -> GenerateBatch:
    return GenerateBatch(id=name, run=1, slot=1, lane="llama", lane_digest="d", rows=())


async def published(nc: Client, *names: str) -> list[int]:
    js = jetstream_of(nc)
    return [(await publish_work(js, SUBJECT, body(name), f"{name}/1"))[0] for name in names]


async def test_the_bootstrap_makes_the_table_of_streams(nc: Client) -> None:
    js = jetstream_of(nc)
    infos = {info.config.name: info.config for info in await js.streams_info()}
    assert set(infos) == {"GENERATE", "JUDGE", "RESULTS", "DEAD", "ADVISORIES"}
    for name in ("GENERATE", "JUDGE", "RESULTS"):
        assert infos[name].retention == RetentionPolicy.WORK_QUEUE
        assert infos[name].discard == DiscardPolicy.NEW
    assert infos["DEAD"].max_age == 30 * 86_400
    assert infos["ADVISORIES"].max_age == 7 * 86_400
    assert all(info.storage == StorageType.FILE for info in infos.values())
    sink = (await js.consumer_info("RESULTS", "sink")).config
    assert (sink.max_deliver, sink.ack_wait, sink.backoff) == (-1, 1.5, None)


async def test_a_second_bootstrap_changes_nothing_and_says_nothing(nc: Client) -> None:
    js = jetstream_of(nc)
    before = await epoch_of(js, "GENERATE")
    assert await bootstrap(js, Topology(ack_wait_s=1.5)) == ()
    assert await epoch_of(js, "GENERATE") == before


async def test_what_differs_is_said_and_left_as_it_is(nc: Client) -> None:
    js = jetstream_of(nc)
    lines = await bootstrap(js, Topology(ack_wait_s=60, results_max_bytes=1 << 20))
    assert [line for line in lines if "stream RESULTS: max_bytes" in line]
    assert [line for line in lines if "consumer sink of RESULTS: ack_wait is 1.5" in line]
    assert (await js.consumer_info("RESULTS", "sink")).config.ack_wait == 1.5
    assert (await js.stream_info("RESULTS")).config.max_bytes == 4 << 30


async def test_a_lane_is_opened_once_and_compared_after(nc: Client) -> None:
    js = jetstream_of(nc)
    assert await open_lane(js, "judge", "gpt4", Topology(ack_wait_s=1.5)) == ()
    assert await open_lane(js, "judge", "gpt4", Topology(ack_wait_s=1.5)) == ()
    (line,) = await open_lane(js, "judge", "gpt4", Topology(ack_wait_s=3))
    assert "ack_wait is 1.5, the settings say 3" in line
    config = (await js.consumer_info("JUDGE", "gpt4")).config
    assert (config.filter_subject, config.max_ack_pending) == ("judge.v1.gpt4", 10_000)


async def test_a_lane_of_a_missing_stream_cannot_be_opened(nc: Client) -> None:
    js = jetstream_of(nc)
    await js.delete_stream("JUDGE")
    with pytest.raises(NotFoundError):
        await open_lane(js, "judge", "gpt4", Topology())


async def test_a_batch_published_twice_under_one_id_is_stored_once(nc: Client) -> None:
    js = jetstream_of(nc)
    first = await publish_work(js, SUBJECT, body("b"), "b/1")
    again = await publish_work(js, SUBJECT, body("b"), "b/1")
    assert (first, again) == ((1, False), (1, True))
    assert await publish_work(js, SUBJECT, body("b"), "b/2") == (2, False)


async def test_missing_sequences_are_those_acknowledged_deleted_or_never_there(nc: Client) -> None:
    js = jetstream_of(nc)
    sequences = await published(nc, *"abcdef")
    await delete_message(js, "GENERATE", sequences[0])
    await delete_message(js, "GENERATE", sequences[3])
    assert await missing_sequences(nc, "GENERATE", [*sequences, 99]) == {1, 4, 99}


async def test_many_gaps_are_asked_for_one_by_one(nc: Client) -> None:
    sequences = await published(nc, *"abcd")
    await delete_message(jetstream_of(nc), "GENERATE", sequences[2])
    assert await missing_sequences(nc, "GENERATE", sequences, most_details=0) == {3}


async def test_a_message_that_is_gone_cannot_be_deleted_again(nc: Client) -> None:
    js = jetstream_of(nc)
    (sequence,) = await published(nc, "a")
    assert await delete_message(js, "GENERATE", sequence)
    assert not await delete_message(js, "GENERATE", sequence)


async def test_purged_work_is_missing(nc: Client) -> None:
    sequences = await published(nc, *"ab")
    await purge_work(jetstream_of(nc))
    assert await missing_sequences(nc, "GENERATE", sequences) == set(sequences)


async def test_a_stream_made_anew_has_another_epoch(nc: Client) -> None:
    js = jetstream_of(nc)
    before = await epoch_of(js, "GENERATE")
    await js.delete_stream("GENERATE")
    await bootstrap(js, Topology(ack_wait_s=1.5))
    assert await epoch_of(js, "GENERATE") != before


async def test_results_are_drained_only_when_the_sink_has_acknowledged_all(nc: Client) -> None:
    js = jetstream_of(nc)
    assert await results_drained(js)
    await js.publish("results.v1.generated", json.dumps({}).encode(), stream="RESULTS")
    assert not await results_drained(js)
    subscription = await js.pull_subscribe_bind("sink", "RESULTS")
    (message,) = await subscription.fetch(1)
    assert not await results_drained(js)
    await message.ack_sync()
    assert await results_drained(js)


async def test_a_full_results_stream_refuses_instead_of_forgetting(nc: Client) -> None:
    js = jetstream_of(nc)
    await js.delete_stream("RESULTS")
    await bootstrap(js, Topology(ack_wait_s=1.5, results_max_bytes=300))
    await js.publish("results.v1.generated", b"x" * 150, stream="RESULTS")
    with pytest.raises(Exception, match="maximum bytes exceeded"):
        await js.publish("results.v1.generated", b"x" * 150, stream="RESULTS")


async def test_work_queues_of_two_lanes_do_not_mix(nc: Client) -> None:
    js = jetstream_of(nc)
    for lane in ("a", "b"):
        await open_lane(js, "generate", lane, Topology(ack_wait_s=1.5))
        await publish_work(js, f"generate.v1.{lane}", body(lane), lane)
    subscription = await js.pull_subscribe_bind("b", "GENERATE")
    (message,) = await subscription.fetch(1)
    assert GenerateBatch.read(message.data).id == "b"
    await message.ack_sync()


async def test_a_stream_with_another_purpose_is_named_and_not_touched(nc: Client) -> None:
    js = jetstream_of(nc)
    await js.delete_stream("DEAD")
    await js.add_stream(StreamConfig(name="DEAD", subjects=["dead.v1.>"], max_age=60))
    lines = await bootstrap(js, Topology(ack_wait_s=1.5))
    assert any("stream DEAD: max_age is 60" in line for line in lines)


async def test_no_server_is_one_line_that_says_where_and_what_to_do() -> None:
    with pytest.raises(NatsUnavailable, match=r"no NATS server answers at nats://127.0.0.1:1 "):
        await connect("nats://token@127.0.0.1:1", "test", wait_s=0)
