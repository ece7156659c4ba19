"""Answers found again in their topics: by the place of their request, or by its id.

There is one answer to each request, in order, and now and then a void one: so the answer to the request at offset r is
at offset r of the partition of the same number, or somewhat after it. Reading begins there; only where that is far off,
the place is searched by halves. What was read is kept, because feedback about neighbours comes together.

By id there is no such order. The first id asked for makes the newest answers of that model be read, and from then on
all new ones: give the place where you can.

Others may write to the topic too. What carries no tag of a worker, or cannot be read, is passed over and counted.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any, Self

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from hotswap_events.inference.answers import AnswerHeaders, AnswerRule, AnswerTags, ModelTags
from hotswap_events.topics import Topics
from hotswap_stream.adapters.kafka.observations.found_answers import Record, found_answer
from hotswap_stream.application.observations.feedback import AnswerExpiredError, FeedbackUnavailableError, FoundAnswer
from hotswap_stream.errors import LogUnavailableError
from hotswap_stream.kafka import clients
from hotswap_stream.kafka.consumer_end import end_consumer
from hotswap_stream.kafka.reading import read_to
from hotswap_stream.kafka.topic_partitions import partition_numbers
from hotswap_stream.kafka.uncancelled import to_the_end

_log = structlog.get_logger(__name__)

KEPT_MAX = 10_000
"""Answers in memory, found by place."""
KEPT_WEIGHT_MAX = 1_000_000
"""Numbers that they hold; an item that they rank weighs as much as `ITEM_WEIGHT` of them. More than what one chunk of
answers holds, so that the one asked for is not among those that make room."""
ITEM_WEIGHT = 4
IDS_MAX = 200_000
"""Answers in memory per model, found by id."""
IDS_READ_BACK = 50_000
"""Answers per partition that are read when the first id is asked for."""
CHUNK_RECORDS = 500
PROBES_MAX = 64
FETCH_MS = 500


class KafkaAnswerLookup:
    """An AnswerLookup. It connects with the first question; `close` it, or use it with `async with`.

    One question at a time is asked, others wait. `tags` tell answers from other records.
    """

    def __init__(self, client_options: Mapping[str, Any], topics: Topics, *, tags: AnswerTags | None = None) -> None:
        self.passed_over = 0
        """Records that are no answers of workers, or that cannot be read."""
        self._client_options = dict(client_options)
        self._topics = topics
        self._tags = AnswerTags(topics.prefix) if tags is None else tags
        self._asking = asyncio.Lock()
        self._consumer: AIOKafkaConsumer | None = None
        self._kept: OrderedDict[tuple[str, int, int], FoundAnswer] = OrderedDict()
        self._kept_weight = 0
        self._ids: dict[str, _Ids] = {}
        self._partitions: dict[str, frozenset[int]] = {}

    async def by_place(self, model_name: str, request_partition: int, request_offset: int) -> FoundAnswer | None:
        """Return the answer to the request at this place; None while there is none.

        Raises:
            AnswerExpiredError: It is no longer in its topic.
            FeedbackUnavailableError: The topic cannot be read.
        """
        key = (model_name, request_partition, request_offset)
        async with self._asking:
            if key not in self._kept:
                try:
                    await self._search(*key)
                except KafkaError as error:
                    raise FeedbackUnavailableError(f"answers cannot be read: {error!r}") from error
            return self._kept.get(key)

    async def by_id(self, model_name: str, request_id: str) -> FoundAnswer | None:
        """Return the answer to the newest request with this id, among those read. FeedbackUnavailableError."""
        async with self._asking:
            ids = self._ids.get(model_name)
            if ids is None:
                ids = self._ids[model_name] = _Ids(self._tags.of(model_name), self._pass_over)
            if request_id not in ids.found:
                try:
                    await self._read_ids(model_name, ids)
                except KafkaError as error:
                    raise FeedbackUnavailableError(f"answers cannot be read: {error!r}") from error
            return ids.found.get(request_id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Disconnect."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await to_the_end(end_consumer(consumer))

    async def _search(self, model_name: str, number: int, request_offset: int) -> None:
        consumer = await self._connected()
        partition = TopicPartition(self._topics.responses(model_name), number)
        if number not in await self._partitions_of(partition.topic):
            self._partitions.pop(partition.topic, None)  # it may have grown
            if number not in await self._partitions_of(partition.topic):
                return
        tags = self._tags.of(model_name)
        low = begin = (await consumer.beginning_offsets([partition]))[partition]
        high = end = (await consumer.end_offsets([partition]))[partition]
        position = max(low, min(request_offset, high - 1))
        for _probe in range(PROBES_MAX):
            if low >= high:
                break
            records, next_position = await self._chunk(consumer, partition, position, end)
            if not records:
                # From here to the end there is none, because a transaction left its marker or took its records back.
                high = position
                position = (low + high) // 2
                continue
            answers = self._valid(records, AnswerRule(number, tags))
            if request_offset in answers:
                for offset, found in answers.items():
                    # Those before it may be void, which cannot be seen from here.
                    if offset >= request_offset:
                        self._keep(model_name, number, *found)
                return
            highest = max(answers, default=None)
            if highest is None:
                # Nothing but records of others: only what comes after them says more.
                if next_position < high:
                    position = next_position
                else:
                    high = position
                    position = (low + high) // 2
            elif highest < request_offset:
                low = next_position
                # At least as far after it as there are requests between.
                position = min(low + request_offset - highest - 1, high - 1)
            else:
                high = position
                position = (low + high) // 2
        if high < end and begin == low > 0:
            raise AnswerExpiredError(f"the answer to request {number}:{request_offset} is no longer in its topic")

    async def _chunk(
        self, consumer: AIOKafkaConsumer, partition: TopicPartition, position: int, end: int
    ) -> tuple[list[Record], int]:
        """Return some records from this offset on, and where to go on after them; none where the end comes first."""
        # Never without the place at once: a consumer that is looking for its own place may not stop.
        consumer.assign([partition])
        consumer.seek(partition, position)
        pages = read_to(consumer, {partition: end}, poll_ms=FETCH_MS, records_max=CHUNK_RECORDS)
        try:
            async with aclosing(pages):
                async for _partition, records in pages:
                    return records, await consumer.position(partition)
        except LogUnavailableError as error:
            raise FeedbackUnavailableError(f"answers cannot be read: {error}") from error
        return [], end

    def _valid(self, records: list[Record], rule: AnswerRule) -> dict[int, tuple[Record, AnswerHeaders]]:
        """Return request offset → answer, without what does not count."""
        found: dict[int, tuple[Record, AnswerHeaders]] = {}
        for record in records:
            headers = rule.take(record.headers)
            if headers is not None:
                found[headers.request_offset] = record, headers
        self._pass_over(rule.untagged + rule.no_answers, records)
        return found

    def _pass_over(self, count: int, records: list[Record]) -> None:
        if count and not self.passed_over:
            _log.warning(
                "answers_of_others_ignored",
                topic=records[0].topic,
                partition=records[0].partition,
                near_offset=records[0].offset,
                meaning="they carry no tag by HOTSWAP_ANSWERS_KEY, or cannot be read",
            )
        self.passed_over += count

    def _keep(self, model_name: str, number: int, record: Record, headers: AnswerHeaders) -> None:
        key = (model_name, number, headers.request_offset)
        if key not in self._kept:
            answer = found_answer(record, headers)
            if answer is None:
                self._pass_over(1, [record])
                return
            self._kept[key] = answer
            self._kept_weight += _weight(answer)
        while len(self._kept) > KEPT_MAX or self._kept_weight > KEPT_WEIGHT_MAX:
            _key, dropped = self._kept.popitem(last=False)
            self._kept_weight -= _weight(dropped)

    async def _read_ids(self, model_name: str, ids: "_Ids") -> None:
        consumer = await self._connected()
        topic = self._topics.responses(model_name)
        partitions = [TopicPartition(topic, number) for number in sorted(await self._partitions_of(topic))]
        if not partitions:
            return
        begins = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        for partition in partitions:
            newest = max(begins[partition], ends[partition] - IDS_READ_BACK)
            position = max(ids.positions.get(partition.partition, newest), begins[partition])
            while position < ends[partition]:
                records, position = await self._chunk(consumer, partition, position, ends[partition])
                ids.take(partition.partition, records)
            ids.positions[partition.partition] = position

    async def _partitions_of(self, topic: str) -> frozenset[int]:
        """Return the topic's partitions; none if there is no such topic, and then ask again the next time."""
        if topic not in self._partitions:
            found = await partition_numbers(self._client_options, topic)
            if not found:
                return found
            self._partitions[topic] = found
        return self._partitions[topic]

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = clients.consumer(**self._client_options, group_id=None, auto_offset_reset="earliest")
            try:
                await to_the_end(consumer.start())
            except KafkaError:
                await to_the_end(end_consumer(consumer))
                raise
            self._consumer = consumer
        return self._consumer


def _weight(answer: FoundAnswer) -> int:
    return len(answer.numbers) + ITEM_WEIGHT * (0 if answer.ranking is None else len(answer.ranking.places))


class _Ids:
    """Answers of one model by the id of their request, the newest `IDS_MAX`."""

    def __init__(self, tags: ModelTags, pass_over: Callable[[int, list[Record]], None]) -> None:
        self.found: dict[str, FoundAnswer] = {}
        self.positions: dict[int, int] = {}
        self._tags = tags
        self._pass_over = pass_over
        self._rules: dict[int, AnswerRule] = {}

    def take(self, number: int, records: list[Record]) -> None:
        """Take in the next records of a partition."""
        rule = self._rules.setdefault(number, AnswerRule(number, self._tags))
        before, unreadable = rule.untagged + rule.no_answers, 0
        for record in records:
            headers = rule.take(record.headers)
            if headers is None:
                continue
            answer = found_answer(record, headers, contents=False)
            if answer is None:
                unreadable += 1
            elif answer.request_id is not None:
                self.found.pop(answer.request_id, None)
                self.found[answer.request_id] = answer
                if len(self.found) > IDS_MAX:
                    del self.found[next(iter(self.found))]
        self._pass_over(rule.untagged + rule.no_answers - before + unreadable, records)
