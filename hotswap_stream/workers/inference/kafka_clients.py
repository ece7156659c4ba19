"""librdkafka clients of the hot loop: their settings in one place."""

from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from hotswap_stream.kafka.librdkafka import ALWAYS, FETCH_AGAIN_MS, READING, client_logger
from hotswap_stream.workers.inference.limits import LoopLimits

SESSION_TIMEOUT_MS = 10_000
HEARTBEAT_MS = 500
"""Members hear of a change of their group so often, at the latest."""
METADATA_MS = 5_000
"""New partitions are seen so soon, at the latest."""
FETCH_BYTES_MAX = 50 * 1024**2
PARTITION_FETCH_BYTES_MAX = 512 * 1024
"""What a broker's answer holds of one partition; a batch that is larger comes whole. What was fetched is answered
in the order in which it came. So where many requests wait, as after a worker died, this is what the partitions take
turns by: by megabytes, the last of them would wait until all others had been answered to their ends. By 128 KiB the
broker is asked so often that a small network answers a sixth fewer requests a second."""
PREFETCH_REQUESTS = 2_000
"""With as many of a partition read ahead, no more of it are fetched: what comes of others stands behind them."""
PREFETCH_KILOBYTES_MAX = 32 * 1024
"""Requests read ahead; with as many, no more are fetched until some are answered."""
LETTERS_KILOBYTES_MAX = 64 * 1024
"""Dead letters under way; with as many, nothing is answered until some are in their topic."""
BULK_LINGER_MS = 1.0
PATIENT_LINGER_MS = 100.0
WAYS_MS = (0.0, BULK_LINGER_MS, PATIENT_LINGER_MS)
"""How long answers gather, by the ways in which they go out (`answers.producers`)."""
LETTERS_LINGER_MS = 5


def group_member(
    options: Mapping[str, Any],
    *,
    group: str,
    worker: str,
    on_error: Callable[[KafkaError], None],
    on_commit: Callable[[KafkaError | None, list[TopicPartition]], None],
) -> Consumer:
    """Return a static member of a model's group, which says which partitions are this worker's and reads none."""
    return Consumer(
        {
            **options,
            **READING,
            "group.id": group,
            "group.instance.id": worker,
            "client.id": worker,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "session.timeout.ms": SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": HEARTBEAT_MS,
            "partition.assignment.strategy": "range",
            "topic.metadata.refresh.interval.ms": METADATA_MS,
            "error_cb": on_error,
            "on_commit": on_commit,
        },
        logger=client_logger(),
    )


def request_consumer(
    options: Mapping[str, Any], *, group: str, worker: str, limits: LoopLimits, on_error: Callable[[KafkaError], None]
) -> Consumer:
    """Return a consumer of one model's requests in the partitions that it is told. It is no member of the group."""
    return Consumer(
        {
            **options,
            **READING,
            "group.id": group,  # the client wants one; it neither joins nor commits
            "client.id": worker,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "topic.metadata.refresh.interval.ms": METADATA_MS,
            # A partition whose prefetch is full is looked at again after this long, not after the default second
            "fetch.queue.backoff.ms": 5,
            "fetch.error.backoff.ms": FETCH_AGAIN_MS,
            "queued.min.messages": PREFETCH_REQUESTS,
            "queued.max.messages.kbytes": max(PREFETCH_KILOBYTES_MAX, 2 * limits.request_bytes_max // 1024),
            "fetch.message.max.bytes": PARTITION_FETCH_BYTES_MAX,
            "fetch.max.bytes": max(FETCH_BYTES_MAX, 4 * limits.request_bytes_max),
            "receive.message.max.bytes": 2 * max(FETCH_BYTES_MAX, 4 * limits.request_bytes_max),
            "error_cb": on_error,
        },
        logger=client_logger(),
    )


def answer_producer(
    options: Mapping[str, Any],
    *,
    worker: str,
    limits: LoopLimits,
    linger_ms: float,
    on_error: Callable[[KafkaError], None],
) -> Producer:
    """Return an idempotent producer: what it wrote stands in the order it was given, each once."""
    return Producer(
        {
            **options,
            **ALWAYS,
            "client.id": worker,
            "acks": "all",
            "enable.idempotence": True,
            # A failure in the middle must end the producer, not leave a gap that later answers hide.
            "enable.gapless.guarantee": True,
            "linger.ms": linger_ms,
            # Nor may one time out while a later one is written; `AnswerSender` gives up on all of them together.
            "message.timeout.ms": 0,
            "message.max.bytes": limits.response_bytes_max,
            "queue.buffering.max.messages": 10 * limits.answers_in_flight_max,
            "queue.buffering.max.kbytes": max(256 * 1024, 4 * limits.response_bytes_max // 1024),
            "error_cb": on_error,
        },
        logger=client_logger(),
    )


def dead_letter_producer(options: Mapping[str, Any], *, worker: str) -> Producer:
    """Return a producer for copies of requests that went wrong. A copy that is refused ends nothing."""
    return Producer(
        {
            **options,
            "client.id": f"{worker}-dead-letters",
            "acks": "all",
            "enable.idempotence": True,
            "allow.auto.create.topics": False,
            "linger.ms": LETTERS_LINGER_MS,
            "message.timeout.ms": 0,  # `DeadLetterSender` gives up on all of them together
            "queue.buffering.max.kbytes": LETTERS_KILOBYTES_MAX,
        },
        logger=client_logger(),
    )


def reply_producer(options: Mapping[str, Any], *, worker: str, limits: LoopLimits) -> Producer:
    """Return a producer for copies to topics of others' choice, whose failures concern nobody else."""
    return Producer(
        {
            **options,
            **ALWAYS,
            "client.id": f"{worker}-replies",
            "acks": "all",
            "linger.ms": 0,
            "message.timeout.ms": 10_000,
            "message.max.bytes": limits.response_bytes_max,
            "queue.buffering.max.messages": limits.answers_in_flight_max,
        },
        logger=client_logger(),
    )
