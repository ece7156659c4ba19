"""Observations and feedback about one model, read from their topics between two times."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from hotswap_events.inference.observation import Feedback, Observation
from hotswap_events.nesting import nests_too_deep
from hotswap_events.topics import Topics
from hotswap_stream.application.observations.history import RECORDS_MAX, Recorded, TooManyRecordsError
from hotswap_stream.errors import LogUnavailableError
from hotswap_stream.kafka.reading import Record, read_to
from hotswap_stream.kafka.sessions import open_reader

POLL_MS = 500
FETCH_RECORDS_MAX = 500

_observations = msgspec.json.Decoder(Observation)
_feedback = msgspec.json.Decoder(Feedback)


class KafkaRecordedHistory:
    """A RecordedHistory. Each reading has a client of its own."""

    def __init__(self, client_options: Mapping[str, Any], topics: Topics) -> None:
        self._client_options = dict(client_options)
        self._topics = topics

    async def read(self, model_name: str, since: datetime, until: datetime | None) -> AsyncIterator[Recorded]:
        """See RecordedHistory. TooManyRecordsError, LogUnavailableError."""
        topics = (self._topics.observations, self._topics.feedback)
        try:
            async with open_reader(self._client_options, *topics) as consumer:
                parts = [part for topic in topics if (part := _partition(consumer, topic, model_name)) is not None]
                consumer.unsubscribe()
                async for recorded in _merged(consumer, parts, model_name, since, until):
                    yield recorded
        except KafkaError as error:
            raise LogUnavailableError(f"the observations of {model_name!r} cannot be read: {error!r}") from error


def _partition(consumer: AIOKafkaConsumer, topic: str, model_name: str) -> TopicPartition | None:
    numbers = sorted(consumer.partitions_for_topic(topic) or ())
    return TopicPartition(topic, DefaultPartitioner()(model_name.encode(), numbers, numbers)) if numbers else None


async def _merged(
    consumer: AIOKafkaConsumer,
    parts: list[TopicPartition],
    model_name: str,
    since: datetime,
    until: datetime | None,
) -> AsyncIterator[Recorded]:
    """Yield records by time over all partitions: each is read on when what it gave is used up."""
    if not parts:
        return
    consumer.assign(parts)
    # Kafka knows no time before 1970: asked for one, it is asked again and again.
    since_ms = max(0, int(since.timestamp() * 1000))
    begins = await consumer.offsets_for_times(dict.fromkeys(parts, since_ms))
    ends = await consumer.end_offsets(parts)
    heads: dict[TopicPartition, list[Record]] = {}
    pages: dict[TopicPartition, AsyncIterator[tuple[TopicPartition, list[Record]]]] = {}
    for part in parts:
        begin = begins.get(part)
        if begin is not None and begin.offset < ends[part]:
            consumer.seek(part, begin.offset)
            heads[part] = []
            pages[part] = read_to(consumer, {part: ends[part]}, poll_ms=POLL_MS, records_max=FETCH_RECORDS_MAX)
    read = 0
    while heads:
        for part in list(heads):
            if not heads[part]:
                heads[part] = await _next_page(pages[part])
                if not heads[part]:
                    del heads[part]
        if not heads:
            return
        part = min(heads, key=lambda each: heads[each][0].timestamp)
        record = heads[part].pop(0)
        at = datetime.fromtimestamp(record.timestamp / 1000, tz=UTC)
        if until is not None and at > until:
            del heads[part]
            continue
        if record.key != model_name.encode():
            continue
        read += 1
        if read > RECORDS_MAX:
            raise TooManyRecordsError(f"more than {RECORDS_MAX} records of {model_name!r}: ask about a shorter time")
        value = _decoded(record, observation=part is parts[0])
        if value is not None:
            yield Recorded(at, value)


async def _next_page(pages: AsyncIterator[tuple[TopicPartition, list[Record]]]) -> list[Record]:
    """Return the next page; empty at the end."""
    async for _part, records in pages:
        return records
    return []


def _decoded(record: Record, *, observation: bool) -> Observation | Feedback | None:
    value = record.value
    if value is None or nests_too_deep(value):
        return None
    try:
        return _observations.decode(value) if observation else _feedback.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
