"""The inference worker on the real broker: right answers, swaps under it, and bad input that stops nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from confluent_kafka import Consumer

from hotswap_events import headers as header_names
from hotswap_stream.settings import Settings
from tests.support.stages.serving import (
    MODEL,
    PARTITIONS,
    Stage,
    artifact_answering,
    body,
    damage,
    headers,
    open_stage,
    request_body,
    stage_settings,
)
from tests.support.stages.workers import running_worker


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return stage_settings(kafka, topic_prefix, tmp_path)


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    """v1 (answers 1) is active, v2 (answers 2) is registered, and a worker runs."""
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        await stage.register_answering(2.0)
        await stage.switch("v1")
        async with running_worker(settings):
            yield stage


async def test_an_answer_says_what_it_is_and_where_it_comes_from(stage: Stage) -> None:
    offset = await stage.send(request_body("first"), partition=1)
    (record,) = await stage.answers(1, partition=1)
    answer = body(record)
    version = stage.registry.state(MODEL).versions["v1"]
    stream = stage.registry.stream(MODEL)
    assert stream is not None
    assert answer["model_name"] == MODEL
    assert answer["model_version"] == "v1"
    assert answer["id"] == "first"
    assert answer["outputs"] == [{"name": "y", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 1.0]}]
    facts = answer["parameters"]
    assert facts["artifact_digest"] == version.artifact.digest
    assert facts["registry_offset"] == stream.active_offset
    assert (facts["request_partition"], facts["request_offset"]) == (1, offset)
    assert facts["worker"] == "w1"
    assert facts["batch_size"] == 1
    assert headers(record)[header_names.STATUS] == b"ok"
    assert headers(record)[header_names.REQUEST_OFFSET] == b"%d" % offset


async def test_raw_tensors_go_in_and_come_out_as_msgpack(stage: Stage) -> None:
    rows = np.ones((3, 4), dtype="<f4")
    request = {"id": "raw", "inputs": [{"name": "x", "shape": [3, 4], "datatype": "FP32", "data": rows.tobytes()}]}
    await stage.send(
        msgspec.msgpack.encode(request), headers=[(header_names.CONTENT_TYPE, b"application/msgpack; charset=x")]
    )
    (record,) = await stage.answers(1)
    answer = msgspec.msgpack.decode(record.value)
    assert headers(record)[header_names.CONTENT_TYPE] == b"application/msgpack"
    (output,) = answer["outputs"]
    assert output["shape"] == [3, 2]
    assert np.frombuffer(output["data"], dtype="<f4").tolist() == [1.0] * 6


async def test_requests_of_many_rows_are_split_back_rightly(stage: Stage) -> None:
    for rows in (1, 3, 2, 5):
        await stage.send(request_body(str(rows), shape=[rows, 4], data=[0.0] * (4 * rows)))
    records = await stage.answers(4)
    assert [body(record)["outputs"][0]["shape"] for record in records] == [[1, 2], [3, 2], [2, 2], [5, 2]]
    assert [body(record)["id"] for record in records] == ["1", "3", "2", "5"]


async def test_versions_swap_under_a_stream_of_requests(stage: Stage) -> None:
    """Every request is answered once and in order; within a partition no old version after a new one."""
    stop = asyncio.Event()
    sent: list[list[int]] = [[] for _ in range(PARTITIONS)]

    async def stream() -> None:
        number = 0
        while not stop.is_set():
            partition = number % PARTITIONS
            sent[partition].append(await stage.send(request_body(str(number)), partition=partition))
            number += 1
            await asyncio.sleep(0.005)

    async with stage.reading() as answers:
        streaming = asyncio.create_task(stream())
        chosen = []
        for model_version in ("v2", "v1", "v2"):
            chosen.append((await stage.switch(model_version)).offset)
            await answers.until_chosen_by(chosen[-1])
        chosen.append((await stage.roll_back()).offset)
        await answers.until_chosen_by(chosen[-1])
        stop.set()
        await streaming
        await answers.until(lambda: [len(got) for got in answers.by_partition] == [len(some) for some in sent])
    for partition in range(PARTITIONS):
        bodies = answers.by_partition[partition]
        assert [answer["parameters"]["request_offset"] for answer in bodies] == sent[partition]
        offsets = [answer["parameters"]["registry_offset"] for answer in bodies]
        assert offsets == sorted(offsets)
        assert set(chosen) <= set(offsets)
        for answer in bodies:
            assert answer["outputs"][0]["data"] == [float(answer["model_version"][1:])] * 2


async def test_a_worker_that_was_fenced_comes_back(stage: Stage, settings: Settings) -> None:
    """A broker that was killed may take a worker for another one of the same name: its loop stayed silent for ever."""
    await stage.send(request_body("before"))
    await stage.answers(1)
    intruder = Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            "group.id": stage.topics.workers_group(MODEL),
            "group.instance.id": "w1",
            "session.timeout.ms": 6_000,
            "enable.auto.commit": False,
            "partition.assignment.strategy": "range",
        }
    )
    sent = 1
    try:
        intruder.subscribe([stage.topics.requests(MODEL)])
        async with asyncio.timeout(60):
            while not intruder.assignment():
                # Commits are made only while there are answers, and what a commit meets is told in its own way.
                await stage.send(request_body(str(sent)))
                sent += 1
                await asyncio.to_thread(intruder.poll, 0.02)
        for _more in range(100):
            await stage.send(request_body(str(sent)))
            sent += 1
            await asyncio.sleep(0.02)
    finally:
        await asyncio.to_thread(intruder.close)
    answers = await stage.answers(sent)
    assert [body(answer)["id"] for answer in answers[1:]] == [str(number) for number in range(1, sent)]


BAD_REQUESTS: list[tuple[str, bytes | None, list[tuple[str, bytes]], str, str]] = [
    ("no value", None, [], "request-unreadable", "no value"),
    ("not JSON", b"\xff\x00{", [], "request-unreadable", "not an inference request"),
    ("not an object", b"[1, 2]", [], "request-unreadable", "Expected `object`"),
    ("no inputs", b'{"id": "x", "inputs": []}', [], "request-unreadable", "length >= 1"),
    ("content type", request_body(), [(header_names.CONTENT_TYPE, b"text/csv")], "wrong-content-type", "text/csv"),
    ("header", request_body(), [(header_names.CONTENT_TYPE, b"\xff\xfe")], "request-unreadable", "UTF-8"),
    ("input name", request_body(name="z"), [], "wrong-input", "the model takes ['x']"),
    ("datatype", request_body(datatype="INT64"), [], "wrong-input", "the model takes FP32"),
    ("unknown datatype", request_body(datatype="FLOAT"), [], "request-unreadable", "FLOAT"),
    ("shape", request_body(shape=[1, 5]), [], "wrong-input", "the model takes [-1, 4]"),
    ("negative shape", request_body(shape=[-1, 4]), [], "request-unreadable", ">= 0"),
    ("empty batch", request_body(shape=[0, 4], data=[]), [], "wrong-input", "1 to 1024"),
    ("too many rows", request_body(shape=[9_999, 4]), [], "wrong-input", "1 to 1024"),
    ("too few values", request_body(data=[1.0]), [], "wrong-input", "4 values"),
    ("text for numbers", request_body(data=["a", "b", "c", "d"]), [], "wrong-input", "not numbers"),
    ("ragged", request_body(data=[[1.0], [2.0, 3.0]]), [], "wrong-input", "cannot be read"),
    ("too large for FP32", request_body(data=[1e300, 0.0, 0.0, 0.0]), [], "wrong-input", "'x'"),
    ("unknown output", b'{"outputs": [{"name": "q"}],' + request_body()[1:], [], "wrong-input", "the model has ['y']"),
]


def _msgpack_nan() -> bytes:
    data = np.array([[np.nan, 0, 0, 0]], dtype="<f4").tobytes()
    return msgspec.msgpack.encode({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": data}]})


def _msgpack_short() -> bytes:
    return msgspec.msgpack.encode({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": b"\0" * 15}]})


async def test_bad_requests_get_clear_errors_and_stop_nothing(stage: Stage) -> None:
    raw = [(header_names.CONTENT_TYPE, b"application/msgpack")]
    bad = [
        *BAD_REQUESTS,
        ("NaN", _msgpack_nan(), raw, "wrong-input", "NaN"),
        ("truncated tensor", _msgpack_short(), raw, "wrong-input", "15 bytes"),
        ("too large", b" " * (stage.settings.request_bytes_max + 1), [], "too-large", "at most"),
    ]
    for _name, value, with_headers, _code, _message in bad:
        await stage.send(value, headers=with_headers)
        await stage.send(request_body())
    records = await stage.answers(2 * len(bad))
    for index, (name, _value, _headers, code, message) in enumerate(bad):
        error_record, good_record = records[2 * index], records[2 * index + 1]
        raw_answer = headers(error_record)[header_names.CONTENT_TYPE] == b"application/msgpack"
        error: dict[str, Any] = msgspec.msgpack.decode(error_record.value) if raw_answer else body(error_record)
        assert error["error_code"] == code, name
        assert message in error["error"], (name, error["error"])
        assert headers(error_record)[header_names.STATUS] == b"error"
        assert body(good_record)["outputs"][0]["data"] == [1.0, 1.0]
    letters = await stage.records(stage.topics.dead_letters, None, len(bad))
    causes = {
        int(headers(letter)[header_names.ORIGIN_OFFSET]): headers(letter)[header_names.DEAD_LETTER_CAUSE].decode()
        for letter in letters
    }
    for index, (name, _value, _headers, code, _message) in enumerate(bad):
        assert causes[2 * index].startswith(code), name


async def test_without_an_active_version_requests_get_an_error(settings: Settings) -> None:
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        async with running_worker(settings):
            await stage.send(request_body())
            (record,) = await stage.answers(1)
            assert body(record)["error_code"] == "no-active-version"
            await stage.switch("v1")
            await stage.send(request_body())
            assert body((await stage.answers(2))[1])["model_version"] == "v1"


async def test_a_damaged_artifact_never_serves_and_is_rolled_back_by_an_event(stage: Stage) -> None:
    artifact = await stage.store.put_artifact(artifact_answering(3.0))
    await damage(stage, artifact)
    assert await stage.register(artifact) == "v3"
    await stage.send(request_body("before"))
    promoted = await stage.switch("v3")
    assert promoted.offset is not None
    await asyncio.wait_for(stage.registry.wait_for_offset(promoted.offset + 2), 60)
    state = stage.registry.state(MODEL)
    assert state.active_version == "v1"
    assert state.versions["v3"].stage == "archived"
    newest = stage.registry.tail.newest
    assert newest is not None
    event = newest.outcome
    assert event.event.data.cause == "load-failed"  # type: ignore[union-attr]
    assert "expected sha256" in event.event.reason  # type: ignore[union-attr, operator]
    await stage.send(request_body("after"))
    assert [body(record)["model_version"] for record in await stage.answers(2)] == ["v1", "v1"]


async def test_a_version_that_answers_nan_never_serves(stage: Stage) -> None:
    assert await stage.register_answering(float("nan")) == "v3"
    promoted = await stage.switch("v3")
    assert promoted.offset is not None
    await asyncio.wait_for(stage.registry.wait_for_offset(promoted.offset + 2), 60)
    assert stage.registry.state(MODEL).active_version == "v1"


async def test_a_restarted_worker_goes_on_behind_the_last_answer(settings: Settings) -> None:
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        await stage.switch("v1")
        async with running_worker(settings):
            for number in range(10):
                await stage.send(request_body(str(number)))
            await stage.answers(10)
        for number in range(10, 20):
            await stage.send(request_body(str(number)))
        async with running_worker(settings):
            records = await stage.answers(20)
        assert [body(record)["id"] for record in records] == [str(number) for number in range(20)]


async def test_two_workers_share_the_partitions_of_a_model(settings: Settings) -> None:
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        await stage.switch("v1")
        sent = 0
        async with stage.reading() as answers:
            async with running_worker(settings, "w1"), running_worker(settings, "w2"):
                workers: set[str] = set()
                async with asyncio.timeout(60):
                    while workers != {"w1", "w2"}:
                        for partition in range(PARTITIONS):
                            await stage.send(request_body(), partition=partition)
                        sent += 1
                        await answers.until_count(sent)
                        workers = {got[-1]["parameters"]["worker"] for got in answers.by_partition}
            for got in answers.by_partition:
                assert [answer["parameters"]["request_offset"] for answer in got] == list(range(sent))


async def test_a_first_version_that_cannot_load_stops_nothing(settings: Settings) -> None:
    """There is no former version to roll back to: requests get an error that says why, until one loads."""
    async with open_stage(settings) as stage:
        artifact = await stage.store.put_artifact(artifact_answering(1.0))
        await damage(stage, artifact)
        await stage.register(artifact)
        await stage.switch("v1")
        async with running_worker(settings):
            await stage.send(request_body())
            (record,) = await stage.answers(1)
            assert body(record)["error_code"] == "no-active-version"
            assert "'v1' cannot be loaded" in body(record)["error"]
            await stage.register_answering(2.0)
            chosen = (await stage.switch("v2")).offset
            async with stage.reading() as answers, asyncio.timeout(60):
                while answers.by_partition[0][-1:] == [] or "error" in answers.by_partition[0][-1]:
                    await stage.send(request_body())
                assert answers.by_partition[0][-1]["parameters"]["registry_offset"] == chosen
