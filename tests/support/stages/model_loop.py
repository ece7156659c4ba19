"""What one model's loop needs to answer, on librdkafka's own broker: topics, one loaded version, and a host."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition

from hotswap_events.inference.answers import AnswerTags
from hotswap_events.inference.messages import InferResponse
from hotswap_events.topics import Topics
from hotswap_stream.application.registry.fold import RegistryFold
from hotswap_stream.application.serving.guard import CircuitGuard
from hotswap_stream.application.swap.slots import VersionSlots
from hotswap_stream.application.topics.reply_topics import ReplyTopics
from hotswap_stream.workers.inference.batches.computed import ComputedBatch
from hotswap_stream.workers.inference.config import WorkerConfig
from hotswap_stream.workers.inference.health.signs import LifeSigns
from hotswap_stream.workers.inference.health.stall import StallWatch
from hotswap_stream.workers.inference.limits import Batching
from hotswap_stream.workers.inference.loop.parts import LoopParts
from tests.support.kafka.mock_broker import values_of
from tests.support.samples.linear_models import LinearLoader
from tests.support.samples.registry import LogBuilder, promoted, trained

MODEL, TOPICS = "digits", Topics()
REQUESTS, ANSWERS = TOPICS.requests(MODEL), TOPICS.responses(MODEL)


class Host:
    """Keeps what the loop tells."""

    batching = Batching(size_max=8, wait_ms_max=0.0)

    def __init__(self, slots: VersionSlots) -> None:
        self._slots = slots
        self.partitions: list[tuple[int, ...]] = []
        self.begun = 0
        self.taken_for_dead = 0
        self.sizes: list[int] = []

    async def version_decided(self) -> None:
        await self._slots.wait_decided()

    async def caught_up(self) -> None:
        return

    def fallen(self, worker: str) -> bool:
        return worker == "dead"

    async def ensure_windows_topic(self) -> None:
        raise AssertionError("no version takes windows")

    def on_partitions(self, partitions: tuple[int, ...]) -> None:
        self.partitions.append(partitions)

    def on_computing(self) -> None:
        self.begun += 1

    def on_answered(self, batch: ComputedBatch) -> None:
        self.sizes.append(len(batch.chosen.entries))


def ask(address: str, first: int, count: int, partition: int = 0) -> None:
    """Write requests whose answer is their own number."""
    producer = Producer({"bootstrap.servers": address, "log_level": 0})
    for number in range(first, first + count):
        value = b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[%d,0,0,0]}]}' % number
        producer.produce(REQUESTS, value, partition=partition)
    assert producer.flush(60) == 0


def answered(address: str, count: int) -> list[float]:
    """The numbers in the first answers of partition 0."""
    values = values_of(address, ANSWERS, 0, count)
    return [msgspec.json.decode(value or b"", type=InferResponse).outputs[0].data[0] for value in values]


def committed(address: str) -> int:
    consumer = Consumer({"bootstrap.servers": address, "group.id": TOPICS.workers_group(MODEL), "log_level": 0})
    try:
        return consumer.committed([TopicPartition(REQUESTS, 0)], timeout=60)[0].offset
    finally:
        consumer.close()


@asynccontextmanager
async def loop_parts(address: str, host_of: Callable[[VersionSlots], Host] = Host) -> AsyncIterator[LoopParts]:
    """The parts of a loop over one loaded version."""
    options = {"bootstrap.servers": address, "log_level": 0}
    slots = VersionSlots(
        LinearLoader(), on_change=lambda: None, on_active_failed=lambda _failure: None, memory_bytes_max=10**12
    )
    slots.start()
    log, fold = LogBuilder(), RegistryFold()
    for event in (trained("v1"), promoted("v1", forced=True)):
        log.append(event)
        fold.apply(log.records[-1])
    slots.update(fold.streams[MODEL])
    await slots.wait_decided()
    host = host_of(slots)
    config = WorkerConfig(
        worker="w1",
        topics=TOPICS,
        answer_tags=AnswerTags("p"),
        reply_topics=ReplyTopics(TOPICS),
        client_options={"bootstrap_servers": address},
        librdkafka_options=options,
    )
    parts = LoopParts(
        model_name=MODEL,
        config=config,
        slots=slots,
        guard=CircuitGuard(MODEL, "w1"),
        signs=LifeSigns(),
        stall_watch=StallWatch(),
        host=host,
    )
    parts.stall_watch.start()
    try:
        yield parts
    finally:
        await parts.stall_watch.stop()
        await slots.stop()
