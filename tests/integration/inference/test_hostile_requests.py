"""Requests that stopped a model for ever: the good one behind each is answered, and it gets an error or a dead letter.

On the real broker, through a running worker.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from aiokafka import ConsumerRecord

from hotswap_events import headers as header_names
from hotswap_events.registry.version_options import PLAIN, VersionOptions
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.swap.loader import Arrays, LoadedModel, ModelLoader
from hotswap_stream.application.topics.dead_letter import DEAD_LETTER_KEY_BYTES_MAX, DEAD_LETTER_VALUE_BYTES_MAX
from hotswap_stream.settings import Settings
from hotswap_stream.workers.inference.requests.requests import KEY_BYTES_MAX
from hotswap_stream.workers.inference.waiting import STUCK_SECONDS_MAX
from tests.support.kafka.hostile_topics import set_topic, write_packed
from tests.support.stages.serving import MODEL, PARTITIONS, Stage, body, headers, open_stage, request_body
from tests.support.stages.serving import stage_settings as settings_of
from tests.support.stages.workers import running_worker

MEBIBYTE = 1024**2
Record: TypeAlias = "ConsumerRecord[bytes, bytes]"


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return settings_of(kafka, topic_prefix, tmp_path)


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        await stage.switch("v1")
        yield stage


async def good_ones_are_answered(stage: Stage, *before: int, seconds_max: float = 60.0) -> list[list[Record]]:
    """Send a good request to every partition; return the answers there, of which `before` came before."""
    found = []
    for partition in range(PARTITIONS):
        offset = await stage.send(request_body(), partition=partition)
        count = (before[partition] if before else 0) + 1
        records = await stage.answers(count, partition=partition, seconds_max=seconds_max)
        assert body(records[-1])["parameters"]["request_offset"] == offset
        assert headers(records[-1])[header_names.STATUS] == b"ok"
        found.append(records)
    return found


async def dead_letter(stage: Stage) -> Record:
    (record,) = await stage.records(stage.topics.dead_letters, None, 1)
    return record


def is_error(record: Record, code: str, said: str) -> Mapping[str, Any]:
    answer = body(record)
    assert headers(record)[header_names.STATUS] == b"error"
    assert answer["error_code"] == code
    assert said in answer["error"]
    return answer


async def test_an_unreadable_request_with_vast_headers_and_a_vast_key(stage: Stage) -> None:
    """Its dead letter was larger than a record may be, and the loop began anew for ever."""
    async with running_worker(stage.settings):
        vast = (header_names.CONTENT_TYPE, b"x" * 200_000)
        offset = await stage.send(b"\xff" * 900_000, headers=[vast], key=b"k" * 50_000)
        answers = await good_ones_are_answered(stage, 1, 0)
        is_error(answers[0][0], "wrong-content-type", "content-type")
        assert answers[0][0].key == b"k" * 50_000
        letter = await dead_letter(stage)
        assert letter.key == b"k" * DEAD_LETTER_KEY_BYTES_MAX
        assert len(letter.value) == DEAD_LETTER_VALUE_BYTES_MAX
        assert headers(letter)[header_names.ORIGIN_OFFSET] == b"%d" % offset


async def test_a_valid_request_with_a_vast_key(kafka: str, stage: Stage) -> None:
    """12 MB of key, a few kB on the wire: the answer repeated it, and no broker takes such a record."""
    async with running_worker(stage.settings):
        topic = stage.topics.requests(MODEL)
        await asyncio.to_thread(write_packed, kafka, topic, [request_body("vast")], key=b"k" * 12 * MEBIBYTE)
        answers = await good_ones_are_answered(stage, 1, 0)
        is_error(answers[0][0], "too-large", f"at most {KEY_BYTES_MAX}")
        assert answers[0][0].key is None
        assert b"too-large" in headers(await dead_letter(stage))[header_names.DEAD_LETTER_CAUSE]


async def test_a_small_batch_that_unpacks_to_230_megabytes(kafka: str, stage: Stage) -> None:
    """The client reports it for ever, and never moves (librdkafka issue 5260)."""
    async with running_worker(stage.settings):
        await stage.send(request_body("before"))
        topic = stage.topics.requests(MODEL)
        (offset,) = await asyncio.to_thread(write_packed, kafka, topic, [bytes(230 * MEBIBYTE)])
        answers = await good_ones_are_answered(stage, 2, 0)
        assert body(answers[0][0])["id"] == "before"
        error = is_error(answers[0][1], "request-unreadable", f"offsets {offset} to {offset}")
        assert error["parameters"]["request_offset"] == offset
        letter = await dead_letter(stage)
        assert headers(letter)[header_names.ORIGIN_OFFSET] == b"%d" % offset


async def test_every_record_of_an_unreadable_batch_gets_an_error(kafka: str, stage: Stage) -> None:
    """In one partition it stood before the worker came, in the other one it comes while the worker reads."""
    topic = stage.topics.requests(MODEL)
    many = [bytes(2 * MEBIBYTE)] * 110
    await asyncio.to_thread(write_packed, kafka, topic, many)
    async with running_worker(stage.settings):
        await stage.send(request_body("before"), partition=1)
        await stage.answers(1, partition=1)
        await asyncio.to_thread(write_packed, kafka, topic, many, partition=1)
        answers = await good_ones_are_answered(stage, 110, 111)
        for records in (answers[0][:-1], answers[1][1:-1]):
            for record in records:
                is_error(record, "request-unreadable", "cannot be read")
            offsets = [int(headers(record)[header_names.REQUEST_OFFSET]) for record in records]
            assert offsets == list(range(offsets[0], offsets[0] + 110))


async def test_an_unreadable_batch_among_the_answers(kafka: str, stage: Stage) -> None:
    """Whoever takes over reads the last answers; what somebody wrote there must not keep it from going on."""
    topic = stage.topics.responses(MODEL)
    async with running_worker(stage.settings):
        await stage.send(request_body("before"))
        await stage.answers(1)
    # By gzip, because the test reads it, too.
    await asyncio.to_thread(write_packed, kafka, topic, [bytes(230 * MEBIBYTE)], codec="gzip")
    async with running_worker(stage.settings):
        await good_ones_are_answered(stage, 2, 0)


@pytest.mark.timeout(300)
async def test_an_answer_that_the_broker_refuses(kafka: str, stage: Stage) -> None:
    """A refused record ended the producer of the answers, and with it every life of the loop after."""
    async with running_worker(stage.settings) as worker:
        await stage.send(request_body("before"))
        await stage.answers(1)
        await asyncio.to_thread(set_topic, kafka, stage.topics.responses(MODEL), max_message_bytes="2000")
        rows = 500
        await stage.send(request_body("large", shape=[rows, 4], data=[0.0] * (4 * rows)))
        answers = await good_ones_are_answered(stage, 2, 0, seconds_max=2.5 * STUCK_SECONDS_MAX)
        error = is_error(answers[0][1], "request-unreadable", "ended the model's loop")
        assert "id" not in error
        assert b"MSG_SIZE_TOO_LARGE" in headers(await dead_letter(stage))[header_names.DEAD_LETTER_CAUSE]
        assert worker.trouble() is None


@pytest.mark.timeout(300)
async def test_a_refused_answer_is_not_passed_over_by_the_next(kafka: str, stage: Stage) -> None:
    """The first answer of a producer was refused, the second taken: nobody answered the first request any more."""
    await asyncio.to_thread(set_topic, kafka, stage.topics.responses(MODEL), max_message_bytes="2000")
    rows = 500
    await stage.send(request_body("large", shape=[rows, 4], data=[0.0] * (4 * rows)))
    await stage.send(request_body("next"))
    async with running_worker(stage.settings):
        refused, answered = await stage.answers(2, seconds_max=2.5 * STUCK_SECONDS_MAX)
        is_error(refused, "request-unreadable", "ended the model's loop")
        assert headers(answered)[header_names.STATUS] == b"ok"
        offsets = [int(headers(record)[header_names.REQUEST_OFFSET]) for record in (refused, answered)]
        assert offsets == [offsets[0], offsets[0] + 1]


async def test_dead_letters_that_the_broker_refuses(kafka: str, stage: Stage) -> None:
    """The copy is made smaller; where nothing is taken at all, requests are answered all the same."""
    dead_letters = stage.topics.dead_letters
    async with running_worker(stage.settings):
        await asyncio.to_thread(set_topic, kafka, dead_letters, max_message_bytes="1000")
        await stage.send(b"x" * 5_000)
        await good_ones_are_answered(stage, 1, 0)
        letter = await dead_letter(stage)
        assert letter.value == b""
        assert b"request-unreadable" in headers(letter)[header_names.DEAD_LETTER_CAUSE]
        await asyncio.to_thread(set_topic, kafka, dead_letters, max_message_bytes="10")
        await stage.send(b"x" * 5_000)
        await good_ones_are_answered(stage, 3, 1)


MANY_ROWS = 100
"""More than those of all other requests together, with which this one may be in a batch."""


class _Trapped:
    """A version of somebody's runtime with a mistake beside the forward pass: it fails for many rows."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model

    @property
    def manifest(self) -> ArtifactManifest:
        return self._model.manifest

    @property
    def executor(self) -> str:
        return self._model.executor

    def padded_rows(self, rows: int) -> int:
        if rows >= MANY_ROWS:
            raise ZeroDivisionError("many rows")
        return self._model.padded_rows(rows)

    def infer(self, inputs: Arrays) -> Arrays:
        return self._model.infer(inputs)

    def close(self) -> None:
        self._model.close()


class _TrapLoader:
    def __init__(self, inner: ModelLoader) -> None:
        self._inner = inner

    async def load(
        self, digest: str, options: VersionOptions = PLAIN, *, graph_digest: str | None = None
    ) -> LoadedModel:
        return _Trapped(await self._inner.load(digest, options, graph_digest=graph_digest))

    def close(self) -> None:
        self._inner.close()


async def test_a_request_that_ends_the_loop_by_an_error_of_our_own(stage: Stage) -> None:
    """Any other error than Kafka's ended the worker, and its next start met the same request."""
    async with running_worker(stage.settings, wrap=_TrapLoader) as worker:
        sent = [await stage.send(request_body(f"{number}")) for number in range(3)]
        poison = await stage.send(request_body("poison", shape=[MANY_ROWS, 4], data=[0.0] * 4 * MANY_ROWS))
        sent += [await stage.send(request_body(f"{number}")) for number in range(3, 6)]
        answers = await good_ones_are_answered(stage, 7, 0)
        offsets = [int(headers(record)[header_names.REQUEST_OFFSET]) for record in answers[0]]
        assert offsets[:-1] == sorted([*sent, poison])
        assert [body(record).get("id") for record in answers[0][:3]] == ["0", "1", "2"]
        is_error(answers[0][3], "request-unreadable", "ZeroDivisionError: many rows")
        assert [body(record).get("id") for record in answers[0][4:]] == ["3", "4", "5", None]
        assert b"many rows" in headers(await dead_letter(stage))[header_names.DEAD_LETTER_CAUSE]
        assert worker.trouble() is None
