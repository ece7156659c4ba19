"""Clients of librdkafka: what all of them are told, and questions about a partition."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

_log = structlog.get_logger(__name__)

TAIL_PREFETCH_KIBIBYTES = 4 * 1024
TAIL_FETCH_BYTES = 256 * 1024
"""Read at a time of one partition. A client that is kept holds what it read ahead behind the end until its next use."""
BULK_PREFETCH_KIBIBYTES = 16 * 1024
BULK_FETCH_BYTES = 16 * 1024**2
ASK_SECONDS_MAX = 5.0
"""The longest wait for an answer about a topic or a partition."""
WATERMARK_ATTEMPTS_MAX = 3
FETCH_AGAIN_MS = 100
"""How soon a partition is asked again whose leader is another one now; by default five times as long."""
OFFSET_TAIL = -2_000
"""To begin at as many records before the end of a partition as are taken off this (`RD_KAFKA_OFFSET_TAIL_BASE`)."""

ALWAYS = {
    # A topic that is asked for and not there is an error, not a new topic with the broker's settings: the broker makes
    # one for a producer that does not say so.
    "allow.auto.create.topics": False,
}
READING = {**ALWAYS, "isolation.level": "read_committed"}


def is_fatal(error: KafkaError) -> bool:
    """Return whether the client that reported this is of no use any more and another one is needed.

    What a consumer hands to its error callback has the code `_FATAL`, and yet its `fatal()` says False
    (confluent-kafka-python issue 869): a static member that was fenced would stay silent for ever.
    """
    return bool(error.fatal()) or error.code() == KafkaError._FATAL  # the client's public name for it


def tail_consumer(options: Mapping[str, Any], worker: str, *, group: str | None = None) -> Consumer:
    """Return a consumer outside any group that says where a partition ends. `group`: whose commits it can ask for."""
    return Consumer(
        {
            **options,
            **READING,
            "group.id": group or f"{worker}-tail",  # librdkafka wants one; nothing is committed to it
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,  # a broker says only then that a partition has ended
            "queued.max.messages.kbytes": TAIL_PREFETCH_KIBIBYTES,
            "fetch.message.max.bytes": TAIL_FETCH_BYTES,
            "fetch.queue.backoff.ms": 5,  # not the second after which more is read ahead by default
            "fetch.error.backoff.ms": FETCH_AGAIN_MS,
            "auto.offset.reset": "earliest",
        },
        logger=client_logger(),
    )


def bulk_consumer(options: Mapping[str, Any], name: str) -> Consumer:
    """Return a consumer outside any group that reads long ranges, with little of them in memory."""
    return Consumer(
        {
            **options,
            **READING,
            "group.id": name,  # librdkafka wants one; nothing is committed to it
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "queued.max.messages.kbytes": BULK_PREFETCH_KIBIBYTES,
            "fetch.message.max.bytes": BULK_FETCH_BYTES // 4,
            "fetch.max.bytes": BULK_FETCH_BYTES,
            "receive.message.max.bytes": 4 * BULK_FETCH_BYTES,
        },
        logger=client_logger(),
    )


def watermarks(
    consumer: Consumer, partition: TopicPartition, *, seconds_max: float = ASK_SECONDS_MAX
) -> tuple[int, int]:
    """Return the first offset that is there and the first that is not yet. KafkaException."""
    for attempt in range(1, WATERMARK_ATTEMPTS_MAX + 1):
        try:
            found = consumer.get_watermark_offsets(partition, timeout=seconds_max, cached=False)
            break
        except KafkaException as error:
            # What the client knows of the topics grew old while the machine was busy: the partition is there.
            if attempt == WATERMARK_ATTEMPTS_MAX or error.args[0].code() != KafkaError._UNKNOWN_PARTITION:
                raise
            consumer.list_topics(partition.topic, timeout=seconds_max)
    if found is None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no answer about {partition}"))
    return found


def partition_count(client: Consumer | Producer, topic: str) -> int:
    """Return the number of the topic's partitions; 0 if there is no such topic. Blocking. KafkaException."""
    found = client.list_topics(topic, timeout=ASK_SECONDS_MAX).topics.get(topic)
    if found is None:
        return 0
    if found.error is None:
        return len(found.partitions)
    if found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        return 0
    raise KafkaException(found.error)


def close_producer(producer: Producer) -> None:
    """Forget what is under way, and end the client's threads and connections.

    Else that happens with the last reference to it, and its callbacks refer to what refers to it: Python finds that out
    after many minutes, in which the client goes on asking brokers that come and go.
    """
    for end in (producer.purge, partial(producer.flush, 0), producer.close):
        # What is forgotten is an error of the client, which is told in the middle of these, and they do their work. One
        # that is closed raises RuntimeError.
        with suppress(KafkaException, RuntimeError, SystemError):
            end()


class _ToStructlog(logging.Handler):
    """librdkafka's own log lines, as part of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        # Remarks on the configuration come with each client, and ours is what we mean.
        _log.log(logging.DEBUG if "CONFWARN" in message else record.levelno, "librdkafka", message=message)


def client_logger() -> logging.Logger:
    """Return the logger that every client of librdkafka gets."""
    logger = logging.getLogger("hotswap_stream.librdkafka")
    if not logger.handlers:
        logger.propagate = False
        logger.setLevel(logging.WARNING)
        logger.addHandler(_ToStructlog())
    return logger
