"""Feedback into its topic."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Self

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from hotswap_events.inference.observation import Feedback
from hotswap_events.topics import Topics
from hotswap_stream.application.observations.feedback import (
    FEEDBACK_AT_ONCE_MAX,
    FeedbackRefusedError,
    FeedbackUnavailableError,
)
from hotswap_stream.kafka import clients
from hotswap_stream.kafka.producer_stop import stop_producer
from hotswap_stream.kafka.topic_partitions import partition_numbers
from hotswap_stream.kafka.uncancelled import to_the_end

FLUSH_SECONDS_MAX = 1.0
"""How long feedback on its way may hold up the end; without a broker it would for ever."""

MODELS_KNOWN_MAX = 10_000
"""Models whose partitions are remembered."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Feedback)


class KafkaFeedbackLog:
    """A FeedbackLog. It connects with the first feedback; `close` it, or use it with `async with`."""

    def __init__(self, client_options: Mapping[str, Any], topics: Topics) -> None:
        self._client_options = dict(client_options)
        self._topics = topics
        self._topic = topics.feedback
        self._partitions: dict[str, frozenset[int]] = {}
        self._connecting = asyncio.Lock()
        self._producer: AIOKafkaProducer | None = None

    async def append(self, records: Sequence[Feedback]) -> None:
        """Return when all of it is written.

        Raises:
            FeedbackRefusedError: It names a partition that the model's requests do not have; nothing is written.
            FeedbackUnavailableError: Some of it may be written.
            ValueError: There are too many records, or one that nobody could read.
        """
        if len(records) > FEEDBACK_AT_ONCE_MAX:
            raise ValueError(f"{len(records)} records of feedback; at most {FEEDBACK_AT_ONCE_MAX} at once are allowed")
        values = [_checked(number, record) for number, record in enumerate(records)]
        try:
            for number, record in enumerate(records):
                await self._check_place(number, record)
            producer = await self._connected()
            sent = [
                await producer.send(self._topic, value, key=record.model_name.encode())
                for record, value in zip(records, values, strict=True)
            ]
            for acknowledged in sent:
                await acknowledged
        except KafkaError as error:
            raise FeedbackUnavailableError(f"feedback cannot be written: {error!r}") from error

    async def _check_place(self, number: int, record: Feedback) -> None:
        """Raise FeedbackRefusedError for a partition that is not there. Partitions may be added: ask again then."""
        name, partition = record.model_name, record.request_partition
        if partition is None or partition in self._partitions.get(name, ()):
            return
        topic = self._topics.requests(name)
        known = await partition_numbers(self._client_options, topic)
        if len(self._partitions) >= MODELS_KNOWN_MAX:
            self._partitions.clear()
        self._partitions[name] = known
        if partition not in known:
            there = f"it has 0 to {max(known)}" if known else "there is no such topic"
            raise FeedbackRefusedError(
                f"feedback[{number}] is about partition {partition} of {topic!r}, and {there}; an answer's "
                "request_partition and request_offset say where its request is"
            )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await to_the_end(stop_producer(producer, flush_seconds_max=FLUSH_SECONDS_MAX))

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._producer is None:
                producer = clients.producer(**self._client_options, acks="all", linger_ms=1)
                try:
                    await to_the_end(producer.start())
                except KafkaError:
                    await to_the_end(producer.stop())
                    raise
                self._producer = producer
            return self._producer


def _checked(number: int, record: Feedback) -> bytes:
    """Return the record as it is written. What was built in code was never held against the bounds of its fields."""
    try:
        value = _encoder.encode(record)
        _decoder.decode(value)
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        raise ValueError(f"feedback[{number}]: {error}") from error
    return value
