"""What headers of a request ask for: a version, a deadline, a copy of the answer; and what they are refused for."""

import struct
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # not in its stubs

from hotswap_events import headers as names
from hotswap_events.commands import ArchiveVersion
from hotswap_stream.settings import Settings
from tests.support.stages.serving import MODEL, Stage, body, headers, open_stage, request_body, stage_settings
from tests.support.stages.workers import running_worker


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return stage_settings(kafka, topic_prefix, tmp_path)


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    """v1 is active, v2 and v3 are registered, v3 is archived, and a worker runs."""
    async with open_stage(settings) as stage:
        for value in (1.0, 2.0, 3.0):
            await stage.register_answering(value)
        await stage.command(ArchiveVersion(**stage.meta(), model_version="v3"))
        await stage.switch("v1")
        async with running_worker(settings):
            yield stage


@pytest.mark.parametrize("name", [names.MODEL_VERSION, names.MLSERVER_VERSION])
async def test_a_request_may_name_the_version_that_answers(stage: Stage, name: str) -> None:
    await stage.send(request_body())  # the first request waits until versions are loaded
    await stage.answers(1)
    sent = 1
    answer: dict[str, Any] = {"error_code": "version-unavailable"}
    deadline = time.monotonic() + 60
    while answer.get("error_code") == "version-unavailable" and time.monotonic() < deadline:
        await stage.send(request_body(), headers=[(name, b"v2")])
        sent += 1
        answer = body((await stage.answers(sent))[-1])
    assert answer["model_version"] == "v2"
    assert answer["outputs"][0]["data"] == [2.0, 2.0]
    assert answer["parameters"]["pinned"] is True
    await stage.send(request_body())
    last = body((await stage.answers(sent + 1))[-1])
    assert last["model_version"] == "v1"
    assert "pinned" not in last["parameters"]


REFUSED: list[tuple[Sequence[tuple[str, bytes]], str, str]] = [
    ([(names.MODEL_NAME, b"another")], "unknown-model", "'another'"),
    ([(names.MLSERVER_MODEL, b"another")], "unknown-model", "served by 'tiny'"),
    ([(names.MODEL_VERSION, b"v99")], "unknown-version", "'v99'"),
    ([(names.MODEL_VERSION, b"v3")], "version-unavailable", "archived"),
    ([(names.MODEL_VERSION, b"v" * 64)], "request-unreadable", "at most 63"),
    ([(names.DEADLINE, b"1000")], "deadline-expired", "passed"),
    ([(names.DEADLINE, b"soon")], "request-unreadable", "decimal number"),
    ([(names.DEADLINE, b"-5")], "request-unreadable", "decimal number"),
    ([(names.DEADLINE, b"9" * 400)], "request-unreadable", "decimal number"),
    ([(names.ROUTING_KEY, b"\xff\xfe")], "request-unreadable", "not UTF-8"),
    ([(names.ROUTING_KEY, b"k" * 257)], "request-unreadable", "at most 256"),
    ([(names.SPRING_REPLY_TOPIC, b"t"), (names.SPRING_REPLY_PARTITION, b"1")], "request-unreadable", "four bytes"),
    ([(names.SPRING_CORRELATION_ID, b"c" * 2_000)], "request-unreadable", "at most 1024"),
]


async def test_headers_that_cannot_be_met_get_clear_errors(stage: Stage) -> None:
    for asked, _code, _words in REFUSED:
        await stage.send(request_body(), headers=asked)
        await stage.send(request_body())
    answers = await stage.answers(2 * len(REFUSED))
    for index, (asked, code, words) in enumerate(REFUSED):
        error = body(answers[2 * index])
        assert error["error_code"] == code, (asked, error)
        assert words in error["error"], (asked, error)
        assert body(answers[2 * index + 1])["model_version"] == "v1"
    letters = await stage.records(stage.topics.dead_letters, None, len(REFUSED))
    assert {int(headers(letter)[names.ORIGIN_OFFSET]) for letter in letters} == {2 * i for i in range(len(REFUSED))}


async def test_what_may_be_met_is(stage: Stage) -> None:
    later = b"%d" % (time.time() * 1000 + 600_000)
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await stage.send(
        request_body(),
        headers=[
            (names.MODEL_NAME, MODEL.encode()),
            (names.DEADLINE, later),
            (names.ROUTING_KEY, b"user-1"),
            (names.TRACEPARENT, trace),
            ("something-else", b"\xff"),
        ],
    )
    (record,) = await stage.answers(1)
    assert body(record)["model_version"] == "v1"
    assert headers(record)[names.TRACEPARENT] == trace


async def test_an_id_is_answered_once(stage: Stage) -> None:
    await stage.send(request_body("twice"))
    await stage.send(request_body("twice"))
    await stage.send(request_body("twice"), headers=[(names.REPEATED_ID, b"allowed")])
    await stage.send(request_body(""))
    await stage.send(request_body(""))
    first, second, third, *empty = [body(record) for record in await stage.answers(5)]
    assert first["outputs"]
    assert (second["error_code"], second["id"]) == ("duplicate-id", "twice")
    assert "offset 0" in second["error"]
    assert third["outputs"]
    assert all(answer["outputs"] for answer in empty)


async def test_spring_gets_its_reply(stage: Stage, topic_prefix: str) -> None:
    """ReplyingKafkaTemplate: a copy on the topic it names, with its correlation id, errors too; never into our own."""
    replies = f"{topic_prefix}.replies.spring"
    admin = AdminClient({"bootstrap.servers": stage.settings.kafka_bootstrap_servers or ""})
    admin.create_topics([NewTopic(replies, 3, 1)])[replies].result()
    correlation = bytes(range(16))
    asked = [
        (names.SPRING_CORRELATION_ID, correlation),
        (names.SPRING_REPLY_TOPIC, replies.encode()),
        (names.SPRING_REPLY_PARTITION, struct.pack(">i", 2)),
    ]
    await stage.send(request_body(), headers=asked)
    await stage.send(request_body(shape=[1, 5]), headers=asked)
    for refused in (stage.topics.registry, "__consumer_offsets", "a/b", "x" * 200):
        await stage.send(request_body(), headers=[(names.SPRING_REPLY_TOPIC, refused.encode())])
    answers = await stage.answers(6)
    assert headers(answers[0])[names.SPRING_CORRELATION_ID] == correlation
    assert [headers(record)[names.STATUS] for record in answers] == [b"ok", b"error", *[b"error"] * 4]
    assert [body(record)["error_code"] for record in answers[2:]] == ["request-unreadable"] * 4
    copies = await _read(stage, TopicPartition(replies, 2, 0), 2)
    assert [value for value, _ in copies] == [record.value for record in answers[:2]]
    assert all(found[names.SPRING_CORRELATION_ID] == correlation for _, found in copies)
    assert not {names.REQUEST_OFFSET, names.ANSWER_TAG} & {name for _, found in copies for name in found}
    registry_records = stage.registry.fold.next_offset
    await stage.registry.catch_up()
    assert stage.registry.fold.next_offset == registry_records


async def _read(stage: Stage, partition: TopicPartition, count: int) -> list[tuple[bytes, dict[str, bytes]]]:
    consumer = Consumer({"bootstrap.servers": stage.settings.kafka_bootstrap_servers or "", "group.id": "reader"})
    consumer.assign([partition])
    try:
        messages = consumer.consume(count, 30)
        return [(message.value() or b"", dict(message.headers() or [])) for message in messages]  # type: ignore[arg-type]
    finally:
        consumer.close()


class _RawName:
    """A header name that encodes to what is no UTF-8."""

    def encode(self, _encoding: str) -> bytes:
        return b"\xff\xfe"


async def test_a_header_name_that_is_no_text_stops_nothing(stage: Stage) -> None:
    """Kafka takes any bytes as the name of a header; no client sends them, so the record is forged."""
    await stage.send(request_body("before"))
    producer = AIOKafkaProducer(bootstrap_servers=stage.settings.kafka_bootstrap_servers)
    await producer.start()
    try:
        batch = producer.create_batch()
        batch._builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, -1, 100_000)
        batch.append(key=None, value=request_body("forged"), timestamp=None, headers=[(_RawName(), b"x")])
        batch.close()
        await (await producer.send_batch(batch, stage.topics.requests(MODEL), partition=0))
    finally:
        await producer.stop()
    await stage.send(request_body("after"))
    before, forged, after = [body(record) for record in await stage.answers(3)]
    assert before["id"] == "before"
    assert forged["error_code"] == "request-unreadable"
    assert "not UTF-8" in forged["error"]
    assert after["id"] == "after"
