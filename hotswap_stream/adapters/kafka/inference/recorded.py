"""A request and its answer, found in their topics by the request's partition and offset."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from msgspec import Struct

from hotswap_events.inference.answers import AnswerTags, ModelTags, read_answer
from hotswap_events.topics import Topics
from hotswap_stream.application.audit.reproduce import ExchangeNotFoundError
from hotswap_stream.errors import LogUnavailableError
from hotswap_stream.kafka import clients
from hotswap_stream.kafka.reading import read_to

POLL_MS = 500


class Exchange(Struct, frozen=True):
    """One request and the answer that counts."""

    request: "ConsumerRecord[Any, Any]"
    answer: "ConsumerRecord[Any, Any]"


async def read_exchange(
    client_options: Mapping[str, Any],
    topics: Topics,
    model_name: str,
    *,
    partition: int,
    offset: int,
    tags: AnswerTags,
) -> Exchange:
    """Return the request at this place and the first answer of a worker that names it.

    Raises:
        ExchangeNotFoundError: One of them is not there, or the topics cannot be read.
    """
    request_topic, response_topic = topics.requests(model_name), topics.responses(model_name)
    requests, responses = TopicPartition(request_topic, partition), TopicPartition(response_topic, partition)
    try:
        async with _consumer(client_options, request_topic) as consumer:
            known = consumer.partitions_for_topic(request_topic) or set()
            if partition not in known:
                raise ExchangeNotFoundError(f"{request_topic} has no partition {partition}; it has {sorted(known)}")
            # Not before: a consumer that is subscribed and assigned to nothing does not stop
            consumer.unsubscribe()
            request = await _request(consumer, requests, offset)
            return Exchange(request, await _answer(consumer, responses, offset, tags.of(model_name)))
    except (KafkaError, LogUnavailableError) as error:
        raise ExchangeNotFoundError(f"{request_topic} and {response_topic} cannot be read: {error!r}") from error


@asynccontextmanager
async def _consumer(client_options: Mapping[str, Any], topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    # Named at the start, so that the client knows the topic's partitions
    consumer = clients.consumer(topic, **client_options, group_id=None, auto_offset_reset="earliest")
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def _ends(consumer: AIOKafkaConsumer, partition: TopicPartition) -> tuple[int, int]:
    begin = (await consumer.beginning_offsets([partition]))[partition]
    return begin, (await consumer.end_offsets([partition]))[partition]


async def _request(consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int) -> "ConsumerRecord[Any, Any]":
    begin, end = await _ends(consumer, partition)
    if not begin <= offset < end:
        held = f"it holds {begin} to {end - 1}" if begin < end else "it is empty"
        raise ExchangeNotFoundError(
            f"{partition.topic} has no request at offset {offset} of partition {partition.partition}; {held}"
        )
    async for record in _read(consumer, partition, offset, end):
        if record.offset == offset:
            return record
        break
    raise ExchangeNotFoundError(f"the request at offset {offset} of {partition.topic} was deleted")


async def _answer(
    consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int, tags: ModelTags
) -> "ConsumerRecord[Any, Any]":
    begin, end = await _ends(consumer, partition)
    untagged = 0
    # Every request before this one has an answer before its answer, so it cannot stand further in front; unless the
    # topic was made anew, which one look at the first record there shows.
    for start in (max(begin, min(offset, end)), begin):
        first = True
        async for record in _read(consumer, partition, start, end):
            answer = read_answer(record.headers)
            if answer is None:
                continue
            if not tags.holds(partition.partition, answer.request_offset, answer.tag):
                untagged += answer.request_offset == offset
                continue
            if first and start != begin and answer.request_offset > offset:
                break
            first = False
            if answer.request_offset == offset:
                return record
        if start == begin:
            break
    raise ExchangeNotFoundError(
        f"{partition.topic} holds no answer to the request at offset {offset} of partition {partition.partition}"
        + (
            f"; {untagged} records that name it carry no tag by HOTSWAP_ANSWERS_KEY: an older release wrote them, or "
            "workers with another key, or nobody who should"
            if untagged
            else ""
        )
    )


async def _read(
    consumer: AIOKafkaConsumer, partition: TopicPartition, start: int, end: int
) -> AsyncIterator["ConsumerRecord[Any, Any]"]:
    consumer.assign([partition])
    consumer.seek(partition, start)
    async for _partition, records in read_to(consumer, {partition: end}, poll_ms=POLL_MS):
        for record in records:
            yield record
