"""How many requests wait in the models' topics: by what the workers committed, and by the answers where that matters.

Workers commit once a second, so what they committed trails what they answered by up to a second's answers. That is
enough to see that few requests wait. Where more than the threshold seem to, the last answers of each partition are
read: they name the request that they answer. So an answered request never makes a figure exceed its threshold. Ends
are read before places: requests that come meanwhile do not count.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from hotswap_events.inference.answers import AnswerRule, AnswerTags, ModelTags
from hotswap_events.topics import Topics
from hotswap_stream.application.inference.lag import WaitingRequests
from hotswap_stream.application.inference.standstill import STANDSTILL_SECONDS_MAX, Standstill
from hotswap_stream.errors import LogUnavailableError
from hotswap_stream.kafka import clients
from hotswap_stream.kafka.consumer_end import end_consumer
from hotswap_stream.kafka.reading import first_records, read_to
from hotswap_stream.kafka.topic_partitions import described_partitions
from hotswap_stream.kafka.uncancelled import to_the_end

REQUEST_TIMEOUT_MS = 10_000
PARTITIONS_SECONDS_MAX = 60.0
"""How long a topic is taken to have as many partitions as before."""
GROUPS_AT_ONCE_MAX = 16
PARTITIONS_AT_ONCE_MAX = 2_000
TAIL_RECORDS = 20
"""Answers of a partition that are looked at. A zombie's void answers, and records of others, may fill them: then the
commits count."""
TAIL_BYTES_MAX = 1024**2
FIRST_BYTES_MAX = 64 * 1024
"""Bytes read of a partition, to see whether a request waits in it."""
STANDSTILL_SURE_SECONDS = STANDSTILL_SECONDS_MAX / 2
"""What seems to have stood still for longer is looked at in the answers."""
EMPTY_POLLS_MAX = 4
POLL_MS = 500

_Offsets = dict[TopicPartition, int]


class KafkaRequestLag:
    """A RequestLag. Connects with the first question; `close` it, or use it with `async with`.

    It takes one question at a time; others wait. `tags` tell which answers count.
    """

    def __init__(self, client_options: Mapping[str, Any], topics: Topics, *, tags: AnswerTags | None = None) -> None:
        self._client_options = {**client_options, "request_timeout_ms": REQUEST_TIMEOUT_MS}
        self._topics = topics
        self._tags = AnswerTags(topics.prefix) if tags is None else tags
        self._asking = asyncio.Lock()
        self._clients: tuple[AIOKafkaAdminClient, AIOKafkaConsumer] | None = None
        self._partitions: dict[str, int] = {}
        self._partitions_at_s = 0.0
        self._coordinators: dict[str, int] = {}
        self._standstill: dict[str, Standstill] = {}
        """By model, of those in which requests waited at the last question."""
        self._answered_to: dict[str, _Offsets] = {}
        """By model, of the same ones: what was found to be answered then."""
        self._settled: dict[str, list[int]] = {}
        """Model → ends of its partitions at which nothing waited: what was answered stays so."""

    async def waiting(self, models: Mapping[str, float]) -> dict[str, WaitingRequests]:
        """See RequestLag. LogUnavailableError."""
        if not models:
            return {}
        async with self._asking:
            try:
                return await self._waiting(models)
            except (KafkaError, OSError, TimeoutError, LogUnavailableError) as error:
                await self._disconnect()
                raise LogUnavailableError(f"what waits for the models cannot be read: {error!r}") from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Disconnect."""
        async with self._asking:
            await self._disconnect()

    async def _waiting(self, models: Mapping[str, float]) -> dict[str, WaitingRequests]:
        admin, consumer = await self._connected()
        topics = {name: self._topics.requests(name) for name in models}
        await self._know_partitions(admin, [*topics.values(), *map(self._topics.responses, models)])
        known = {
            name: _parts(topic, self._partitions[topic]) for name, topic in topics.items() if topic in self._partitions
        }
        _know(consumer, [part for parts in known.values() for part in parts])
        ends = await _in_portions(consumer.end_offsets, known.values())
        busy = {
            name: parts for name, parts in known.items() if self._settled.get(name) != [ends[part] for part in parts]
        }
        begins = await _in_portions(consumer.beginning_offsets, busy.values())
        limit = asyncio.Semaphore(GROUPS_AT_ONCE_MAX)
        committed = await asyncio.gather(*(self._committed(admin, limit, name, parts) for name, parts in busy.items()))
        found = {name: WaitingRequests(requests=0, partitions=len(parts)) for name, parts in known.items()}
        now_s = asyncio.get_running_loop().time()
        for (name, parts), places in zip(busy.items(), committed, strict=True):
            before = self._answered_to.get(name, {})
            # What was answered stays so, unless the topic was made anew.
            places = {part: max(places.get(part, 0), _within(before.get(part, 0), ends[part])) for part in parts}
            lags = _lags(parts, begins, ends, places)
            watch = self._standstill.setdefault(name, Standstill())
            _look(watch, parts, begins, ends, places, now_s)
            if sum(lags) > models[name] or _longest(watch, now_s) > STANDSTILL_SURE_SECONDS:
                answered = await self._answered(name, len(parts))
                places = {part: max(place, answered.get(part.partition, 0)) for part, place in places.items()}
                places |= await self._first_waiting(parts, begins, ends, places)
                _look(watch, parts, begins, ends, places, now_s)
                lags = _lags(parts, begins, ends, places)
            self._answered_to[name] = places
            found[name] = WaitingRequests(
                requests=sum(lags),
                partitions=len(lags),
                largest_partition=max(lags),
                standstill_seconds=_longest(watch, now_s),
            )
        self._standstill = {name: self._standstill[name] for name in busy}
        self._answered_to = {name: self._answered_to[name] for name in busy}
        self._settled = {
            name: [ends[part] for part in parts] for name, parts in known.items() if not found[name].requests
        }
        return found

    async def _committed(
        self, admin: AIOKafkaAdminClient, limit: asyncio.Semaphore, model_name: str, parts: Sequence[TopicPartition]
    ) -> _Offsets:
        group = self._topics.workers_group(model_name)
        async with limit:
            if group not in self._coordinators:
                self._coordinators[group] = await admin.find_coordinator(group)
            found = await admin.list_consumer_group_offsets(group, self._coordinators[group], list(parts))
        return {part: offset.offset for part, offset in found.items()}

    async def _answered(self, model_name: str, partitions: int) -> dict[int, int]:
        """Return per partition the offset after the last request answered; partitions without answers are left out."""
        consumer = clients.consumer(
            **self._client_options,
            group_id=None,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=TAIL_BYTES_MAX,
        )
        try:
            await to_the_end(consumer.start())
            topic = self._topics.responses(model_name)
            parts = _parts(topic, min(partitions, self._partitions.get(topic, 0)))
            if not parts:
                return {}
            ends, begins = await consumer.end_offsets(parts), await consumer.beginning_offsets(parts)
            starts = {part: max(begins[part], ends[part] - TAIL_RECORDS) for part in parts if begins[part] < ends[part]}
            # Never without a place at once: a consumer that is looking for its own place may not stop.
            consumer.assign(list(starts))
            for part, start in starts.items():
                consumer.seek(part, start)
            return await _highest_answered(consumer, {part: ends[part] for part in starts}, self._tags.of(model_name))
        finally:
            await to_the_end(end_consumer(consumer))

    async def _first_waiting(
        self, parts: Sequence[TopicPartition], begins: _Offsets, ends: _Offsets, places: _Offsets
    ) -> _Offsets:
        """Return places moved to the next request, or to the end where what is left holds none.

        A transaction leaves offsets without records, to which no answer will ever come.
        """
        starts = {part: max(begins[part], places.get(part, 0)) for part in parts}
        starts = {part: start for part, start in starts.items() if start < ends[part]}
        consumer = clients.consumer(
            **self._client_options,
            group_id=None,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=FIRST_BYTES_MAX,
        )
        try:
            await to_the_end(consumer.start())
            found = await first_records(consumer, starts, ends)
            return {part: found.get(part, ends[part]) for part in starts}
        finally:
            await to_the_end(end_consumer(consumer))

    async def _know_partitions(self, admin: AIOKafkaAdminClient, topics: Sequence[str]) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._partitions_at_s < PARTITIONS_SECONDS_MAX and all(
            topic in self._partitions for topic in topics
        ):
            return
        described = await described_partitions(admin, topics)
        self._partitions = {topic: len(partitions) for topic, partitions in described.items()}
        self._partitions_at_s = now_s

    async def _connected(self) -> tuple[AIOKafkaAdminClient, AIOKafkaConsumer]:
        if self._clients is None:
            admin = clients.admin_client(**self._client_options)
            consumer = clients.consumer(**self._client_options, group_id=None, auto_offset_reset="earliest")
            self._clients = admin, consumer
            await to_the_end(admin.start())
            await to_the_end(consumer.start())
        return self._clients

    async def _disconnect(self) -> None:
        clients, self._clients = self._clients, None
        self._coordinators.clear()
        self._partitions.clear()
        self._settled.clear()
        if clients is not None:
            admin, consumer = clients
            await to_the_end(end_consumer(consumer))
            await to_the_end(admin.close())


def _know(consumer: AIOKafkaConsumer, parts: list[TopicPartition]) -> None:
    """Let the client learn of all topics at once: of those it was not told of, it asks for one after the other."""
    if set(parts) != consumer.assignment():
        consumer.assign(parts)
        for part in parts:
            consumer.seek(part, 0)
        consumer.pause(*parts)  # nothing is fetched


async def _in_portions(
    ask: Callable[[list[TopicPartition]], Awaitable[_Offsets]], parts: Iterable[Iterable[TopicPartition]]
) -> _Offsets:
    """Return the offsets of all the partitions, in questions of limited size."""
    every = [part for some in parts for part in some]
    found: _Offsets = {}
    for start in range(0, len(every), PARTITIONS_AT_ONCE_MAX):
        found |= await ask(every[start : start + PARTITIONS_AT_ONCE_MAX])
    return found


def _parts(topic: str, count: int) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(count)]


def _lags(parts: Sequence[TopicPartition], begins: _Offsets, ends: _Offsets, places: _Offsets) -> list[int]:
    """Return the lag per partition; nothing below 0, in case a topic was made anew."""
    return [max(0, ends[part] - max(begins[part], places.get(part, 0))) for part in parts]


def _within(place: int, end: int) -> int:
    return place if place <= end else 0


def _look(
    watch: Standstill,
    parts: Sequence[TopicPartition],
    begins: _Offsets,
    ends: _Offsets,
    places: _Offsets,
    now_s: float,
) -> None:
    watch.look(
        {part.partition: max(begins[part], places.get(part, 0)) for part in parts},
        {part.partition: ends[part] for part in parts},
        now_s,
    )


def _longest(watch: Standstill, now_s: float) -> float:
    return max(watch.standing(now_s).values(), default=0.0)


async def _highest_answered(consumer: AIOKafkaConsumer, ends: _Offsets, tags: ModelTags) -> dict[int, int]:
    rules = {part: AnswerRule(part.partition, tags) for part in ends}
    async for part, records in read_to(consumer, ends, poll_ms=POLL_MS):
        for record in records:
            rules[part].take(record.headers)
    return {part.partition: rule.highest + 1 for part, rule in rules.items() if rule.highest >= 0}
