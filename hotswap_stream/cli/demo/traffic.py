"""A steady stream of requests for one model, and the bookkeeping of what came back."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from msgspec import Struct

from hotswap_events import headers as header_names
from hotswap_events.inference import InferError, InferResponse, InferTensor
from hotswap_events.topics import Topics

LATE_SECONDS_MAX = 20.0
"""A request without an answer this long after the last was sent counts as lost."""

_answers = msgspec.json.Decoder(InferResponse)
_errors = msgspec.json.Decoder(InferError)


class Example(Struct, frozen=True):
    """One request body, without its id, and the right answer."""

    inputs: list[InferTensor]
    label: int


class _Sent(Struct):
    partition: int
    offset: int
    label: int


class Seen(Struct, frozen=True):
    """A valid answer: which version gave it, chosen by which registry event, and when it was appended to its topic.

    The broker's clock stamps answers and registry events alike, so this process's own pauses do not count.
    """

    model_version: str
    registry_offset: int
    appended_ms: int


class Traffic:
    """Sends requests at a steady rate until told to stop, and reads every answer.

    The void rule is applied as any consumer would: an answer counts if its request offset is above all before it in
    the partition. A request without such an answer is lost. Every second record for a request is a duplicate here,
    void or not: in a run without a crash there should be none at all.
    """

    def __init__(
        self,
        client_options: Mapping[str, Any],
        topics: Topics,
        model_name: str,
        examples: Sequence[Example],
        *,
        partitions: int,
        rate_per_second: float,
    ) -> None:
        self._client_options = dict(client_options)
        self._request_topic = topics.requests(model_name)
        self._response_topic = topics.responses(model_name)
        self._examples = examples
        self._partitions = partitions
        self._interval_s = 1.0 / rate_per_second
        self._sent: dict[tuple[int, int], _Sent] = {}
        self._answered: set[tuple[int, int]] = set()
        self._highest: dict[int, int] = {}
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.requests = 0
        self.errors: list[str] = []
        self.duplicated = 0
        self.seen: list[Seen] = []
        self.right: Counter[str] = Counter()
        self.total: Counter[str] = Counter()
        self._labels: dict[tuple[int, int], tuple[str, int]] = {}

    async def start(self) -> None:
        """Begin to send and to read."""
        ready = asyncio.Event()
        self._tasks = [
            asyncio.create_task(self._read(ready), name="demo-answers"),
            asyncio.create_task(self._send(ready), name="demo-requests"),
        ]
        await ready.wait()

    async def stop(self) -> None:
        """Send no more, and wait for the answers that are due."""
        self._stop.set()
        reader, sender = self._tasks
        await sender
        with suppress(TimeoutError):
            async with asyncio.timeout(LATE_SECONDS_MAX):
                while self.lost:
                    await asyncio.sleep(0.05)
        reader.cancel()
        with suppress(asyncio.CancelledError):
            await reader

    @property
    def answers(self) -> int:
        """Requests with a valid answer."""
        return len(self._answered)

    @property
    def lost(self) -> int:
        """Requests without a valid answer so far."""
        return sum(1 for key in self._sent if key not in self._answered)

    def accuracy(self) -> dict[str, float]:
        """Share of right answers by version, 0 to 1."""
        self._score()
        return {version: self.right[version] / self.total[version] for version in sorted(self.total)}

    def longest_gap_ms(self) -> int:
        """Longest time between two answers in a row."""
        times = sorted(seen.appended_ms for seen in self.seen)
        return max((later - earlier for earlier, later in pairwise(times)), default=0)

    def first_answer_ms(self, registry_offset: int) -> int | None:
        """When the first answer chosen by this registry event was appended, ms since 1970."""
        return min((seen.appended_ms for seen in self.seen if seen.registry_offset == registry_offset), default=None)

    async def wait_first_answer(self, registry_offset: int, seconds_max: float = 20.0) -> None:
        """Wait until an answer chosen by this registry event is there. TimeoutError otherwise."""
        async with asyncio.timeout(seconds_max):
            while self.first_answer_ms(registry_offset) is None:
                await asyncio.sleep(0.01)

    async def _send(self, ready: asyncio.Event) -> None:
        await ready.wait()
        producer = AIOKafkaProducer(**self._client_options, acks="all", enable_idempotence=True, linger_ms=0)
        await producer.start()
        try:
            next_s = time.monotonic()
            pending: set[asyncio.Task[None]] = set()
            while not self._stop.is_set():
                number = self.requests
                self.requests += 1
                task = asyncio.create_task(self._send_one(producer, number))
                pending.add(task)
                task.add_done_callback(pending.discard)
                next_s += self._interval_s
                await asyncio.sleep(max(0.0, next_s - time.monotonic()))
            await asyncio.gather(*pending)
        finally:
            await producer.stop()

    async def _send_one(self, producer: AIOKafkaProducer, number: int) -> None:
        example = self._examples[number % len(self._examples)]
        body = msgspec.json.encode({"id": f"demo-{number}", "inputs": example.inputs})
        partition = number % self._partitions
        metadata = await producer.send_and_wait(self._request_topic, body, partition=partition)
        self._sent[partition, metadata.offset] = _Sent(partition, metadata.offset, example.label)

    async def _read(self, ready: asyncio.Event) -> None:
        consumer = AIOKafkaConsumer(
            **self._client_options, group_id=None, enable_auto_commit=False, auto_offset_reset="latest"
        )
        await consumer.start()
        try:
            partitions = [TopicPartition(self._response_topic, number) for number in range(self._partitions)]
            consumer.assign(partitions)
            for partition, offset in (await consumer.end_offsets(partitions)).items():
                consumer.seek(partition, offset)
            ready.set()
            while True:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        self._take(record)
        finally:
            await consumer.stop()

    def _take(self, record: "ConsumerRecord[Any, Any]") -> None:
        headers = dict(record.headers)
        offset = int(headers[header_names.REQUEST_OFFSET])
        if offset <= self._highest.get(record.partition, -1):
            self.duplicated += 1
            return
        self._highest[record.partition] = offset
        key = record.partition, offset
        self._answered.add(key)
        if headers[header_names.STATUS] == b"error":
            self.errors.append(_errors.decode(record.value).error)
            return
        answer = _answers.decode(record.value)
        scores = answer.outputs[0].data
        self._labels[key] = answer.model_version, max(range(len(scores)), key=scores.__getitem__)
        self.seen.append(Seen(answer.model_version, answer.parameters.registry_offset or -1, record.timestamp))

    def _score(self) -> None:
        self.right.clear()
        self.total.clear()
        for key, (version, label) in self._labels.items():
            sent = self._sent.get(key)
            if sent is not None:
                self.total[version] += 1
                self.right[version] += label == sent.label
