"""A worker made by hand: it answers on the real broker what a test wants, when the test wants it.

It takes no part in the group and writes no checkpoint; it is for what stands before the workers.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from hotswap_events import headers as header_names
from hotswap_events.inference.fleet import FleetRecord, FleetVersion
from hotswap_events.inference.messages import AnswerFacts, ErrorCode, InferError, InferResponse, InferTensor
from hotswap_stream import bootstrap
from tests.support.stages.serving import MODEL, PARTITIONS, Stage

Headers = dict[str, bytes]
Answer = InferResponse | ErrorCode


def answering(model_version: str) -> InferResponse:
    """An answer of one row."""
    outputs = [InferTensor(name="y", shape=[1, 2], datatype="FP32", data=[1.0, 1.0])]
    facts = AnswerFacts(request_partition=0, request_offset=0, worker="by-hand")
    return InferResponse(model_name=MODEL, model_version=model_version, outputs=outputs, parameters=facts)


class HandWorker:
    """`answer` says what becomes of a request, from its headers; `going` cleared lets it stand still."""

    def __init__(self, stage: Stage, answer: Callable[[Headers], Answer]) -> None:
        self.seen: list[Headers] = []
        self.going = asyncio.Event()
        self.going.set()
        self.seconds_each = 0.0
        """How long it takes for one request."""
        self._stage = stage
        self._answer = answer
        self._tags = bootstrap.answer_tags(stage.settings).of(MODEL)
        options = {"bootstrap_servers": stage.settings.kafka_bootstrap_servers}
        self.producer = AIOKafkaProducer(**options, linger_ms=0)
        self.consumer = AIOKafkaConsumer(**options, group_id=None, auto_offset_reset="earliest")

    async def say_alive(self) -> None:
        """One record on the fleet topic."""
        record = FleetRecord(
            worker="by-hand",
            model_name=MODEL,
            registry_offset=self._stage.registry.fold.next_offset - 1,
            versions={"v1": FleetVersion(state="serving", artifact_digest="sha256:0")},
            serving_version="v1",
            partitions=tuple(range(PARTITIONS)),
        )
        key = f"by-hand/{MODEL}".encode()
        await self.producer.send_and_wait(self._stage.topics.fleet, msgspec.json.encode(record), key, partition=0)

    async def say_goodbye(self) -> None:
        """It left the fleet."""
        await self.producer.send_and_wait(self._stage.topics.fleet, None, f"by-hand/{MODEL}".encode(), partition=0)

    async def work(self) -> None:
        """Answer until cancelled."""
        while True:
            for records in (await self.consumer.getmany(timeout_ms=100)).values():
                for record in records:
                    await self.going.wait()
                    if self.seconds_each:
                        await asyncio.sleep(self.seconds_each)
                    await self._answer_one(record)

    async def _answer_one(self, record: "ConsumerRecord[Any, Any]") -> None:
        headers: Headers = dict(record.headers)
        self.seen.append(headers)
        answer = self._answer(headers)
        facts = AnswerFacts(request_partition=record.partition, request_offset=record.offset, worker="by-hand")
        body: InferResponse | InferError
        if isinstance(answer, str):
            body = InferError(model_name=MODEL, error=f"it is {answer}", error_code=answer, parameters=facts)
        else:
            body = msgspec.structs.replace(answer, parameters=facts)
        await self.producer.send(
            self._stage.topics.responses(MODEL),
            (msgspec.msgpack if b"msgpack" in headers[header_names.CONTENT_TYPE] else msgspec.json).encode(body),
            partition=record.partition,
            headers=[
                (header_names.CONTENT_TYPE, headers[header_names.CONTENT_TYPE]),
                (header_names.REQUEST_OFFSET, str(record.offset).encode()),
                (header_names.STATUS, b"ok" if isinstance(body, InferResponse) else b"error"),
                (header_names.ANSWER_TAG, self._tags.tag(record.partition, record.offset)),
            ],
        )


@asynccontextmanager
async def hand_worker(
    stage: Stage, answer: Callable[[Headers], Answer] = lambda _: answering("v1")
) -> AsyncIterator[HandWorker]:
    """A HandWorker that works and has said once that it lives: it counts as live for ten seconds."""
    worker = HandWorker(stage, answer)
    tasks: list[asyncio.Task[None]] = []
    try:
        await worker.producer.start()
        await worker.consumer.start()
        topic = stage.topics.requests(MODEL)
        worker.consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
        await worker.say_alive()
        tasks.append(asyncio.create_task(worker.work()))
        yield worker
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await worker.consumer.stop()
        await worker.producer.stop()
