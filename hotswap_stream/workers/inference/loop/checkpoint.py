"""Answers are the checkpoint: where to go on in a partition, read from the answers that are there.

The highest request offset in the tail of the answers, or the group's committed offset, whichever is larger: a zombie
may have filled the tail with low offsets (all void), and the commit may lag behind the answers. Only answers that carry
the workers' tag say anything: else whoever may write to the topic could have requests passed over.
"""

import threading
from collections.abc import Collection, Mapping
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from hotswap_events.answers import AnswerRule, ModelTags
from hotswap_stream.kafka.librdkafka import ASK_SECONDS_MAX, READ_SECONDS_MAX, tail_consumer, watermarks
from hotswap_stream.kafka.unreadable_batches import ReadOn
from hotswap_stream.workers.inference.requests.records import records_of
from hotswap_stream.workers.inference.waiting import Wait

_log = structlog.get_logger(__name__)

TAIL_RECORDS = 2_000
"""Answers looked at per partition."""
RETRY_SECONDS_MAX = 30.0
RETRY_SECONDS = 0.3
_READ_RECORDS = 1_000


def last_answered(
    options: Mapping[str, Any],
    worker: str,
    topic: str,
    partitions: Collection[int],
    tags: ModelTags,
    read_on: ReadOn,
    wait: Wait,
) -> dict[int, int]:
    """Partition → highest request offset answered in its tail; partitions without answers are left out.

    Blocking. KafkaException if the tail cannot be read, or when `wait` is over.
    """
    if not partitions:
        return {}
    consumer = tail_consumer(options, worker)
    try:
        starts = []
        for partition in partitions:
            begin, end = watermarks(consumer, TopicPartition(topic, partition))
            if begin < end:
                starts.append(TopicPartition(topic, partition, max(begin, end - TAIL_RECORDS)))
        return _read_to_ends(consumer, topic, starts, tags, read_on, wait)
    finally:
        consumer.close()


def _read_to_ends(
    consumer: Consumer, topic: str, starts: list[TopicPartition], tags: ModelTags, read_on: ReadOn, wait: Wait
) -> dict[int, int]:
    rules = {partition.partition: AnswerRule(partition.partition, tags) for partition in starts}
    waiting = {partition.partition for partition in starts}
    consumer.assign(starts)
    idle = 0
    while waiting:
        messages = consumer.consume(_READ_RECORDS, 1.0)
        idle = 0 if messages else idle + 1
        if idle > READ_SECONDS_MAX:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the tail of the answers cannot be read"))
        if not messages:
            wait.check()
        for message in messages:
            error = message.error()
            partition = message.partition()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:  # the client's public name for it
                    waiting.discard(partition)
                elif not read_on(consumer, message) and not error.retriable():
                    raise KafkaException(error)
                continue
            (record,) = records_of(topic, [message])
            rules[record.partition].take(record.headers)
    foreign = {number: rule.untagged + rule.no_answers for number, rule in rules.items()}
    if any(foreign.values()):
        _log.warning(
            "answers_of_others_ignored",
            topic=topic,
            records={number: count for number, count in foreign.items() if count},
            meaning="they carry no tag by HOTSWAP_ANSWERS_KEY: of an older release, by another key, or forged",
        )
    return {number: rule.highest for number, rule in rules.items() if rule.highest >= 0}


def resume_offset(*, committed: int | None, last_answered: int | None, begin: int, end: int) -> int:
    """The first request without an answer. Kept within the topic's `begin` and `end`, in case it was made anew."""
    wanted = max(0 if committed is None else committed, 0 if last_answered is None else last_answered + 1)
    if wanted > end:
        _log.warning("checkpoint_beyond_end", wanted=wanted, end=end)
    return min(max(wanted, begin), end)


def resume_positions(
    options: Mapping[str, Any],
    worker: str,
    consumer: Consumer,
    *,
    request_topic: str,
    response_topic: str,
    partitions: Collection[int],
    tags: ModelTags,
    read_on: ReadOn,
    stopping: threading.Event,
) -> dict[int, int]:
    """Partition → the first request without an answer. Blocking; what a moving leader makes fail is tried again for a
    while, because giving up sends the whole group through another rebalance. KafkaException."""
    wait = Wait(stopping, "the places to go on from cannot be read", seconds_max=RETRY_SECONDS_MAX)
    while True:
        try:
            return _resume_positions(
                options, worker, consumer, request_topic, response_topic, partitions, tags, read_on, wait
            )
        except KafkaException as error:
            if stopping.is_set():
                raise
            wait.check()
            _log.warning("checkpoint_read_retried", topic=response_topic, error=str(error))
            wait.pause(RETRY_SECONDS)


def _resume_positions(
    options: Mapping[str, Any],
    worker: str,
    consumer: Consumer,
    request_topic: str,
    response_topic: str,
    partitions: Collection[int],
    tags: ModelTags,
    read_on: ReadOn,
    wait: Wait,
) -> dict[int, int]:
    answered = last_answered(options, worker, response_topic, partitions, tags, read_on, wait)
    wanted = [TopicPartition(request_topic, partition) for partition in partitions]
    committed = {found.partition: found.offset for found in consumer.committed(wanted, timeout=ASK_SECONDS_MAX)}
    positions: dict[int, int] = {}
    for partition in wanted:
        begin, end = watermarks(consumer, partition)
        offset = committed.get(partition.partition, -1)
        positions[partition.partition] = resume_offset(
            committed=offset if offset >= 0 else None,
            last_answered=answered.get(partition.partition),
            begin=begin,
            end=end,
        )
    return positions
