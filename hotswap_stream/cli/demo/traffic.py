"""A steady stream of requests for one model, and the count of what came back."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from msgspec import Struct

from hotswap_events import headers as header_names
from hotswap_events.inference.answers import AnswerRule, AnswerTags
from hotswap_events.inference.messages import InferError, InferResponse, InferTensor
from hotswap_events.topics import Topics
from hotswap_stream.kafka import clients
from hotswap_stream.kafka.producer_stop import stop_producer

FLUSH_SECONDS_MAX = 5.0
"""How long a batch on its way may hold up the end."""
LATE_SECONDS_MAX = 20.0
"""A request without an answer this long after the last was sent counts as lost."""
USERS = 200
"""Number of users who ask; each request is one user's, and its routing key says whose."""

_answers = msgspec.json.Decoder(InferResponse)
_errors = msgspec.json.Decoder(InferError)


class Example(Struct, frozen=True):
    """One request body, without its id, and the right answer."""

    inputs: list[InferTensor]
    label: int


class Seen(Struct, frozen=True, gc=False):
    """A valid answer: to whom, by which version, chosen by which registry event, and when it was appended.

    The broker's clock stamps answers and registry events alike, so this process's own pauses do not count.
    """

    partition: int
    request_offset: int
    user: int
    model_version: str
    label: int
    """The index of the largest score."""
    true_label: int
    registry_offset: int
    appended_ms: int
    stands_in: bool
    """The version answered in place of another, which a worker had not loaded or whose circuit was not closed."""

    @property
    def right(self) -> bool:
        """Return whether it is the true label."""
        return self.label == self.true_label


class Traffic:
    """Sends requests at a steady rate until told to stop, and reads every answer.

    The void rule is applied as any consumer would: a worker's answer counts if its request offset is above all before
    it in the partition. A request without such an answer is lost. Every second answer to a request is a duplicate here:
    in a run without a crash there should be none at all.
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
        tags: AnswerTags,
    ) -> None:
        self._client_options = dict(client_options)
        self._request_topic = topics.requests(model_name)
        self._response_topic = topics.responses(model_name)
        self._examples = examples
        self._partitions = partitions
        self.rate_per_second = rate_per_second
        self._random = random.Random(1)  # noqa: S311  # not a secret
        self._users: list[int] = []
        self._sent: set[tuple[int, int]] = set()
        self._answered: set[tuple[int, int]] = set()
        answer_tags = tags.of(model_name)
        self._rules = [AnswerRule(partition, answer_tags) for partition in range(partitions)]
        self._first_ms: dict[int, int] = {}
        self._chosen_by: dict[int, int] = {}
        self._stop = asyncio.Event()
        self._moved = asyncio.Event()
        self._listeners: list[Callable[[Seen], None]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.requests = 0
        self.errors: list[str] = []
        self.seen: list[Seen] = []

    @property
    def duplicated(self) -> int:
        """Workers' answers to what was answered before."""
        return sum(rule.void for rule in self._rules)

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
        if not self._tasks:
            return
        _reader, sender = self._tasks
        await sender
        with suppress(TimeoutError):
            async with asyncio.timeout(LATE_SECONDS_MAX):
                while self.lost:
                    await self._wait_for_answers()
        await self.close()

    async def close(self) -> None:
        """Stop at once, whatever is still due."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def listen(self, listener: Callable[[Seen], None]) -> Callable[[], None]:
        """Call `listener` with each answer from now on; returns the function that ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @property
    def answers(self) -> int:
        """Return the number of requests with a valid answer."""
        return len(self._answered)

    @property
    def lost(self) -> int:
        """Return the number of requests without a valid answer so far."""
        return len(self._sent - self._answered)

    def accuracy(self) -> dict[str, float]:
        """Return version → share of right answers, 0 to 1."""
        total = Counter(seen.model_version for seen in self.seen)
        right = Counter(seen.model_version for seen in self.seen if seen.right)
        return {version: right[version] / total[version] for version in sorted(total)}

    def longest_gap_ms(self) -> int:
        """Return the longest time between two answers in a row."""
        times = sorted(seen.appended_ms for seen in self.seen)
        return max((later - earlier for earlier, later in pairwise(times)), default=0)

    def first_answer_ms(self, registry_offset: int) -> int | None:
        """Return when the first answer chosen by this registry event was appended, ms since 1970."""
        return self._first_ms.get(registry_offset)

    async def wait_first_answer(self, registry_offset: int, seconds_max: float = 20.0) -> None:
        """Wait until an answer chosen by this registry event is there. TimeoutError otherwise."""
        async with asyncio.timeout(seconds_max):
            while registry_offset not in self._first_ms:
                await self._wait_for_answers()

    async def wait_moved_on(self, registry_offset: int, seconds_max: float = 20.0) -> None:
        """Wait until every partition has an answer chosen by this registry event or a later one.

        Then all that were chosen before are read. TimeoutError if that takes too long.
        """
        async with asyncio.timeout(seconds_max):
            while any(self._chosen_by.get(number, -1) < registry_offset for number in range(self._partitions)):
                await self._wait_for_answers()

    async def _wait_for_answers(self) -> None:
        """Wait until there is at least one more."""
        await self._moved.wait()

    async def _send(self, ready: asyncio.Event) -> None:
        await ready.wait()
        producer = clients.producer(**self._client_options, acks="all", enable_idempotence=True, linger_ms=0)
        await producer.start()
        try:
            next_s = time.monotonic()
            pending: set[asyncio.Task[None]] = set()
            while not self._stop.is_set():
                number = self.requests
                self.requests += 1
                self._users.append(self._random.randrange(USERS))
                task = asyncio.create_task(self._send_one(producer, number))
                pending.add(task)
                task.add_done_callback(pending.discard)
                next_s += 1.0 / self.rate_per_second
                await asyncio.sleep(max(0.0, next_s - time.monotonic()))
            await asyncio.gather(*pending)
        finally:
            await stop_producer(producer, flush_seconds_max=FLUSH_SECONDS_MAX)

    async def _send_one(self, producer: AIOKafkaProducer, number: int) -> None:
        body = msgspec.json.encode({"id": f"demo-{number}", "inputs": self._example(number).inputs})
        partition = number % self._partitions
        key = (header_names.ROUTING_KEY, f"user-{self._users[number]}".encode())
        metadata = await producer.send_and_wait(self._request_topic, body, partition=partition, headers=[key])
        self._sent.add((partition, metadata.offset))

    def _example(self, number: int) -> Example:
        return self._examples[number % len(self._examples)]

    async def _read(self, ready: asyncio.Event) -> None:
        consumer = clients.consumer(**self._client_options, group_id=None, auto_offset_reset="latest")
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
                moved, self._moved = self._moved, asyncio.Event()
                moved.set()
        finally:
            await consumer.stop()

    def _take(self, record: "ConsumerRecord[Any, Any]") -> None:
        headers = self._rules[record.partition].take(record.headers)
        if headers is None:
            return
        offset = headers.request_offset
        self._answered.add((record.partition, offset))
        if not headers.ok:
            self.errors.append(_errors.decode(record.value).error)
            return
        answer = _answers.decode(record.value)
        number = int((answer.id or "").removeprefix("demo-"))
        scores = answer.outputs[0].data
        seen = Seen(
            partition=record.partition,
            request_offset=offset,
            user=self._users[number],
            model_version=answer.model_version,
            label=max(range(len(scores)), key=scores.__getitem__),
            true_label=self._example(number).label,
            registry_offset=-1 if answer.parameters.registry_offset is None else answer.parameters.registry_offset,
            appended_ms=record.timestamp,
            stands_in=answer.parameters.fallback_for is not None,
        )
        self.tell(seen)

    def tell(self, seen: Seen) -> None:
        """Take in a valid answer, and tell those who listen."""
        self.seen.append(seen)
        first = self._first_ms.get(seen.registry_offset, seen.appended_ms)
        self._first_ms[seen.registry_offset] = min(first, seen.appended_ms)
        self._chosen_by[seen.partition] = max(self._chosen_by.get(seen.partition, -1), seen.registry_offset)
        for listener in tuple(self._listeners):
            listener(seen)
