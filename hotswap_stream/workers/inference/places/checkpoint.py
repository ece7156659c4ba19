"""Answers are the checkpoint: where to go on in a partition, read from the answers that are there.

The highest request offset in the tail of the answers, or the group's committed offset, whichever is larger: a zombie
may have filled the tail with low offsets (all void), and the commit may lag behind the answers. Only answers that carry
the workers' tag say anything: else whoever may write to the topic could have requests passed over.
"""

import threading
from collections.abc import Collection, Mapping

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from hotswap_events.inference.answers import AnswerRule, ModelTags
from hotswap_stream.kafka.blocking_reads import read_to_ends
from hotswap_stream.kafka.librdkafka import ASK_SECONDS_MAX, watermarks
from hotswap_stream.kafka.unreadable_batches import ReadOn
from hotswap_stream.workers.inference.requests.records import records_of
from hotswap_stream.workers.inference.waiting import Wait

_log = structlog.get_logger(__name__)

TAIL_RECORDS = 2_000
"""Answers looked at per partition."""
RETRY_SECONDS_MAX = 30.0
RETRY_SECONDS = 0.3


def last_answered(
    consumer: Consumer,
    topic: str,
    partitions: Collection[int],
    tags: ModelTags,
    read_on: ReadOn,
    wait: Wait,
) -> dict[int, int]:
    """Read the tails of the answers. Blocking.

    Args:
        consumer: One of `tail_consumer`; it is assigned the partitions, and none at the end.
        topic: The topic of the answers.
        partitions: Its partitions to look at.
        tags: Tells the workers' answers from what others wrote.
        read_on: Asked about what cannot be read.
        wait: Bounds the time in which nothing comes.

    Returns:
        Partition → highest request offset answered in its tail; partitions without answers are left out.

    Raises:
        KafkaException: A tail cannot be read, or `wait` is over.
    """
    if not partitions:
        return {}
    starts: list[TopicPartition] = []
    ends: dict[int, int] = {}
    for partition in partitions:
        begin, end = watermarks(consumer, TopicPartition(topic, partition))
        if begin < end:
            ends[partition] = end
            starts.append(TopicPartition(topic, partition, max(begin, end - TAIL_RECORDS)))
    try:
        return _highest(consumer, topic, starts, ends, tags, read_on, wait)
    finally:
        consumer.unassign()


def _highest(
    consumer: Consumer,
    topic: str,
    starts: list[TopicPartition],
    ends: Mapping[int, int],
    tags: ModelTags,
    read_on: ReadOn,
    wait: Wait,
) -> dict[int, int]:
    rules = {partition.partition: AnswerRule(partition.partition, tags) for partition in starts}
    for messages in read_to_ends(consumer, starts, ends, read_on, what="the tail of the answers"):
        if not messages:
            wait.check()
        for record in records_of(topic, messages):
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
    """Return the offset of the first request of a partition that has no answer.

    Args:
        committed: What the group committed; None without a commit.
        last_answered: The highest request offset in the tail of the answers; None if there is none.
        begin: First offset that is there in the request topic.
        end: First offset that is not there yet; the result stays within both, in case the topic was made anew.
    """
    wanted = max(0 if committed is None else committed, 0 if last_answered is None else last_answered + 1)
    if wanted > end:
        _log.warning("checkpoint_beyond_end", wanted=wanted, end=end)
    return min(max(wanted, begin), end)


def given_up_positions(consumer: Consumer, request_topic: str, given_up: Mapping[int, int]) -> dict[int, int]:
    """Return where to go on in partitions that were given up: partition → the offset behind the last answer. Blocking.

    KafkaException.
    """
    positions: dict[int, int] = {}
    for partition, offset in given_up.items():
        begin, end = watermarks(consumer, TopicPartition(request_topic, partition))
        positions[partition] = resume_offset(committed=offset, last_answered=None, begin=begin, end=end)
    return positions


def resume_positions(
    consumer: Consumer,
    *,
    request_topic: str,
    response_topic: str,
    partitions: Collection[int],
    tags: ModelTags,
    read_on: ReadOn,
    stopping: threading.Event,
) -> dict[int, int]:
    """Find where to go on. Blocking.

    What a moving leader makes fail is tried again for a while, because giving up sends the whole group through another
    rebalance.

    Args:
        consumer: One of `tail_consumer`, by the name of the workers' group.
        request_topic: The topic of the requests.
        response_topic: The topic of their answers.
        partitions: The partitions to go on with.
        tags: Tells the workers' answers from what others wrote.
        read_on: Asked about what cannot be read in the answers.
        stopping: Set when the worker is to stop.

    Returns:
        Partition → offset of the first request without an answer.

    Raises:
        KafkaException: The places cannot be read.
    """
    wait = Wait(stopping, "the places to go on from cannot be read", seconds_max=RETRY_SECONDS_MAX)
    while True:
        try:
            return _resume_positions(consumer, request_topic, response_topic, partitions, tags, read_on, wait)
        except KafkaException as error:
            if stopping.is_set():
                raise
            wait.check()
            _log.warning("checkpoint_read_retried", topic=response_topic, error=str(error))
            wait.pause(RETRY_SECONDS)


def _resume_positions(
    consumer: Consumer,
    request_topic: str,
    response_topic: str,
    partitions: Collection[int],
    tags: ModelTags,
    read_on: ReadOn,
    wait: Wait,
) -> dict[int, int]:
    answered = last_answered(consumer, response_topic, partitions, tags, read_on, wait)
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
